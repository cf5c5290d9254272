/** Tables that are looked at as pictures: a continuous scale of colours, with the number in every cell. */
import { escape } from "./html.ts";
import type { Estimated } from "../predictions_schema.ts";
import { brief, measured, measuredBriefly } from "./numbers.ts";

/** A number of such a table, null where it is not finite; undefined where there is none. */
export type HeatValue = Estimated | undefined;

/** A table of relative errors. */
export interface Heat {
  /** What the rows are, in a word. */
  readonly what: string;
  readonly columns: readonly string[];
  readonly rows: readonly { readonly name: string; readonly values: readonly HeatValue[] }[];
}

/** Most powers of ten that the colours tell apart: what is smaller looks like 0. */
const MOST_DECADES = 4;
/**
 * Percents of the scale above which letters change: at `mid` in a dark page, at `hi` in a light one. Black and white
 * letters have a contrast of 4.5 with their cell on both sides (WCAG 2.2, 1.4.3), which colours between have not.
 */
const MID = 45, HI = 58;

/** The table with its scale; rows and columns that are 0 or nothing throughout must be left out by the caller. */
export function heatTable({ what, columns, rows }: Heat): string {
  const values = rows.flatMap(({ values }) => values.map((found) => found?.value ?? 0)).filter((value) => value > 0);
  const high = Math.max(...values), low = Math.max(Math.min(...values), high / 10 ** MOST_DECADES);
  const part = (value: number) =>
    high > low ? Math.min(1, Math.max(0, Math.log(value / low) / Math.log(high / low))) : 1;
  const cell = (name: string, column: string, found: HeatValue) => {
    if (found === undefined) return "<td></td>";
    const { value } = found, text = value === null ? "not finite" : measured(found);
    const title = ` title="${escape(`${name}, ${column}: ${text}`)}"`;
    if (value === null) return `<td class="hi" style="--v: 100%"${title}>not finite</td>`;
    if (value === 0) return `<td${title}>0</td>`;
    const percent = Math.round(100 * part(value));
    const letters = percent > HI ? ' class="hi"' : percent > MID ? ' class="mid"' : "";
    return `<td${letters} style="--v: ${percent}%"${title}>${measuredBriefly(found)}</td>`;
  };
  const head = [what, ...columns].map((name) => `<th>${escape(name)}</th>`).join("");
  const body = rows.map(({ name, values }) =>
    `<tr><th>${escape(name)}</th>${values.map((value, i) => cell(name, columns[i]!, value)).join("")}</tr>`
  );
  const ramp = values.length === 0 || low === high
    ? ""
    : `<p class="soft">${brief(low)}<span class="ramp"></span>${brief(high)}</p>`;
  return `${ramp}<table class="heat"><thead><tr>${head}</tr></thead><tbody>\n${body.join("\n")}\n</tbody></table>`;
}
