/** Tables of perplexities, for terminal and page. */
import type { Bounds } from "../summary.ts";
import type { PerplexityResults } from "../results_schema.ts";
import { bracketed, type Estimate, estimateText, intervalOrDigits } from "./numbers.ts";
import { type Column, makeTable, PAGE, type Table, TERMINAL } from "./table.ts";

type Cell = PerplexityResults["cells"][number];
type Comparison = PerplexityResults["comparisons"][number];

const PERPLEXITY: readonly Column<Cell>[] = [
  { head: "setting", cell: ({ label }) => label },
  { head: "perplexity", cell: (cell) => intervalOrDigits(cell.perplexity, cell.perplexity_interval) },
  { head: "bits per byte", cell: (cell) => intervalOrDigits(cell.bits_per_byte, cell.bits_per_byte_interval) },
  { head: "nats per token", cell: ({ nll, nll_interval: interval }) => intervalOrDigits(nll, interval) },
];

function increaseOf({ nll_increase }: Comparison): Estimate {
  return { kind: "measured", ...nll_increase };
}

/** Sequences that a text was cut into. */
export function sequencesOf({ tokens, sequence_length: length }: PerplexityResults["protocol"]["text"]): number {
  return Math.ceil((tokens - 1) / length);
}

/** The intervals of these tables. */
export function perplexityBounds({ cells, comparisons }: PerplexityResults): Bounds[] {
  return [
    ...cells.flatMap(({ perplexity: value, perplexity_interval: interval }) => interval ? { value, ...interval } : []),
    ...comparisons.map(({ nll_increase: increase }) => increase),
  ];
}

/** Every cell, on a page, which shows comparisons in a table of their own. */
export function perplexityTable({ cells }: PerplexityResults): Table {
  return makeTable(PERPLEXITY, cells, PAGE);
}

/** Every cell and how far it is from the first, on a terminal. */
export function comparedPerplexityTable({ cells, comparisons }: PerplexityResults): Table {
  const increase: Column<Cell> = {
    head: "more nats per token than the first",
    cell: ({ key }) => {
      const comparison = comparisons.find((c) => c.key === key);
      if (comparison === undefined) return "";
      const estimate = increaseOf(comparison);
      return `${estimateText(estimate)} ${bracketed(estimate)}`;
    },
  };
  return makeTable([...PERPLEXITY, increase], cells, TERMINAL);
}

/** Every further cell against the first, on a page. */
export function increaseTable({ comparisons }: PerplexityResults, label: (key: string) => string): Table {
  return makeTable<Comparison>(
    [
      { head: "setting", cell: ({ key }) => label(key) },
      { head: "more nats per token", kind: "interval", cell: increaseOf },
    ],
    comparisons,
    PAGE,
  );
}
