/** Tables of accuracies, for terminal and page. */
import { FILTERS } from "../filters.ts";
import type { Gsm8kResults } from "../results_schema.ts";
import type { Arrangement } from "./arrangement.ts";
import { noticeable, pValue } from "./numbers.ts";
import { type Column, makeTable, type Medium, type Table, TERMINAL } from "./table.ts";

type Cell = Gsm8kResults["cells"][number];
type Pair = Gsm8kResults["comparisons"][number]["pairs"][number];

const ACCURACY: readonly Column<Cell>[] = [
  { head: "setting", cell: ({ label }) => label },
  ...FILTERS.map((filter): Column<Cell> => ({
    head: filter,
    kind: "interval",
    cell: ({ filters }) => ({ kind: "share", value: filters[filter].accuracy, ...filters[filter] }),
  })),
  { head: "solved", short: "right", kind: "right", cell: (cell) => `${cell.filters["flexible-extract"].correct}` },
  { head: "reply tokens", short: "tokens", kind: "right", cell: (cell) => `${cell.generated_tokens}` },
  { head: "cut off", kind: "right", cell: ({ ends }) => `${ends.length}` },
  { head: "no final channel", short: "no final", kind: "right", cell: (cell) => `${cell.without_final}` },
];

/** Every cell, with its accuracy by each filter. */
export function accuracyTable({ cells }: Gsm8kResults, medium: Medium): Table {
  return makeTable(ACCURACY, cells, medium);
}

/** A pair of the table: a filter, or both where they agree in everything. */
type PairRow = Omit<Pair, "filter"> & { readonly label: string; readonly filter: string };

const SETTING: Column<PairRow> = { head: "setting", cell: ({ label }) => label };
const FILTER: Column<PairRow> = { head: "filter", cell: ({ filter }) => filter };
const PAIR: readonly Column<PairRow>[] = [
  { head: "points", kind: "interval", cell: (pair) => ({ ...pair, kind: "points", value: pair.difference }) },
  { head: "lost", kind: "right", cell: ({ lost }) => `${lost}` },
  { head: "gained", kind: "right", cell: ({ gained }) => `${gained}` },
  { head: "changed", kind: "right", cell: ({ changed }) => `${changed}` },
  { head: "p", kind: "right", cell: ({ p }) => pValue(p) },
  { head: "p (Holm)", kind: "right", cell: (pair) => pValue(pair.p_holm) },
  { head: "noticeable", kind: "right", cell: ({ detectable }) => noticeable(detectable) },
];

/** Every further cell against the first by the flexible filter. */
export function flexiblePairTable(results: Gsm8kResults, medium: Medium): Table {
  const rows = pairRows(results, (pairs) => pairs.filter(({ filter }) => filter === "flexible-extract"));
  return makeTable([SETTING, ...PAIR], rows, medium);
}

/** Every further cell against the first by each filter. */
export function pairTable(results: Gsm8kResults, medium: Medium): Table {
  return makeTable([SETTING, FILTER, ...PAIR], pairRows(results, merged), medium);
}

function pairRows(
  { cells, comparisons }: Gsm8kResults,
  choose: (pairs: readonly Pair[]) => readonly Omit<PairRow, "label">[],
): PairRow[] {
  return comparisons.flatMap(({ key, pairs }) => {
    const { label } = cells.find((cell) => cell.key === key)!;
    return choose(pairs).map((pair) => ({ ...pair, label }));
  });
}

/** One row for both filters where they agree in everything. */
function merged(pairs: readonly Pair[]): readonly Omit<PairRow, "label">[] {
  const facts = ({ filter: _, ...rest }: Pair) => JSON.stringify(rest);
  return new Set(pairs.map(facts)).size === 1 ? [{ ...pairs[0]!, filter: "both" }] : pairs;
}

/** One number of every cell of a large matrix, at a glance: ranks stand side by side. Null where they are rows. */
export function rankTable(
  cells: Gsm8kResults["cells"],
  { columns, rows, place }: Arrangement,
  value: (cell: Cell) => string,
): Table | null {
  if (columns.length < 2) return null;
  const at = (row: string, column: string) =>
    cells.find(({ label }) => place(label).row === row && place(label).column === column);
  const ranks = columns.map((column): Column<string> => ({
    head: column,
    kind: "right",
    cell: (row) => {
      const cell = at(row, column);
      return cell === undefined ? "" : value(cell);
    },
  }));
  return makeTable([{ head: "setting", cell: (row) => row }, ...ranks], rows, TERMINAL);
}
