/** Aligned columns of text. */
import type { Table } from "../eval/report/table.ts";
import { printableLine } from "../printable.ts";
import { padTo, widthOf } from "./width.ts";

/**
 * Rows as lines, columns two blanks apart, each as wide as its widest cell.
 *
 * @param right Indices of columns whose cells stand at the right, for numbers.
 */
export function tableLines(rows: readonly (readonly string[])[], right: readonly number[] = []): string[] {
  const widths: number[] = [];
  // What a terminal is not sent as it is takes more columns than it says.
  const written = rows.map((row) => row.map(printableLine));
  for (const row of written) {
    row.forEach((cell, column) => widths[column] = Math.max(widths[column] ?? 0, widthOf(cell)));
  }
  const align = (cell: string, column: number) =>
    padTo(cell, widths[column]!, right.includes(column) ? "before" : "after");
  return written.map((row) => row.map(align).join("  ").trimEnd());
}

/** A table of results as lines, with its heads. */
export function linesOf({ heads, rows, right }: Table): string[] {
  return tableLines([heads, ...rows], right);
}
