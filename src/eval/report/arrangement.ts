/**
 * How the settings of a matrix share a page's plots. A handful get a colour each; more could not be told apart,
 * so that schemes get the colours, and KV formats and numbers of ranks get panels side by side.
 */
import { cellLabel, type CellName } from "../matrix.ts";
import { SERIES } from "./html.ts";

/** What is known of a cell. */
export interface ArrangedCell {
  readonly label: string;
  readonly name: CellName;
}

/** How the settings share plots of both kinds. */
export interface Arrangements {
  /** Plots with lines: colours and panels. */
  readonly lines: Arrangement;
  /** Plots with a row, or a panel, for each setting. */
  readonly rows: Arrangement;
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

/**
 * Both arrangements of the cells of some results.
 *
 * @param names Of the cells, in the same order.
 */
export function arrange(cells: readonly { readonly label: string }[], names: readonly CellName[]): Arrangements {
  const named = cells.map(({ label }, i): ArrangedCell => ({ label, name: names[i]! }));
  return { lines: arrangeLines(named), rows: arrangeRows(named) };
}

/** For plots with lines: colours and panels. */
export function arrangeLines(cells: readonly ArrangedCell[]): Arrangement {
  const schemes = distinct(cells.map(({ name }) => name.scheme));
  if (cells.length <= MOST_COLOURS || schemes.length < 2 || schemes.length > MOST_COLOURS) {
    return arrangement(cells, ({ label }) => ({ colour: label, column: "", row: "" }));
  }
  const ranks = fewRanks(cells);
  const rest = ({ name: { model, kvCacheDtype, tp, ep } }: ArrangedCell) =>
    cellLabel(ranks ? { model, kvCacheDtype } : { model, kvCacheDtype, tp, ep });
  // Without ranks, KV formats stand side by side.
  const aside = !ranks && distinct(cells.map(rest)).length <= MOST_COLUMNS;
  return arrangement(cells, (cell) => ({
    colour: cellLabel({ scheme: cell.name.scheme }),
    column: ranks ? ranksOf(cell) : aside ? rest(cell) : "",
    row: aside ? "" : rest(cell),
  }));
}

/** For plots with a row for each setting: numbers of ranks stand side by side where there would be too many rows. */
export function arrangeRows(cells: readonly ArrangedCell[]): Arrangement {
  const ranks = cells.length > MOST_ROWS && fewRanks(cells);
  return arrangement(cells, (cell) => {
    const { tp: _tp, ep: _ep, ...others } = cell.name;
    return {
      colour: cellLabel({ scheme: cell.name.scheme }),
      column: ranks ? ranksOf(cell) : "",
      row: ranks ? cellLabel(others) : cell.label,
    };
  });
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

function ranksOf({ name: { tp, ep } }: ArrangedCell): string {
  return cellLabel({ tp, ep });
}

/** Whether numbers of ranks differ, and are so few that columns hold them. */
function fewRanks(cells: readonly ArrangedCell[]): boolean {
  const counts = distinct(cells.map(ranksOf));
  return counts.length > 1 && counts.length <= MOST_COLUMNS;
}

function distinct<T>(values: readonly T[]): T[] {
  return [...new Set(values)];
}
