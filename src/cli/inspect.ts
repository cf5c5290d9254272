/** `mxoss inspect`: what a checkpoint holds, without reading its weights. */
import { Costs } from "../model/work.ts";
import { ownPages, PAGE_POSITIONS } from "../model/pages.ts";
import { type Checkpoint, FINGERPRINT_COVERS, openCheckpoint } from "../checkpoint/checkpoint.ts";
import { conversionsText } from "../checkpoint/conversions.ts";
import { refuseChanged } from "../checkpoint/identity.ts";
import type { ModelConfig } from "../checkpoint/model_config.ts";
import { linearBytes, matrixBytes, weightBytes } from "../checkpoint/weight_bytes.ts";
import {
  LAYER_LINEARS,
  type LayerTree,
  linearsNamed,
  type LinearSource,
  type MatrixSource,
  type VectorSource,
} from "../checkpoint/source.ts";
import { bytesText } from "../amounts.ts";
import type { InputFormat } from "../formats/input.ts";
import { operationWith } from "../model/operations.ts";
import type { PlannedModel } from "../plan/planned.ts";
import type { PlannedLinear } from "../plan/plan.ts";
import type { INSPECT } from "./inspect_options.ts";
import { gpuLines, type GpuMemory, gpuMemory } from "./inspect_memory.ts";
import { partsOf, processLines, rankLines } from "./inspect_ranks.ts";
import { findTemplate, type TemplateFound } from "./inspect_text.ts";
import { modelDirectory } from "./open_model.ts";
import type { Parsed } from "./options.ts";
import { formatChoices, planOnce, refuseLonger } from "./settings.ts";
import { printableLine } from "../printable.ts";
import { folded, linesOf, tableLines } from "./table.ts";
import { said } from "./spelling.ts";
import { note, writeLines, writeOut } from "./terminal.ts";

/** Linears of one kind in one layer, all of the same formats and shape; experts are counted. */
interface LinearSummary {
  readonly name: string;
  readonly weight: string;
  /** How it is stored, where it is converted while it is loaded; null: as it is computed. */
  readonly stored_as: string | null;
  readonly input: string;
  readonly scales: string;
  /** What decided about the input. */
  readonly decided_by: string;
  /** Output features, input features. */
  readonly shape: readonly [rows: number, cols: number];
  readonly count: number;
  /** Weights, scales and biases of all of them. */
  readonly bytes: number;
}

/** Positions of a sequence, where nobody says how many. */
const CONTEXT = 4096;

/** Runs the command; gives its exit code. */
export async function inspectCommand({ options }: Parsed<typeof INSPECT.options>): Promise<number> {
  const warn = options.json ? () => {} : (line: string) => note(`warning: ${line}`);
  const checkpoint = openCheckpoint(await modelDirectory(options.model), { checkScales: false, onWarning: warn });
  const { maxPositions } = checkpoint.config, { sequences: slots, context = Math.min(maxPositions, CONTEXT) } = options;
  refuseLonger(context, maxPositions);
  // Which of the GPU backends makes no difference.
  const choices = { ...formatChoices(options), backend: "hip", chunk: options.chunk } as const;
  const setting = planOnce({ checkpoint, ...choices }, warn);
  const template = await findTemplate(checkpoint), { problem } = template;
  if (problem !== null) warn(problem);
  const summary = await summarize(checkpoint, setting.planned, { tp: options.tp, ep: options.ep });
  const report = {
    ...summary,
    chat_template: template,
    warnings: [...summary.warnings, ...(problem === null ? [] : [problem])],
    gpu_memory: gpuMemory(setting, slots, context),
  };
  // Only headers were read of what it tells about.
  refuseChanged(checkpoint.identity);
  await (options.json ? writeOut(`${JSON.stringify(report, null, 2)}\n`) : writeLines(folded(textLines(report))));
  return 0;
}

