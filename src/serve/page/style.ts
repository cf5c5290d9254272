/** How the server's page looks: on a screen and on a phone. */
import { COLORS } from "../../page_colors.ts";

/** The style sheet. */
export const STYLE: string = `
${COLORS}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0; background: var(--bg); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
header { display: flex; flex-wrap: wrap; gap: 6px 18px; align-items: center; padding: 10px 20px;
  border-bottom: 1px solid var(--line); background: var(--card); }
h1 { font-size: 18px; margin: 0; } h2 { font-size: 16px; margin: 0; }
main { max-width: 1180px; margin: 0 auto; padding: 16px 20px 60px; }
button, input, select, textarea { font: inherit; color: inherit; background: var(--card);
  border: 1px solid var(--line); border-radius: 6px; padding: 4px 10px; }
textarea { width: 100%; resize: vertical; padding: 8px 10px; display: block; }
button { cursor: pointer; } button:disabled { color: var(--soft); cursor: default; }
button.main { background: var(--s0); border-color: var(--s0); color: var(--card); }
button.main:disabled { opacity: .55; }
:focus-visible { outline: 2px solid var(--s1); outline-offset: 1px; }
[role=tab] { border: 0; border-bottom: 2px solid transparent; border-radius: 0; background: none; }
[role=tab][aria-selected=true] { border-color: var(--s0); font-weight: 600; }
.row { display: flex; flex-wrap: wrap; gap: 8px 14px; align-items: center; margin: 8px 0; }
label, legend, .soft, th { color: var(--soft); font-size: 13.5px; } label > * { color: var(--ink); }
fieldset { border: 0; padding: 0; margin: 0; display: contents; }
input[type=number] { width: 6em; }
[role=alert] { color: var(--bad); margin: 8px 0; overflow-wrap: anywhere; }
.said { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px; margin: 10px 0;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.said.user { margin-left: 12%; border-color: var(--s0); }
.said details { color: var(--soft); font-size: 14px; margin-bottom: 6px; }
.said .soft { display: block; margin-top: 6px; white-space: normal; }
.lanes { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 430px), 1fr)); gap: 12px;
  margin: 12px 0; }
.lane, .card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 10px 14px;
  min-width: 0; }
.card { overflow-x: auto; margin: 12px 0; }
.lane p, .card p { margin: 2px 0 8px; }
.tokens { line-height: 2; overflow-wrap: anywhere; }
.t { display: inline; border: 1px solid transparent; border-radius: 3px; padding: 2px 0; margin: 0; background: none;
  white-space: pre-wrap; text-align: left; font: 14px/1.6 ui-monospace, monospace; }
.t[style] { background: color-mix(in oklab, var(--d8) var(--v), var(--d0)); }
.t.hi { color: var(--card); }
.t.parts { border-color: var(--s1); border-width: 2px; }
.t[aria-pressed=true] { outline: 2px solid var(--s1); }
.t.special { color: var(--soft); font-size: 12px; } .t.special.hi { color: var(--card); }
.t i { color: var(--soft); font-style: normal; }
.own { white-space: pre-wrap; overflow-wrap: anywhere; font: 14px/1.6 ui-monospace, monospace;
  border-left: 3px solid var(--s1); padding-left: 8px; }
.ramp { display: inline-block; width: 140px; height: 10px; margin: 0 6px; vertical-align: middle;
  background: linear-gradient(to right in oklab, var(--d0), var(--d8)); }
table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th, td { padding: 3px 12px 3px 0; text-align: left; white-space: pre; border-bottom: 1px solid var(--grid); }
td.r, th.r { text-align: right; }
td.own-choice { font-weight: 600; }
.heat td { text-align: center; padding: 2px 6px; border: 1px solid var(--card); min-width: 44px; }
.heat td[style] { background: color-mix(in oklab, var(--d8) var(--v), var(--d0)); }
.heat td.hi { color: var(--card); } .heat th { text-align: center; padding: 2px 6px; white-space: normal; }
.tables { display: flex; flex-wrap: wrap; gap: 10px 28px; }
@media (max-width: 620px) {
  header, main { padding-left: 10px; padding-right: 10px; } .said.user { margin-left: 6%; }
}
`;
