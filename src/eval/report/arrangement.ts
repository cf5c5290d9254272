/**
 * How the settings of a matrix share a page's plots. A handful get a colour each; more would be told apart by nobody,
 * so that schemes get the colours, and KV formats and numbers of ranks get panels side by side.
 */
import type { SettingProtocol } from "../results_schema.ts";
import { SERIES } from "./html.ts";

/** What is known of a cell. */
export interface ArrangedCell {
  readonly label: string;
  readonly protocol: Pick<SettingProtocol, "scheme" | "tp">;
}

/** Where one setting is drawn. */
export interface Place {
  /** What its colour means. */
  readonly colour: string;
  /** Panels, named by what the colour leaves open; empty where there is one only. */
  readonly column: string;
  readonly row: string;
}

/** Places of settings by their labels, and the scales that they need. */
export interface Arrangement {
  readonly colours: readonly string[];
  readonly columns: readonly string[];
  readonly rows: readonly string[];
  place(label: string): Place;
}

/** Settings that get a colour each. */
const MOST_COLOURS = SERIES.length;
/** Rows of a plot that has one for each setting, before ranks get columns of their own. */
const MOST_ROWS = 10;
/** Panels side by side: more are too narrow to read. */
const MOST_COLUMNS = 4;

/** For plots with lines: colours and panels. */
export function arrangeLines(cells: readonly ArrangedCell[]): Arrangement {
  const schemes = distinct(cells.map(({ protocol }) => protocol.scheme));
  if (cells.length <= MOST_COLOURS || schemes.length < 2 || schemes.length > MOST_COLOURS) {
    return arrangement(cells, ({ label }) => ({ colour: label, column: "", row: "" }));
  }
  const ranks = manyRanks(cells);
  const rest = (cell: ArrangedCell) => without(cell.label, [cell.protocol.scheme, ...(ranks ? [tpName(cell)] : [])]);
  // Without ranks, KV formats stand side by side.
  const aside = !ranks && distinct(cells.map(rest)).length <= MOST_COLUMNS;
  return arrangement(cells, (cell) => ({
    colour: cell.protocol.scheme,
    column: ranks ? tpName(cell) : aside ? rest(cell) : "",
    row: aside ? "" : rest(cell),
  }));
}

/** For plots with a row for each setting: numbers of ranks stand side by side where there would be too many rows. */
export function arrangeRows(cells: readonly ArrangedCell[]): Arrangement {
  const ranks = cells.length > MOST_ROWS && manyRanks(cells);
  return arrangement(cells, (cell) => ({
    colour: cell.protocol.scheme,
    column: ranks ? tpName(cell) : "",
    row: ranks ? without(cell.label, [tpName(cell)]) : cell.label,
  }));
}

/** Scales of panels, for a plot's options; `rows` as well as columns. */
export function panels({ columns, rows }: Pick<Arrangement, "columns" | "rows">) {
  return {
    ...(columns.length > 1 ? { fx: { domain: columns, label: null, padding: 0.14 } } : {}),
    ...(rows.length > 1 ? { fy: { domain: rows, label: null, padding: 0.08 } } : {}),
  };
}

/** Channels of panels, for marks whose data hold a {@linkcode Place}. */
export function panelChannels({ columns, rows }: Pick<Arrangement, "columns" | "rows">) {
  return { ...(columns.length > 1 ? { fx: "column" } : {}), ...(rows.length > 1 ? { fy: "row" } : {}) };
}

/** Scale of the colours, for a plot's options; the legend names those of the settings that are drawn. */
export function colourScale({ colours, place }: Arrangement, drawn: readonly { readonly label: string }[]) {
  const used = new Set(drawn.map(({ label }) => place(label).colour));
  const entries = colours.map((name, i) => [name, SERIES[i % SERIES.length]!] as const).filter(([name]) =>
    used.has(name)
  );
  return {
    domain: entries.map(([name]) => name),
    range: entries.map(([, colour]) => colour),
    legend: colours.length > 1,
  };
}

function arrangement(cells: readonly ArrangedCell[], placeOf: (cell: ArrangedCell) => Place): Arrangement {
  const places = new Map(cells.map((cell) => [cell.label, placeOf(cell)]));
  const all = [...places.values()];
  return {
    colours: distinct(all.map(({ colour }) => colour)),
    columns: distinct(all.map(({ column }) => column)),
    rows: distinct(all.map(({ row }) => row)),
    place: (label) => places.get(label)!,
  };
}

function tpName({ protocol: { tp } }: ArrangedCell): string {
  return `tp ${tp}`;
}

/** Whether the labels say the number of ranks, and so few that columns hold them. */
function manyRanks(cells: readonly ArrangedCell[]): boolean {
  const count = distinct(cells.map(tpName)).length;
  return count > 1 && count <= MOST_COLUMNS && cells.every((cell) => cell.label.split(", ").includes(tpName(cell)));
}

/** The label without some of its parts. */
function without(label: string, parts: readonly string[]): string {
  return label.split(", ").filter((part) => !parts.includes(part)).join(", ");
}

function distinct<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}
