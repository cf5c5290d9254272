/**
 * The page around plots and tables: one file, no script, nothing from the network, light or dark as the reader's system
 * is.
 */

import { printable } from "../../printable.ts";
import type { Table } from "./table.ts";

/** Text as HTML; signs that turn the direction of writing or cannot be seen are spelled out. */
export function escape(text: string): string {
  return printable(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll(
    '"',
    "&quot;",
  );
}

/**
 * Colours of the series, for the text and lines of both themes: Okabe and Ito's, which the colour-blind can tell apart.
 */
export const SERIES = ["var(--s0)", "var(--s1)", "var(--s2)", "var(--s3)", "var(--s4)", "var(--s5)", "var(--s6)"];

const STYLE = `
:root { color-scheme: light dark;
  --bg: #fbfbfa; --card: #ffffff; --ink: #1c1e21; --soft: #5d6470;
  --line: #dfe2e6; --grid: #e8eaed; --bad: #b3261e; --good: #1a7f4b;
  --s0: #0b6bb0; --s1: #c2570c; --s2: #0a7f62; --s3: #9b3d83; --s4: #8a6d00; --s5: #1c1e21; --s6: #6b6f76;
  --d0: #f4f5f6; --d1: #e4edf5; --d2: #cfe0ef; --d3: #b0cee6; --d4: #89b7da;
  --d5: #5d9bcb; --d6: #357ab2; --d7: #195489; --d8: #08284b; }
@media (prefers-color-scheme: dark) { :root {
  --bg: #15171a; --card: #1d2024; --ink: #e8e9eb; --soft: #a0a6b0;
  --line: #343940; --grid: #2b3036; --bad: #ff8a80; --good: #6fd3a0;
  --s0: #6bb7f0; --s1: #f2a35e; --s2: #56c9a5; --s3: #dd97c9; --s4: #dcc25a; --s5: #f4f5f7; --s6: #a9aeb6;
  --d0: #22262b; --d1: #243240; --d2: #263f56; --d3: #294f70; --d4: #2f658f;
  --d5: #3a7fb3; --d6: #5a9fd4; --d7: #8fc4ed; --d8: #d7ecfd; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1060px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 25px; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 34px 0 4px; }
h3 { font-size: 14.5px; margin: 0 0 4px; }
p { margin: 4px 0 10px; max-width: 78ch; }
.soft, figcaption { color: var(--soft); }
.tiles { display: flex; flex-wrap: wrap; gap: 10px; margin: 18px 0 6px; }
.tile { flex: 1 1 auto; background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 9px 13px;
  min-width: 130px; }
.tile b { display: block; font-size: 20px; line-height: 1.3; font-variant-numeric: tabular-nums; white-space: nowrap; }
.tile span { color: var(--soft); font-size: 13px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px; margin: 10px 0;
  overflow-x: auto; }
.card > figure, figure { margin: 0; }
.card svg { max-width: 100%; height: auto; }
.card .soft { font-size: 13.5px; }
.note { border-left: 3px solid var(--s0); padding: 2px 0 2px 12px; margin: 12px 0; }
.note.bad { border-color: var(--bad); }
.note.good { border-color: var(--good); }
table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 12px 4px 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--grid); white-space: nowrap; }
th { color: var(--soft); font-weight: 600; white-space: normal; vertical-align: bottom; }
td.r, th.r { text-align: right; }
td.w { white-space: normal; overflow-wrap: anywhere; min-width: 16em; }
details { margin: 10px 0; } summary { cursor: pointer; color: var(--soft); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; font-size: 13.5px; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
code { font: 12.5px ui-monospace, monospace; }
div[class*="swatches"], div[class^="plot-"] { color: var(--soft); font-size: 12.5px; }
[aria-label$="grid"] { stroke: var(--grid); stroke-opacity: 1; }
@media print { .card { break-inside: avoid; } }
`;

/** A whole page. */
export function page(title: string, body: readonly string[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
${body.join("\n")}
</main>
</body>
</html>
`;
}

/** A section: a heading, sentences about what is seen, and figures or tables (HTML). */
export function section(heading: string, about: string, ...content: readonly string[]): string {
  return `<section>\n<h2>${escape(heading)}</h2>\n<p class="soft">${escape(about)}</p>\n${
    content.join("\n")
  }\n</section>`;
}

/**
 * A box around a plot or a table (HTML).
 *
 * @param title What is seen, where the section holds more than one thing.
 * @param note What one must know to read it.
 */
export function card(content: string, title = "", note = ""): string {
  const heading = title === "" ? "" : `<h3>${escape(title)}</h3>`;
  const aside = note === "" ? "" : `<p class="soft">${escape(note)}</p>`;
  return `<div class="card">${heading}${aside}${content}</div>`;
}

/** A few numbers that matter most. */
export function tiles(entries: readonly (readonly [value: string, what: string])[]): string {
  const tile = ([value, what]: readonly [string, string]) =>
    `<div class="tile"><b>${escape(value)}</b><span>${escape(what)}</span></div>`;
  return `<div class="tiles">${entries.map(tile).join("")}</div>`;
}

/** A sentence that should not be overlooked. */
export function remark(text: string, kind: "plain" | "good" | "bad" = "plain"): string {
  // Exponents must not be torn from their numbers.
  const unbroken = escape(text).replaceAll(/e-(?=\d)/g, "e\u2011");
  return `<p class="note${kind === "plain" ? "" : ` ${kind}`}">${unbroken}</p>`;
}

/** A table. */
export function tableHtml({ heads, rows, right, wraps }: Table): string {
  const cell = (tag: "td" | "th") => (text: string, column: number) => {
    const classes = [...(right.includes(column) ? ["r"] : []), ...(wraps.includes(column) ? ["w"] : [])];
    return `<${tag}${classes.length ? ` class="${classes.join(" ")}"` : ""}>${escape(text)}</${tag}>`;
  };
  const line = (tag: "td" | "th", cells: readonly string[]) => `<tr>${cells.map(cell(tag)).join("")}</tr>`;
  return `<table><thead>${line("th", heads)}</thead><tbody>\n${
    rows.map((row) => line("td", row)).join("\n")
  }\n</tbody></table>`;
}

/** Rows of a table that is shown without being asked for, where a plot above it shows the same. */
const OPEN_ROWS = 12;

/** A table below a plot of the same numbers: on demand where it is long. */
export function plottedTable(table: Table): string {
  const content = tableHtml(table), { length } = table.rows;
  return length > OPEN_ROWS ? folded(`These numbers as a table of ${length} rows`, content) : card(content);
}

/** Something long that is shown on demand. */
export function folded(summary: string, content: string): string {
  return `<details><summary>${escape(summary)}</summary>${card(content)}</details>`;
}

/** Nested settings as a list of names and values. */
export function settings(value: Readonly<Record<string, unknown>>): string {
  const entries = flatten(value, "");
  return `<dl>${entries.map(([name, text]) => `<dt>${escape(name)}</dt><dd>${escape(text)}</dd>`).join("")}</dl>`;
}

function flatten(value: unknown, name: string): [string, string][] {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return Object.entries(value).flatMap(([key, inner]) => flatten(inner, name === "" ? key : `${name}.${key}`));
  }
  if (Array.isArray(value) && value.some((item) => typeof item === "object")) {
    return value.flatMap((item, i) => flatten(item, `${name}[${i}]`));
  }
  return [[name, Array.isArray(value) ? value.join(", ") || "none" : value === null ? "none" : String(value)]];
}
