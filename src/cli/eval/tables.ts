/** What `mxoss eval` prints. */
import { counted } from "../../amounts.ts";
import type { SettingProtocol } from "../../eval/setting_schema.ts";
import type { Bandwidth } from "../../eval/cost.ts";
import { type CostedSetting, costedSettings, costNotes, costTable } from "../../eval/report/cost_tables.ts";
import type { CellName } from "../../eval/matrix.ts";
import { type Gsm8kResults, keepsLogProbabilities, type PerplexityResults } from "../../eval/results_schema.ts";
import { arrange } from "../../eval/report/arrangement.ts";
import {
  cutOffNote,
  cutTextNote,
  fewTextsNote,
  headline,
  observedSpread,
  oneTextNote,
  openEndsNote,
  operationName,
  repeatedProblemsNote,
  repeatedTextNote,
  residualOperation,
  sharedExamplesNote,
  suspectText,
} from "../../eval/summary.ts";
import { accuracyTable, flexiblePairTable, rankTable } from "../../eval/report/accuracy_tables.ts";
import { divergenceLines } from "../../eval/report/divergence_tables.ts";
import { measuredValue } from "../../eval/report/numbers.ts";
import { orMoreNote } from "../../eval/report/places.ts";
import type { NamedDivergence } from "../../eval/report/plot_parts.ts";
import { errorDigits, predictionLines, promptLines, ranked, rankingText } from "../../eval/report/prediction_tables.ts";
import type { RankingResult, Stopped } from "../../eval/predictions_schema.ts";
import { comparedPerplexityTable, perplexityBounds, sequencesOf } from "../../eval/report/perplexity_tables.ts";
import { type Table, TERMINAL } from "../../eval/report/table.ts";
import { APART_NOTE, inputNote, sourceTable } from "../../eval/report/where_from.ts";
import { linesOf } from "../table.ts";

/** The scheme, with the rule of its scales where they are made on the fly. */
export function schemeText({ scheme, scale_rule: rule }: SettingProtocol): string {
  return rule === null ? scheme : `${scheme}, ${rule} scales`;
}

/** What settings cost, with what must be known to read it. */
export function costLines(settings: readonly CostedSetting[], bandwidth: Bandwidth | null): string[] {
  const notes = costNotes(settings, bandwidth);
  return [...linesOf(costTable(settings, bandwidth, TERMINAL)), ...(notes.length === 0 ? [] : ["", ...notes])];
}

/** What made the numbers, in lines. What is not the same in all settings is given for each of them: `tp 1/2/4`. */
export function protocolLines(version: string, settings: readonly SettingProtocol[], task: string): string[] {
  const distinct = (of: (setting: SettingProtocol) => string | number | null | undefined) =>
    [...new Set(settings.map(of))].filter((value) => value !== null && value !== undefined);
  const all = (name: keyof SettingProtocol) => distinct((setting) => setting[name]).join("/");
  const checkpoints = distinct(({ model, snapshot = model, fingerprint, weights_sha256 }) =>
    `${snapshot}, weights ${weights_sha256.slice(0, 16)}, config and headers ${fingerprint.slice(0, 16)}`
  );
  const rules = distinct((setting) => setting.scale_rule);
  return [
    "",
    ...checkpoints.map((checkpoint) => `mxoss ${version}; ${checkpoint}`),
    `${all("scheme")}${rules.length > 0 ? `, ${rules.join("/")} scales` : ""}, ${all("dtype")}, kv ${
      all("kv_cache_dtype")
    }, tp ${all("tp")}, ep ${all("ep")}, ${all("backend")}, ` +
    `${all("threads")} thread${all("threads") === "1" ? "" : "s"}; ${task}`,
    ...distinct((setting) => setting.converted_from).map((from) =>
      `experts' weights converted while loading, from ${from}`
    ),
    ...distinct((setting) => setting.converted_before).map((steps) =>
      `stored weights converted before, by config.json: ${steps}`
    ),
    ...distinct((setting) => setting.calibrated_on).map((on) =>
      `static input scales from ${String(on).replace(/([0-9a-f]{16})[0-9a-f]{48}/, "$1")}`
    ),
  ];
}

