/** How pages look: on a screen, in a narrow window, on paper. */

import { COLORS } from "../../page_colors.ts";

/** The style sheet. */
export const STYLE: string = `
${COLORS}* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 20px 60px; }
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
#first td.w { min-width: 12em; overflow-wrap: break-word; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px; margin: 10px 0;
  overflow-x: auto; }
.card > figure, figure { margin: 0; }
.card svg { max-width: 100%; height: auto; }
.card .soft { font-size: 13.5px; }
.note { border-left: 3px solid var(--s0); padding: 2px 0 2px 12px; margin: 12px 0; }
.note.bad { border-color: var(--bad); }
.note.good { border-color: var(--good); }
table.sort th { cursor: pointer; }
th[aria-sort="ascending"]::after { content: " \\25b2"; } th[aria-sort="descending"]::after { content: " \\25bc"; }
table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 12px 4px 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--grid); white-space: nowrap; }
th { color: var(--soft); font-weight: 600; white-space: normal; vertical-align: bottom; }
td.r, th.r { text-align: right; }
td.w { white-space: normal; overflow-wrap: break-word; min-width: 16em; }
details { margin: 10px 0; } summary { cursor: pointer; color: var(--soft); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; font-size: 13.5px; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
code { font: 12.5px ui-monospace, monospace; }
div[class*="swatches"], div[class^="plot-"] { color: var(--soft); font-size: 12.5px; }
[aria-label$="grid"] { stroke: var(--grid); stroke-opacity: 1; }
#first .note { font-size: 16px; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 16px; }
.reply { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 13.5px; }
.controls input, .controls select { font: inherit; max-width: 100%; padding: 2px 6px; }
.narrow { display: none; }
.heat td { text-align: center; padding: 2px 3px; font-size: 12px; border: 1px solid var(--card); min-width: 31px; }
.heat td[style] { background: color-mix(in oklab, var(--d8) var(--v), var(--d0)); print-color-adjust: exact;
  color: #000; }
.heat td.hi { color: #fff; }
@media (prefers-color-scheme: dark) { .heat td[style] { color: #fff; } .heat td.mid, .heat td.hi { color: #000; } }
.heat th { text-align: center; }
.heat th:first-child { text-align: left; position: sticky; left: 0; background: var(--card); padding-right: 8px;
  white-space: nowrap; }
.ramp { display: inline-block; width: 140px; height: 10px; margin: 0 6px; print-color-adjust: exact;
  background: linear-gradient(to right in oklab, var(--d0), var(--d8)); }
@media (max-width: 620px) {
  main { padding: 16px 10px 40px; } h1 { font-size: 20px; } .card { padding: 10px; } .tile { min-width: 44%; }
  .tile b { white-space: normal; overflow-wrap: anywhere; } .wide { display: none; } .narrow { display: block; }
  td.w { min-width: 12em; }
  table.stack, table.stack tbody, table.stack tr, table.stack td { display: block; white-space: normal; }
  table.stack thead { display: none; }
  table.stack tr { border-bottom: 1px solid var(--line); padding: 6px 0; }
  table.stack td, table.stack td.r { border: 0; padding: 1px 0; text-align: left; min-width: 0; }
  table.stack tbody { counter-reset: place; }
  table.stack td:first-child { font-weight: 600; counter-increment: place; }
  table.stack td:first-child::before { content: counter(place) ". "; } table.stack td:empty { display: none; }
  table.stack td:not(:first-child)::before { content: attr(data-head) ": "; color: var(--soft); }
  .pair { grid-template-columns: 1fr; }
  dl { grid-template-columns: 1fr; } dd { margin: 0 0 6px; }
}
@media print {
  body { font-size: 11px; } main { max-width: none; padding: 0; }
  .card { break-inside: avoid; overflow: visible; } .card svg { min-width: 0 !important; width: 100%; }
  table { font-size: 9px; } td, th { white-space: normal; overflow-wrap: anywhere; }
  .heat td { font-size: 6.5px; padding: 1px; min-width: 0; white-space: nowrap; overflow-wrap: normal; }
  .heat th { font-size: 6.5px; padding: 1px; }
  details::details-content { content-visibility: visible; height: auto; } .controls { display: none !important; }
}
`;
