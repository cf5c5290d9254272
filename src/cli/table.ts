/** Aligned columns of text. */
import type { Table } from "../eval/report/table.ts";

/**
 * Rows as lines, columns two blanks apart, each as wide as its widest cell.
 *
 * @param right Indices of columns whose cells stand at the right, for numbers.
 */
export function tableLines(rows: readonly (readonly string[])[], right: readonly number[] = []): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => widths[column] = Math.max(widths[column] ?? 0, cell.length));
  }
  const align = (cell: string, column: number) =>
    right.includes(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!);
  return rows.map((row) => row.map(align).join("  ").trimEnd());
}

/** A table of results as lines, with its heads. */
export function linesOf({ heads, rows, right }: Table): string[] {
  return tableLines([heads, ...rows], right);
}

/**
 * A number of bytes for people: `13.8 GB`, decimal units, three digits. The standard library's `fmt/bytes` leaves out
 * zeros at the end (`5 GB` for `5.00 GB`), which hides how exact the number is, and makes `1000 kB` of 999,999 bytes.
 */
export function bytesText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  for (; value >= 999.5 && unit < units.length - 1; unit++) value /= 1000;
  return `${unit === 0 ? value : value.toPrecision(3)} ${units[unit]}`;
}
