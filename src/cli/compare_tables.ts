/** What `mxoss compare` prints. */
import { counted } from "../amounts.ts";
import type { SettingProtocol } from "../eval/setting_schema.ts";
import type { DivergenceResult } from "../eval/divergence_schema.ts";
import { comparedCosts } from "../eval/report/cost_tables.ts";
import { flipLines, operationLines } from "../eval/report/divergence_tables.ts";
import { roughPercent, small } from "../eval/report/numbers.ts";
import { orMoreNote } from "../eval/report/places.ts";
import { errorText, flipsText, predictionRows } from "../eval/report/prediction_tables.ts";
import { knowsOwn } from "../eval/report/ranked.ts";
import { TERMINAL } from "../eval/report/table.ts";
import { layerTable, tensorLines } from "../eval/report/tensor_tables.ts";
import { linearNote, linearTable, projectionTable } from "../eval/report/where_from.ts";
import type { CompareResults } from "../eval/results_schema.ts";
import {
  boundedByRare,
  cutTextNote,
  fewTextsNote,
  openEndsNote,
  operationName,
  repeatedTextNote,
  residualOperation,
  suspectText,
} from "../eval/summary.ts";
import { costLines, protocolLines, schemeText } from "./eval/tables.ts";
import { linesOf, tableLines } from "./table.ts";

/**
 * The tables of a comparison.
 *
 * @param all Every operation, every quantized tensor and router flips one by one.
 */
export function compareTables(results: CompareResults, all = false): string[] {
  const { mxoss, protocol, divergence: d } = results;
  const { logits, first_above_alarm: first } = d;
  const lines = [
    `A: ${settingText(protocol.a, protocol.b)}`,
    `B: ${settingText(protocol.b, protocol.a)}`,
    `${counted(d.tokens, "token")} of ${protocol.text.name} in ${counted(d.sequences, "sequence")}${
      d.sequences === 1 ? "" : ` of ${protocol.text.sequence_length}`
    }`,
    "",
    ...linesOf(layerTable(d)),
    "",
    "total error: with all that came before; own: of the operation alone, on equal inputs; relative, ||B - A|| / ||A||",
    "errors and flips: with the digits that are sure; intervals: of every operation's errors --all, of all --json",
    ...(d.largest === undefined ? [] : [orMoreNote([d])]),
    "",
    ...tableLines([
      ...predictionRows(logits.all),
      [
        "largest KL",
        logits.all.kl.max === 0
          ? "0 (none seen)"
          : `${small(logits.all.kl.max)} at ${place(d)}, ${roughPercent(logits.all.kl.max_share ?? 1)} of all`,
      ],
      ["router decisions changed", `${d.router.flipped} of ${d.router.decisions}, ${flipsText(d.router)}`],
      [
        `first above the alarm line ${d.alarm}`,
        first === null
          ? "none"
          : `${operationName(first)}, ${
            errorText(d.operations.find((o) => o.layer === first.layer && o.operation === first.operation)?.total)
          }`,
      ],
      ["error of the residual stream", errorText(residualOperation(d)?.total)],
    ]),
  ];
  const notes = [
    ...fewTextsNote(d.sequences),
    ...cutTextNote(d.sequences),
    ...openEndsNote(d.sequences, boundedByRare(logits.all)),
    ...repeatedTextNote(protocol.text),
  ];
  if (notes.length > 0) lines.push("", ...notes);
  lines.push("", ...costLines(comparedCosts(results), results.bandwidth));
  lines.push("", ...linesOf(all ? projectionTable(d, TERMINAL) : linearTable(d, TERMINAL)));
  if (!all) lines.push("", ...linearNote(d));
  const clipped = d.tensors.filter(({ a, b }) => (a?.clipped ?? 0) + (b?.clipped ?? 0) > 0);
  if (all && d.tensors.length > 0) lines.push("", ...linesOf(tensorLines(d.tensors)));
  else if (clipped.length > 0) lines.push("", ...linesOf(tensorLines(clipped)));
  else if (d.tensors.length > 0) lines.push("", "quantized tensors: nothing is clipped");
  if (all) lines.push("", ...linesOf(operationLines(d)), ...flipSection(d));
  lines.push("");
  if (d.suspects.length === 0) {
    lines.push(
      knowsOwn(d)
        ? "suspects: none; every own error is what the settings' number formats explain"
        : "suspects: none by errors that add up; own errors are not known, as both sides run on several ranks",
    );
  }
  for (const suspect of d.suspects) lines.push(`suspect: ${operationName(suspect)}: ${suspectText(suspect, d)}`);
  lines.push(...protocolLines(mxoss, [protocol.a, protocol.b], `A/B; text ${protocol.text.sha256.slice(0, 16)}`));
  return lines;
}

function place({ logits: { all: { kl: { max_at: at } } }, sequences }: DivergenceResult): string {
  return sequences === 1 ? `position ${at.position}` : `sequence ${at.sequence}, position ${at.position}`;
}

/** The setting in one line: what differs from the other side, or its main facts. */
function settingText(own: SettingProtocol, other: SettingProtocol): string {
  const always: (keyof SettingProtocol)[] = ["scheme", "scale_rule", "dtype", "kv_cache_dtype"];
  const rest = (Object.keys(own) as (keyof SettingProtocol)[])
    .filter((name) => !always.includes(name) && !/sha256|fingerprint/.test(name) && own[name] !== other[name]);
  const weights = own.weights_sha256 === other.weights_sha256 ? [] : [`weights ${own.weights_sha256.slice(0, 12)}`];
  return [
    schemeText(own),
    own.dtype,
    `kv ${own.kv_cache_dtype}`,
    ...rest.map((name) => `${name} ${own[name] ?? "none"}`),
    ...weights,
  ].join(", ");
}

/** Router flips that are listed on a terminal. */
const LISTED_FLIPS = 50;

function flipSection({ router: { flips, flipped } }: DivergenceResult): string[] {
  if (flips.length === 0) return [];
  const listed = flips.slice(0, LISTED_FLIPS);
  return ["", `router flips (${listed.length} of ${flipped})`, ...linesOf(flipLines(listed))];
}