/** The tables of an evaluation of word problems. */
export function gsm8kTables(results: Gsm8kResults, names: readonly CellName[]): string[] {
  const { cells, comparisons, divergences, protocol } = results;
  const lines: string[] = [];
  const arranged = arrange(cells, names).rows;
  const { asked, name } = protocol.data;
  const { format, shots } = protocol.prompt;
  lines.push(
    `${counted(asked, "problem")} of ${name}, ${format}, ${counted(shots.length, "example")}, greedy, 95% intervals`,
    "",
  );
  lines.push(...linesOf(accuracyTable(results, TERMINAL)));
  lines.push(...[...cutOffNote(results), ...repeatedProblemsNote(protocol.data)].flatMap((line) => ["", line]));
  const solved = rankTable(cells, arranged, (cell) => `${cell.filters["flexible-extract"].correct}`);
  lines.push(...titled("problems solved (flexible-extract), by number of ranks", solved));
  if (comparisons.length > 0) {
    lines.push("", `against ${cells[0]!.label}, on the same problems (flexible-extract)`, "");
    lines.push(...linesOf(flexiblePairTable(results, TERMINAL)));
    lines.push(
      "",
      "points: accuracy minus the first setting's; noticeable: smaller true differences are noise to so many problems",
    );
  }
  const ranking = results.ranking;
  const notes = [...openEndsOf(divergences), ...sharedExamplesNote(protocol.prompt)];
  lines.push(...divergenceSection(divergences, ranking, (key) => labelOf(results, key), cells[0]!.label, notes));
  const distance = (of: (found: (typeof divergences)[number]) => string) => ({ key }: { readonly key: string }) => {
    const found = divergences.find((d) => d.key === key);
    return found === undefined ? "-" : of(found);
  };
  const typical = ({ predictions }: (typeof divergences)[number]) => measuredValue(headline(predictions).kl.log_mean);
  const residual = ({ divergence }: (typeof divergences)[number]) => errorDigits(residualOperation(divergence)?.total);
  if (divergences.length > 0) {
    const from = `against ${cells[0]!.label}, by number of ranks, with the digits that are sure (intervals: above)`;
    lines.push(...titled(`typical KL ${from}`, rankTable(cells, arranged, distance(typical))));
    lines.push(...titled(`residual error ${from}`, rankTable(cells, arranged, distance(residual))));
  }
  lines.push("", ...costLines(costedSettings(results), results.bandwidth));
  lines.push(...observedSpread(results).flatMap((sentence) => ["", sentence]));
  lines.push(...protocolLines(results.mxoss, cells.map((cell) => cell.protocol), taskText(protocol)));
  return lines;
}

/** The tables of an evaluation of perplexity. */
export function perplexityTables(results: PerplexityResults): string[] {
  const { cells, divergences, protocol } = results;
  const { tokens, name, sequence_length: length } = protocol.text;
  const lines = [`${counted(tokens, "token")} of ${name}, sequences of ${length}`, ""];
  lines.push(...linesOf(comparedPerplexityTable(results)));
  const open = openEndsNote(1, perplexityBounds(results));
  const all = sequencesOf(protocol.text), compared = divergences[0]?.predictions.sequences;
  const note = [...oneTextNote(all), ...cutTextNote(all, compared), ...open, ...repeatedTextNote(protocol.text)];
  if (note.length > 0) lines.push("", ...note);
  const label = (key: string) => cells.find((c) => c.key === key)!.label;
  // What stands below the first table need not be said again.
  const further = open.length > 0 ? [] : openEndsOf(divergences);
  lines.push(...divergenceSection(divergences, results.ranking, label, cells[0]!.label, further));
  lines.push("", ...costLines(costedSettings(results), results.bandwidth));
  lines.push(
    ...protocolLines(results.mxoss, cells.map((cell) => cell.protocol), `text ${protocol.text.sha256.slice(0, 16)}`),
  );
  return lines;
}

