/**
 * The page around plots and tables: one file, nothing from the network, light or dark as the reader's system is. Its
 * script sorts tables and filters samples; without it everything is there to read.
 */

import { isObject } from "../../json_object.ts";
import { printable } from "../../printable.ts";
import { SCRIPT } from "./script.ts";
import { STYLE } from "./style.ts";
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
<script>${SCRIPT}</script>
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

/** Rows from which on sorting a table is worth the while. */
const SORTED_ROWS = 3;

/**
 * A table, which readers sort by a click on a head.
 *
 * @param form `stack`: in a narrow window each row becomes a list, with the heads before its cells.
 */
export function tableHtml({ heads, rows, right, wraps }: Table, form: "plain" | "stack" = "plain"): string {
  const cell = (tag: "td" | "th") => (text: string, column: number) => {
    const classes = [...(right.includes(column) ? ["r"] : []), ...(wraps.includes(column) ? ["w"] : [])];
    const named = tag === "td" && form === "stack" ? ` data-head="${escape(heads[column]!)}"` : "";
    return `<${tag}${classes.length ? ` class="${classes.join(" ")}"` : ""}${named}>${escape(text)}</${tag}>`;
  };
  const line = (tag: "td" | "th", cells: readonly string[]) => `<tr>${cells.map(cell(tag)).join("")}</tr>`;
  const classes = [...(rows.length >= SORTED_ROWS ? ["sort"] : []), ...(form === "stack" ? ["stack"] : [])];
  return `<table class="${classes.join(" ")}"><thead>${line("th", heads)}</thead><tbody>\n${
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

/** The part of a page that is seen before anything is scrolled: what was found, and how sure that is. */
export function firstScreen(...content: readonly string[]): string {
  return `<section id="first">\n${content.join("\n")}\n</section>`;
}

/** A link to the page of samples beside this one. */
export function samplesLink(text: string): string {
  return `<p><a href="samples.html">${escape(text)}</a></p>`;
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
  if (isObject(value)) {
    return Object.entries(value).flatMap(([key, inner]) => flatten(inner, name === "" ? key : `${name}.${key}`));
  }
  if (Array.isArray(value) && value.some((item) => typeof item === "object")) {
    return value.flatMap((item, i) => flatten(item, `${name}[${i}]`));
  }
  return [[name, Array.isArray(value) ? value.join(", ") || "none" : value === null ? "none" : String(value)]];
}
