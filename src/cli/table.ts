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

/** Heads of columns that belong to the one before them: an interval is not parted from what it is of. */
const BELONGING = ["", "interval"];

/**
 * A table of results as lines, with its heads. Where it is wider than the terminal, the columns that do not fit follow
 * below, each time after the first columns, which say what a row is about.
 *
 * @param columns That a line may take.
 * @param leading How many columns say what a row is about.
 */
export function linesOf(
  { heads, rows, right }: Pick<Table, "heads" | "rows" | "right">,
  columns = outputColumns(),
  leading = 1,
): string[] {
  const all = [heads, ...rows];
  const widths = heads.map((_, c) => Math.max(...all.map((row) => widthOf(printableLine(row[c] ?? "")))));
  const named = heads.slice(0, leading).map((_, c) => c), blocks: number[][] = [];
  const wide = (some: readonly number[]) => some.reduce((sum, c) => sum + BETWEEN + widths[c]!, -BETWEEN);
  for (let c = leading; c < heads.length;) {
    const next = heads.findIndex((head, i) => i > c && !BELONGING.includes(head));
    const together = heads.map((_, i) => i).slice(c, next < 0 ? heads.length : next), last = blocks.at(-1);
    if (last !== undefined && wide([...last, ...together]) <= columns) last.push(...together);
    else blocks.push([...named, ...together]);
    c += together.length;
  }
  if (blocks.length === 0) blocks.push(named);
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
