/** What `mxoss devices --verify` prints: a table, or a text for an issue. */
import { codeText } from "../backends/gpu/code.ts";
import { familiesOf } from "../../kernels/abi/signatures.ts";
import { bytesText } from "../amounts.ts";
import { intervalText, medianText, spreadOf } from "../bench/spread.ts";
import { type CaseResult, failures, type ModelResult, type VerifyResults } from "../verify/results.ts";
import { linesOf, tableLines } from "./table.ts";

/** Where verified cards are reported. */
const TEMPLATE = "A card that was verified";

/** The table, line by line. */
export function verifyLines(results: VerifyResults): string[] {
  const { cases, matrix, model, speed } = results;
  return [
    ...tableLines(facts(results)),
    ...section("kernels", ["", "cases", "agree", "worst error"], byFamily(cases), [1, 2, 3]),
    ...section(
      "matrix kernels beside the generic ones",
      ["", "format", "error", "allowed", ""],
      matrix.map((one) => [one.kernel, one.format, errorText(one.error), `${one.limit}`, verdict(one.agrees)]),
      [2, 3],
    ),
    ...section(
      "embedded model",
      ["", "dtype", "against", "error", "allowed", "tokens", ""],
      model.map((one) => [
        ...[one.setting, one.dtype, one.against, one.problem === null ? modelError(one) : "-"],
        ...[one.limit === null ? "-" : errorText(one.limit), `${one.same_tokens}/${one.tokens}`, verdict(one.agrees)],
      ]),
      [3, 4, 5],
    ),
    ...section(
      "speed",
      ["", "median", "least to largest", "", ""],
      speed.map(({ what, runs, unit, problem }) => [what, ...speedTexts(runs), unit, problem ?? ""]),
      [1, 2],
    ),
    "",
    ...verdictLines(results),
    `--issue prints the same as a text for an issue ("${TEMPLATE}"), with every case`,
  ];
}

/** A text in Markdown that holds everything but single runs of the bench. */
export function issueText(results: VerifyResults): string {
  const { cases, device, kernels, passed } = results, failed = failures(results);
  const row = (cells: readonly string[]) => `| ${cells.map(cell).join(" | ")} |`;
  return [
    `${device.name}, ${device.arch}: ${passed ? "everything agrees" : "does not agree"}`,
    "",
    row(["", "value"]),
    row(["---", "---"]),
    ...facts(results).map(row),
    row(["kernels' SHA-256", kernels.sha256]),
    "",
    ...verdictLines(results).slice(0, 1),
    ...(failed.length > 0 ? ["", "What failed:", "", ...failed.map((line) => `- ${cell(line)}`)] : []),
    ...details("Matrix kernels, embedded model, speed", [
      ...results.matrix.map((one) => `${one.kernel} (${one.format}): ${one.problem ?? errorText(one.error)}`),
      ...results.model.map((one) =>
        `${one.setting}, ${one.dtype}: ${modelError(one)}, ${one.same_tokens}/${one.tokens} tokens`
      ),
      ...results.speed.map(({ what, runs, unit, problem }) =>
        `${what}: ${problem ?? `${speedTexts(runs).join(" ")} ${unit}, ${runs.length} runs`}`
      ),
    ]),
    ...details(
      `Largest error of each of ${cases.length} cases, in parts of what is allowed`,
      cases.map((one) => `${one.case}: ${one.problem ?? errorText(one.error)}`),
    ),
    "",
  ].join("\n");
}

/** Names and values of the card and what ran on it. */
function facts({ mxoss, system, device, kernels, filter, seconds }: VerifyResults): string[][] {
  const { backend, index, name, arch, processors, memory_bytes, library, runtime_version, driver_version } = device;
  const runtime = `${backend === "hip" ? "HIP" : "CUDA"} ${runtime_version}, ${library}`;
  return [
    ["card", `${backend} ${index}: ${name}, ${arch}, ${processors} processors, ${bytesText(memory_bytes)}`],
    ["driver", driver_version ?? "unknown"],
    ["runtime", runtime],
    [
      "kernels",
      `${codeText({ arch: kernels.arch, kind: kernels.how }, arch.split(":")[0]!)}, sha256 ${
        kernels.sha256.slice(0, 16)
      }`,
    ],
    ["mxoss", mxoss],
    ["system", system],
    ...(filter === null ? [] : [["only", `what has "${filter}" in its name`]]),
    ["took", `${seconds.toFixed(0)} s`],
  ];
}

/** Rows of the table of kernels, one for all kernels of a signature. */
function byFamily(cases: readonly CaseResult[]): string[][] {
  const families = Map.groupBy(cases, ({ kernel }) => familiesOf(kernel)[0] ?? kernel);
  return Array.from(families, ([family, all]) => {
    const agree = all.filter(({ agrees }) => agrees).length, names = new Set(all.map(({ kernel }) => kernel));
    const worst = all.some(({ error }) => error === null) ? null : Math.max(...all.map(({ error }) => error!));
    const [only] = names.size === 1 ? names : [`${family} (${names.size} kernels)`];
    return [only!, `${all.length}`, `${agree}`, errorText(worst)];
  });
}

function verdictLines(results: VerifyResults): string[] {
  const { cases, matrix, model, passed } = results, failed = failures(results);
  const part = (all: readonly { readonly agrees: boolean }[], what: string) =>
    `${all.filter(({ agrees }) => agrees).length} of ${all.length} ${what}`;
  const summary = [part(cases, "kernel cases"), part(matrix, "matrix kernels"), part(model, "results of the model")];
  return [
    `${passed ? "passed" : "FAILED"}: ${summary.join(", ")} agree`,
    ...failed.map((line) => `FAILED: ${line}`),
  ];
}

function section(title: string, heads: string[], rows: string[][], right: number[]): string[] {
  return rows.length === 0 ? [] : ["", ...linesOf({ heads: [title, ...heads.slice(1)], rows, right })];
}

function details(title: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return [];
  return ["", `<details><summary>${title}</summary>`, "", "```text", ...lines, "```", "", "</details>"];
}

const verdict = (agrees: boolean) => agrees ? "agrees" : "FAILED";
function errorText(error: number | null): string {
  if (error === null) return "not finite";
  return error === 0 ? "0" : error < 0.001 ? error.toExponential(1) : error.toPrecision(2);
}
/** Of replies there is no error. */
const modelError = ({ error, limit, problem, agrees }: ModelResult) =>
  problem ?? (error === null && limit === null && agrees ? "-" : errorText(error));
/**
 * The median of a measurement's runs, and the least and the largest, which hold the median of all runs that could be
 * made in 94 cases of 100 where there are five and they are independent.
 */
function speedTexts(runs: readonly number[]): [median: string, interval: string] {
  if (runs.length === 0) return ["-", ""];
  const spread = spreadOf(runs);
  return [medianText(spread), intervalText(spread)];
}
/** Text for a cell of a table: what would end the cell is escaped or becomes a space. */
const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("\n", " ");
