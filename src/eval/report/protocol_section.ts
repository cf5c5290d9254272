/** The section that says what made a page's numbers. */
import type { SettingProtocol } from "../setting_schema.ts";
import { card, section, settings, tableHtml } from "./html.ts";
import { type Column, makeTable, PAGE } from "./table.ts";

/** A setting and what the page calls it. */
export interface NamedSetting {
  readonly label: string;
  readonly protocol: SettingProtocol;
}

/** A hash, and its digits that tell settings apart in a table; `results.json` has them all. */
const HASH = /\b([0-9a-f]{12})[0-9a-f]{20,}/g;

/**
 * Everything that was set: what all settings share as a list, what tells them apart as a table.
 *
 * @param protocol What does not belong to a setting: data, prompt, decoding.
 */
export function protocolSection(
  mxoss: string,
  protocol: Readonly<Record<string, unknown>>,
  cells: readonly NamedSetting[],
): string {
  const names = [...new Set(cells.flatMap(({ protocol }) => Object.keys(protocol)))] as (keyof SettingProtocol)[];
  const differ = names.filter((name) => new Set(cells.map((cell) => cell.protocol[name])).size > 1);
  const shared = names.filter((name) => !differ.includes(name));
  const first = cells[0]!.protocol;
  return section(
    "Protocol",
    "What made these numbers. results.json beside this page has the same, and every number that is drawn here.",
    card(settings({ mxoss, ...Object.fromEntries(shared.map((name) => [name, first[name]])), ...protocol })),
    ...(differ.length === 0 ? [] : [card(
      tableHtml(makeTable([{ head: "setting", cell: ({ label }) => label }, ...differ.map(columnOf)], cells, PAGE)),
      "What tells the settings apart",
    )]),
  );
}

function columnOf(name: keyof SettingProtocol): Column<NamedSetting> {
  return {
    head: name,
    ...(name === "model" || name === "snapshot" || name === "calibrated_on" ? { kind: "wraps" } : {}),
    cell: ({ protocol }) => shortened(protocol[name]),
  };
}

function shortened(value: string | number | null | undefined): string {
  return value === null || value === undefined ? "none" : String(value).replaceAll(HASH, "$1…");
}
