/** Aligned columns of text. */
import type { Table } from "../eval/report/table.ts";
import { printableLine } from "../printable.ts";
import { drawsOver, lineColumns, note, outputColumns } from "./terminal.ts";
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

/** Blanks between columns. */
const BETWEEN = 2;

/**
 * A table of results as lines, with its heads. Where it is wider than the terminal, the columns that do not fit follow
 * below, each time after the first column, which says what a row is about.
 *
 * @param columns That a line may take.
 */
export function linesOf({ heads, rows, right }: Table, columns = outputColumns()): string[] {
  const all = [heads, ...rows];
  const widths = heads.map((_, c) => Math.max(...all.map((row) => widthOf(printableLine(row[c] ?? "")))));
  const blocks: number[][] = [];
  let taken = 0;
  for (let c = 1; c < heads.length; c++) {
    const own = BETWEEN + widths[c]!;
    if (blocks.length === 0 || taken + own > columns) {
      blocks.push([0]);
      taken = widths[0]!;
    }
    blocks.at(-1)!.push(c);
    taken += own;
  }
  if (blocks.length === 0) blocks.push([0]);
  return blocks.flatMap((block, i) => [
    ...(i > 0 ? [""] : []),
    ...tableLines(
      all.map((row) => block.map((c) => row[c] ?? "")),
      block.flatMap((c, place) => right.includes(c) ? [place] : []),
    ),
  ]);
}

/** Lines that are too long, broken between words and never within one; what follows is indented by two. */
export function folded(lines: readonly string[], columns = outputColumns()): string[] {
  return lines.map(printableLine).flatMap((line) => {
    if (widthOf(line) <= columns) return [line];
    const parts: string[] = [];
    let part = "";
    for (const word of line.split(" ")) {
      const longer = part === "" ? word : `${part} ${word}`;
      if (part.trim() === "" || widthOf(longer) <= columns) {
        part = longer;
        continue;
      }
      parts.push(part.trimEnd());
      part = `  ${word}`;
    }
    return [...parts, part];
  });
}

/** Writes a sentence to stderr; on a terminal it is broken between words, which a window would cut within one. */
export function noteFolded(text: string): void {
  for (const line of folded([text], drawsOver() ? lineColumns() : Infinity)) note(line);
}