async function summarize(
  checkpoint: Checkpoint,
  { plan, source }: PlannedModel,
  sizes: { readonly tp: number; readonly ep: number },
) {
  const { dir, layout, config } = checkpoint;
  const warnings = [...checkpoint.warnings, ...plan.warnings];
  const decided = new Map(plan.linears.map((linear) => [linear.module, linear]));
  return {
    dir,
    layout,
    fingerprint: await checkpoint.fingerprint(),
    fingerprint_covers: FINGERPRINT_COVERS,
    config,
    files: checkpoint.source.files,
    file_bytes: checkpoint.source.files.reduce((sum, { bytes }) => sum + bytes, 0),
    weight_bytes: weightBytes(source),
    scheme: plan.scheme,
    conversions: checkpoint.conversions,
    scale_rule: plan.scaleRule,
    kv_cache: {
      format: plan.kvFormat,
      decided_by: said(plan.kvDecidedBy),
      page_positions: PAGE_POSITIONS,
      page_bytes: new Costs(config, source, plan.kvFormat).pageBytes(1),
      pages_of_all_positions: ownPages({ config, context: config.maxPositions, maxTokens: 1 }).full,
    },
    embedding: { weight: source.tree.embedding.format, bytes: matrixBytes(source.tree.embedding) },
    head: summary("lm_head", [source.tree.head], decided),
    layers: source.tree.layers.map((layer, index) => ({
      layer: index,
      window: config.sliding[index] ? config.slidingWindow : null,
      kv_scales: source.kvScales[index]!,
      linears: layerSummary(layer, decided),
    })),
    parallel: partsOf(config, source, sizes),
    warnings,
  };
}

/** What pages of the cache are on a GPU. */
function pagesText(
  cache: Readonly<Record<"page_positions" | "page_bytes" | "pages_of_all_positions", number>>,
): string {
  const { page_positions: positions, page_bytes: bytes, pages_of_all_positions: most } = cache;
  return `on a GPU pages of ${positions} positions, ${bytesText(bytes)} each, ${most} for all positions`;
}

/** Planned linears by module name. */
type Decided = ReadonlyMap<string, PlannedLinear>;

function layerSummary(layer: LayerTree<LinearSource, VectorSource>, decided: Decided): LinearSummary[] {
  return LAYER_LINEARS.flatMap((name) => byFormat(operationWith(name).name, linearsNamed(layer, name), decided));
}

/** Experts may differ from each other: one summary for each combination of formats, in order of their first expert. */
function byFormat(name: string, linears: readonly LinearSource[], decided: Decided): LinearSummary[] {
  const groups = Map.groupBy(linears, (linear) => `${linear.weight.format} ${inputText(linear)}`);
  return [...groups.values()].map((group) => summary(name, group, decided));
}

function summary(name: string, linears: readonly LinearSource[], decided: Decided): LinearSummary {
  const { weight, module } = linears[0]!;
  const plan = decided.get(module ?? "");
  return {
    name,
    weight: weight.format,
    stored_as: plan?.storedAs?.format ?? null,
    input: inputText(linears[0]!),
    scales: scalesText(weight, plan),
    decided_by: said(plan?.decidedBy ?? ""),
    shape: [weight.rows, weight.cols],
    count: linears.length,
    bytes: linears.reduce((sum, linear) => sum + linearBytes(linear), 0),
  };
}

/** Where scales come from: the weight's, then that of a static input. */
function scalesText({ scale }: MatrixSource, plan: PlannedLinear | undefined): string {
  const weight = { none: "", e8m0: "e8m0 per 32", tensor: "per tensor", row: "per row" }[scale.kind];
  const input = plan?.inputScaleFrom ? `input from ${plan.inputScaleFrom}` : "";
  return [weight, input].filter((part) => part !== "").join(", ");
}

function inputText({ input, rotation }: LinearSource): string {
  return rotation === undefined ? formatText(input) : `rotated by ${rotation.size}, ${formatText(input)}`;
}

