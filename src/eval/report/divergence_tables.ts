/** Tables of comparisons, for terminal and page. */
import type { DivergenceResult } from "../divergence_schema.ts";
import { chosen, largestPlace, worstText } from "./places.ts";
import { operationName, residualOperation, suspectError, worstOperation } from "../summary.ts";
import { decibels, measured, sizeOf, sizeOfShare, small } from "./numbers.ts";
import { errorEstimate, errorText, flipsText } from "./prediction_tables.ts";
import type { NamedDivergence } from "./plot_parts.ts";
import { type Column, makeTable, PAGE, type Table, TERMINAL } from "./table.ts";

const SETTING: Column<NamedDivergence> = { head: "setting", cell: ({ label }) => label };
const RESIDUAL: Column<NamedDivergence> = {
  head: "residual error",
  cell: ({ divergence }) => errorText(residualOperation(divergence)?.total),
};
const OWN: readonly Column<NamedDivergence>[] = [
  {
    head: "largest own error",
    cell: ({ divergence }) => {
      const own = worstOperation(divergence)?.own ?? undefined, place = largestPlace(divergence, "own_error");
      return own === undefined || place === undefined ? errorText(own) : measured(chosen(place, errorEstimate(own)));
    },
  },
  {
    head: "at",
    cell: ({ divergence }) => worstText(divergence),
  },
];
const FLIPS: Column<NamedDivergence> = {
  head: "router flips",
  cell: ({ divergence: { router } }) => flipsText(router),
};

/** One row for each comparison, on a terminal. */
export function divergenceLines(named: readonly NamedDivergence[]): Table {
  return makeTable([SETTING, ...OWN, RESIDUAL, FLIPS], named, TERMINAL);
}

/** One row for each comparison, on a page. */
export function divergenceTable(named: readonly NamedDivergence[]): Table {
  return makeTable([SETTING, RESIDUAL, ...OWN, FLIPS], named, PAGE);
}

/** What was found to be suspect, on a page; null where nothing was. */
export function suspectTable(named: readonly Pick<NamedDivergence, "label" | "divergence">[]): Table | null {
  const rows = named.flatMap(({ label, divergence }) =>
    divergence.suspects.map((suspect) => ({ label, text: suspectError(suspect, divergence), ...suspect }))
  );
  if (rows.length === 0) return null;
  type Row = (typeof rows)[number];
  const setting: Column<Row> = { head: "setting", cell: ({ label }) => label };
  return makeTable<Row>(
    [
      ...(named.length > 1 ? [setting] : []),
      { head: "operation", cell: operationName },
      { head: "error", kind: "right", cell: ({ text }) => text },
      { head: "explained", kind: "right", cell: ({ explained }) => small(explained) },
      { head: "evidence", cell: ({ evidence }) => evidence },
      { head: "what is known", kind: "wraps", cell: ({ hints }) => hints.join("; ") },
    ],
    rows,
    PAGE,
  );
}

type Operation = DivergenceResult["operations"][number];

const OPERATION: Column<Operation> = { head: "operation", cell: operationName };
/** Most of a list have no error; each need not say that so many tokens are no proof of it. */
const listed = (error: Operation["total"]) => error.relative_error === 0 ? "0" : errorText(error);
const TOTAL_ERROR: Column<Operation> = {
  head: "total error",
  kind: "right",
  cell: ({ total }) => listed(total),
};
const OWN_ERROR: Column<Operation> = {
  head: "own error",
  kind: "right",
  cell: ({ own }) => own === null ? "-" : listed(own),
};
const EXPLAINED: Column<Operation> = { head: "explained", kind: "right", cell: ({ explained }) => small(explained) };

/** Every operation, on a terminal. */
export function operationLines({ operations }: DivergenceResult): Table {
  return makeTable(
    [
      OPERATION,
      TOTAL_ERROR,
      { head: "SQNR, dB", kind: "right", cell: ({ total }) => decibels(errorEstimate(total), "") },
      OWN_ERROR,
      { head: "SQNR, dB", kind: "right", cell: ({ own }) => own === null ? "" : decibels(errorEstimate(own), "") },
      EXPLAINED,
      {
        head: "rerouted rows",
        kind: "right",
        cell: (o) => o.unmatched_rows === 0 ? "" : `${o.unmatched_rows} of ${o.unmatched_rows + o.rows}`,
      },
      { head: "outlier channels", cell: ({ outliers }) => outlierText(outliers.slice(0, 3), " x RMS") },
    ],
    operations,
    TERMINAL,
  );
}

/** Every operation, on a page. */
export function operationTable({ operations }: DivergenceResult): Table {
  return makeTable(
    [
      OPERATION,
      TOTAL_ERROR,
      { head: "SQNR, dB", kind: "right", cell: ({ total }) => decibels(errorEstimate(total), "∞") },
      OWN_ERROR,
      {
        head: "own SQNR, dB",
        kind: "right",
        cell: ({ own }) => own === null ? "-" : decibels(errorEstimate(own), "∞"),
      },
      EXPLAINED,
      { head: "largest difference", kind: "right", cell: ({ total }) => small(total.max_error) },
      {
        head: "rows",
        kind: "right",
        cell: (o) => o.unmatched_rows > 0 ? `${o.rows} (+${o.unmatched_rows} rerouted)` : `${o.rows}`,
      },
      { head: "outlier channels", kind: "wraps", cell: ({ outliers }) => outlierText(outliers.slice(0, 4), "×") },
    ],
    operations,
    PAGE,
  );
}

function outlierText(outliers: Operation["outliers"], unit: string): string {
  return outliers.map((c) => `${c.channel} (${sizeOf(c.magnitude)}${unit}, ${sizeOfShare(c.error_share)} of error)`)
    .join(", ");
}

type Flip = DivergenceResult["router"]["flips"][number];

/** Router flips one by one; `separator` stands between experts. */
function flipColumns(separator: string): Column<Flip>[] {
  return [
    { head: "layer", kind: "right", cell: ({ layer }) => `${layer}` },
    { head: "sequence", kind: "right", cell: ({ sequence }) => `${sequence}` },
    { head: "position", kind: "right", cell: ({ position }) => `${position}` },
    { head: "token id", kind: "right", cell: ({ token }) => `${token}` },
    { head: "only A", cell: ({ lost }) => lost.join(separator) },
    { head: "only B", cell: ({ gained }) => gained.join(separator) },
    { head: "A's margin", kind: "right", cell: ({ margin }) => small(margin) },
  ];
}

/** Router flips on a terminal. */
export function flipLines(flips: readonly Flip[]): Table {
  return makeTable(flipColumns(","), flips, TERMINAL);
}

/** Router flips on a page. */
export function flipTable(flips: readonly Flip[]): Table {
  return makeTable(flipColumns(", "), flips, PAGE);
}
