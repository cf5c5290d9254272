/** A table, for a terminal or a page: each column has a head, an alignment, and what a row has there. */
import { bracketed, type Estimate, estimateText, ranged } from "./numbers.ts";

/** A column of a table whose rows are made of `Row`s. */
export interface Column<Row> {
  readonly head: string;
  /** What stands above it on a terminal, where that is shorter. */
  readonly short?: string;
  /** `right`: numbers; `interval`: numbers with intervals, which get a further column; `wraps`: long texts. */
  readonly kind?: "right" | "interval" | "wraps";
  /** What a row has there; an {@linkcode Estimate} just where the kind is `interval`. */
  readonly cell: (row: Row) => string | Estimate;
}

/** A table with its texts made. */
export interface Table {
  readonly heads: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Indices of columns that stand at the right. */
  readonly right: readonly number[];
  /** Indices of columns whose texts may wrap. */
  readonly wraps: readonly number[];
}

/** Where a table is shown. */
export interface Medium {
  head<Row>(column: Column<Row>): string;
  /** What stands above an interval, how it is written, and whether it stands at the right. */
  readonly interval: { readonly head: string; readonly right: boolean; text(estimate: Estimate): string };
}

/** Lines of a terminal. */
export const TERMINAL: Medium = {
  head: ({ head, short }) => short ?? head,
  interval: { head: "", right: false, text: bracketed },
};

/** A page of a report. */
export const PAGE: Medium = {
  head: ({ head }) => head,
  interval: { head: "interval", right: true, text: ranged },
};

/** A table of these rows. */
export function makeTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[], medium: Medium): Table {
  const { interval } = medium;
  const shown = columns.flatMap((column) => [
    {
      head: medium.head(column),
      right: column.kind === "right" || column.kind === "interval",
      wraps: column.kind === "wraps",
    },
    ...(column.kind === "interval" ? [{ ...interval, wraps: false }] : []),
  ]);
  const indices = (of: (column: (typeof shown)[number]) => boolean) => shown.flatMap((c, i) => of(c) ? [i] : []);
  return {
    heads: shown.map(({ head }) => head),
    rows: rows.map((row) =>
      columns.flatMap(({ cell }) => {
        const value = cell(row);
        return typeof value === "string" ? [value] : [estimateText(value), interval.text(value)];
      })
    ),
    right: indices(({ right }) => right),
    wraps: indices(({ wraps }) => wraps),
  };
}