function formatText(input: InputFormat): string {
  switch (input.kind) {
    case "none":
      return "as it is";
    case "mx":
      return `mx ${input.element}, ${input.rule} scales`;
    case "fp8_static":
      return "fp8, static scale";
    case "fp8_token":
      return "fp8, scale per token";
    case "q8_0":
      return "q8_0, scales per 32";
  }
}

type Report = Awaited<ReturnType<typeof summarize>> & {
  readonly chat_template: TemplateFound;
  readonly gpu_memory: GpuMemory;
};

function textLines(report: Report): string[] {
  const { config, layers, parallel, chat_template: template } = report;
  const { yarn, theta } = config.rope;
  const rope = yarn === null ? "plain" : `YaRN x${yarn.factor} from ${yarn.originalMaxPositions} positions`;
  const facts = [
    ["checkpoint", report.dir],
    ["layout", report.layout],
    ["files", `${report.files.length}, ${bytesText(report.file_bytes)} (weights ${bytesText(report.weight_bytes)})`],
    ["fingerprint", `${report.fingerprint} (${report.fingerprint_covers})`],
    ["scheme", report.scheme],
    ...(report.conversions.length === 0
      ? []
      : [["quantized", `${printableLine(conversionsText(report.conversions))}, by config.json`]]),
    ["KV cache", `${report.kv_cache.format} (by ${report.kv_cache.decided_by}); ${pagesText(report.kv_cache)}`],
    ["layers", `${config.layers}, hidden size ${config.hidden}, vocabulary ${config.vocab}`],
    ["attention", `${config.heads} heads of ${config.headDim}, ${config.kvHeads} key/value heads, ${windows(config)}`],
    ["experts", `${config.experts} of size ${config.intermediate}, ${config.topK} per token`],
    ["rotary", `theta ${theta}, ${rope}`],
    ["positions", `${config.maxPositions}`],
    ["stop tokens", config.eosTokenIds.join(", ")],
    [
      "chat template",
      template.source === null ? `cannot be used: ${template.problem}` : printableLine(template.source),
    ],
  ];
  const lines = [...tableLines(facts), ""];
  const heads = ["layers", "linear", "weight", "input", "scales", "decided by", "shape", "count", "bytes"];
  const rows: string[][] = [];
  for (const { first, last, linears } of runs(layers)) {
    const span = first === last ? `${first}` : `${first}-${last}`;
    linears.forEach((linear, i) => rows.push([i === 0 ? span : "", ...cells(linear)]));
  }
  rows.push(["", ...cells(report.head)]);
  lines.push(...linesOf({ heads, rows, right: [7, 8] }, undefined, 2));
  if (parallel.ranks.length > 1) {
    lines.push("", ...rankLines(parallel.ranks), "", ...processLines(parallel.processes));
  }
  lines.push("", ...gpuLines(report.gpu_memory));
  return lines;
}

function cells({ name, weight, stored_as, input, scales, decided_by, shape, count, bytes }: LinearSummary): string[] {
  return [
    name,
    stored_as === null ? weight : `${weight} (stored as ${stored_as})`,
    input,
    scales,
    decided_by,
    shape.join(" x "),
    `${count}`,
    bytesText(bytes),
  ];
}

function windows({ sliding, slidingWindow, layers }: ModelConfig): string {
  const limited = sliding.filter(Boolean).length;
  return limited === 0 ? "no window" : `window ${slidingWindow} on ${limited} of ${layers} layers`;
}

/**
 * Consecutive layers whose linears are the same but for the layer's number in an entry that names the module, joined.
 */
function runs(layers: Report["layers"]) {
  const joined: { first: number; last: number; linears: readonly LinearSummary[]; key: string }[] = [];
  for (const { layer, linears: own } of layers) {
    const linears = own.map((linear) => ({
      ...linear,
      decided_by: linear.decided_by.replaceAll(`model.layers.${layer}.`, "model.layers.N."),
    }));
    const key = JSON.stringify(linears);
    const run = joined.at(-1);
    if (run?.key === key) run.last = layer;
    else joined.push({ first: layer, last: layer, linears, key });
  }
  return joined;
}