/** How problems are asked, in one line. */
function taskText(protocol: Gsm8kResults["protocol"]): string {
  const { data, prompt, decoding } = protocol;
  return [
    `${prompt.format} by ${prompt.template}`,
    ...(prompt.system === null ? [] : [`system message ${JSON.stringify(prompt.system)}`]),
    ...(prompt.reasoning === null ? [] : [`reasoning ${prompt.reasoning}`]),
    ...(prompt.shots_from === null
      ? []
      : [`examples ${prompt.shots.map(({ index }) => index).join(" ")} of ${prompt.shots_from.sha256.slice(0, 16)}`]),
    `seed ${prompt.seed}`,
    `at most ${counted(decoding.max_tokens, "token")}`,
    ...(keepsLogProbabilities(protocol) ? [] : ["log probabilities not kept"]),
    `data ${data.sha256.slice(0, 16)}`,
  ].join(", ");
}

/** A table with a title; no lines where there is none. */
function titled(title: string, table: Table | null): string[] {
  return table === null ? [] : ["", title, "", ...linesOf(table)];
}

function labelOf({ cells }: Gsm8kResults, key: string): string {
  return cells.find((cell) => cell.key === key)!.label;
}

type Divergences = readonly Omit<NamedDivergence & { key: string; stopped: Stopped }, "label">[];

/** What "-" stands for in the tables of {@linkcode divergenceSection}. */
function openEndsOf(divergences: Divergences): string[] {
  const bounds = divergences.flatMap(({ predictions: { all, reply, prompt } }) =>
    [reply ?? all, prompt ?? []].flat().flatMap(({ kl }) => [kl.mean, kl.p99_9])
  );
  return openEndsNote(divergences[0]?.predictions.sequences ?? 1, bounds);
}

function divergenceSection(
  divergences: Divergences,
  ranking: RankingResult | null,
  label: (key: string) => string,
  first: string,
  notes: readonly string[],
): string[] {
  if (divergences.length === 0) return [];
  const named = divergences.map((found) => ({ ...found, label: label(found.key) })), inOrder = ranked(named, ranking);
  const { predictions, divergence: { tokens } } = named[0]!;
  const prompts = promptLines(inOrder), { positions } = headline(predictions);
  return [
    "",
    `predictions against ${first}, on ${positions} ${prompts === null ? "tokens" : "tokens of its own replies"}, the ` +
    "closest first",
    "",
    ...linesOf(predictionLines(inOrder)),
    ...titled(`on ${counted(predictions.prompt?.positions ?? 0, "token")} of prompts`, prompts),
    "",
    "typical KL: e to the mean logarithm, which no single token decides; mean KL: what a handful of tokens may hold",
    "intervals: of the truth; another text of this length gives values in wider ones (`repetition` of results.json)",
    ...fewTextsNote(predictions.sequences),
    ...notes,
    ...(ranking === null ? [] : ["", ...rankingText(ranking, divergences[0]!.stopped, label)]),
    "",
    `layer by layer against ${first}, on ${counted(tokens, "token")}: these errors differ between schemes even where ` +
    "accuracy does not",
    "",
    ...linesOf(divergenceLines(named)),
    "",
    "own error: of an operation on equal inputs; residual error: of what leaves the last layer; both relative",
    orMoreNote(divergences.map(({ divergence }) => divergence)),
    "",
    ...linesOf(sourceTable(named, TERMINAL)),
    "",
    APART_NOTE,
    ...inputNote(divergences.map(({ divergence }) => divergence)),
    ...divergences.flatMap(({ key, divergence: d }) =>
      d.suspects.map((s) => `suspect under ${label(key)}: ${operationName(s)}: ${suspectText(s, d)}`)
    ),
  ];
}
