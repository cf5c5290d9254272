/** `mxoss eval gsm8k`: word problems under a matrix of settings. */
import type { Checkpoint } from "../../checkpoint/checkpoint.ts";
import { writeWhole } from "../../checkpoint/atomic.ts";
import { refuseChanged } from "../../checkpoint/identity.ts";
import { InputError } from "../../errors.ts";
import { Answer } from "../../eval/answers.ts";
import { type Dataset, type Problem, readDataset } from "../../eval/dataset.ts";
import { chooseShots, type FewShot } from "../../eval/fewshot.ts";
import { FILTERS } from "../../eval/filters.ts";
import {
  accuracies,
  answerAll,
  answersInOrder,
  type AnswerStore,
  compareWithFirst,
  prepareTask,
  roomFor,
  type Task,
} from "../../eval/gsm8k.ts";
import { Journal } from "../../eval/journal.ts";
import { lmEvalSamples } from "../../eval/lm_eval.ts";
import { type Cell, cellKey, cellLabel } from "../../eval/matrix.ts";
import { PROMPT_DATE, STOP_TEXTS } from "../../eval/prompts.ts";
import { reliabilityBins } from "../../eval/reliability.ts";
import { Gsm8kResults, SCHEMA_VERSION, type SettingProtocol } from "../../eval/results_schema.ts";
import { ChatRenderer } from "../../text/chat.ts";
import { type EvalOptions, matrixOf, settingsOf } from "./cells.ts";
import { COMPARE_CHUNK, divergenceOf } from "./divergence.ts";
import { DEFAULT_REPLY_TOKENS } from "./options.ts";
import { makeDirectory, refuseOtherResults, resultsText } from "./output.ts";
import { RateBar } from "./progress.ts";
import type { PlannedSetting } from "../../session/setting.ts";
import { hashedProtocol, loadSetting } from "../settings.ts";
import { guarded } from "./setting.ts";
import { gsm8kTables } from "./tables.ts";
import { EXIT_INTERRUPTED, Interrupt, INTERRUPTED } from "../interrupt.ts";
import { openModel, openTokenizer, textDirectory } from "../open_model.ts";
import { note, writeOut } from "../terminal.ts";
import { VERSION } from "../version.ts";

/** One cell with everything that belongs to it. */
interface CellRun {
  readonly key: string;
  readonly label: string;
  readonly setting: PlannedSetting;
  readonly protocol: SettingProtocol;
  readonly store: AnswerStore & Partial<Disposable>;
}

/** Runs the task. */
export async function evalGsm8k(options: EvalOptions): Promise<number> {
  if (options.data === undefined) throw new InputError("--data: required by mxoss eval gsm8k, but not given");
  if (options.export !== undefined && options.out === undefined) {
    throw new InputError("--export: expected together with --out, which says where to");
  }
  const data = readDataset(options.data, "--data");
  const shotsFrom = options["shots-from"] === undefined ? data : readDataset(options["shots-from"], "--shots-from");
  const chosen = chooseShots(data, shotsFrom, options.shots, options.seed);
  const asked = chosen.asked.slice(0, options.limit);
  const checkpoint = openModel(options.model);
  const task = await makeTask(asked, chosen, checkpoint, options);
  printShots(chosen, shotsFrom);

  const protocol = protocolOf(task, data, shotsFrom, chosen, options, checkpoint);
  using interrupt = new Interrupt();
  const { out } = options;
  if (out !== undefined) {
    makeDirectory(out);
    refuseOtherResults(out, "mxoss.eval.gsm8k", taskOf(protocol), (results) => taskOf(results.protocol));
  }
  const runs = await openRuns(matrixOf(options), protocol, checkpoint, options);
  try {
    const work = runAll(runs, task, protocol, options);
    const results = await interrupt.race(work);
    if (results === INTERRUPTED) {
      const kept = runs.reduce((sum, { store }) => sum + answersInOrder(task, store).length, 0);
      note(
        `interrupted after ${kept} of ${runs.length * asked.length} answers; ` +
          (out === undefined
            ? "with --out they would have been kept"
            : `they are kept in ${out}: the same command goes on`),
      );
      return EXIT_INTERRUPTED;
    }
    for (const { setting } of runs) refuseChanged(setting.checkpoint.identity);
    const text = resultsText(Gsm8kResults, results);
    if (out !== undefined) {
      writeWhole(`${out}/results.json`, text);
      const { gsm8kReport } = await import("../../eval/report/gsm8k_page.ts");
      writeWhole(`${out}/report.html`, await gsm8kReport(results));
      if (options.export === "lm-eval") exportSamples(runs, task, out);
    }
    await writeOut(options.json ? text : `${gsm8kTables(results).join("\n")}\n`);
    return 0;
  } finally {
    for (const { store } of runs) store[Symbol.dispose]?.();
  }
}

async function makeTask(
  asked: readonly Problem[],
  { shots }: FewShot,
  checkpoint: Checkpoint,
  options: EvalOptions,
): Promise<Task> {
  const tokenizer = await openTokenizer(checkpoint);
  const completion = options.prompt === "completion";
  const chat = completion ? null : await ChatRenderer.fromDirectory(textDirectory(checkpoint), tokenizer);
  for (const name of ["system", "reasoning"] as const) {
    if (completion && options[name] !== undefined) {
      throw new InputError(`--${name}: expected with a chat, got --prompt completion`);
    }
  }
  if (options.reasoning !== undefined && !chat!.takesReasoning) {
    note(`warning: --reasoning: ${chat!.source} takes no reasoning effort`);
  }
  const { maxPositions } = checkpoint.config;
  const wanted = options["max-tokens"] ?? DEFAULT_REPLY_TOKENS[completion ? "completion" : "chat"];
  return prepareTask(
    asked,
    {
      format: options.prompt,
      tokenizer,
      chat,
      shots,
      ...(options.system === undefined ? {} : { system: options.system }),
      ...(options.reasoning === undefined ? {} : { reasoning: options.reasoning }),
    },
    checkpoint.config,
    options["max-tokens"] ?? Math.min(wanted, Math.floor(maxPositions / 2)),
  );
}

/** The choice of examples is part of what was measured. */
function printShots({ shots }: FewShot, { name }: Dataset): void {
  shots.forEach(({ index, question }, i) =>
    note(`example ${i + 1} of ${shots.length}: ${name} problem ${index}: ${question.replaceAll("\n", " ")}`)
  );
}

function protocolOf(
  task: Task,
  data: Dataset,
  shotsFrom: Dataset,
  { shots }: FewShot,
  options: EvalOptions,
  { config }: Checkpoint,
): Gsm8kResults["protocol"] {
  const { format, chat } = task.prompting;
  return {
    data: { name: data.name, sha256: data.sha256, problems: data.problems.length, asked: task.problems.length },
    prompt: {
      format,
      template: chat === null ? "none" : chat.template === null ? "built-in harmony" : "the checkpoint's chat template",
      system: options.system ?? null,
      reasoning: options.reasoning ?? null,
      date: PROMPT_DATE,
      shots: shots.map(({ index, question }) => ({ index, question })),
      shots_from: shots.length === 0 ? null : { name: shotsFrom.name, sha256: shotsFrom.sha256 },
      seed: options.seed,
    },
    decoding: {
      method: "greedy",
      max_tokens: task.maxTokens,
      stop_ids: [...config.eosTokenIds],
      stop_texts: format === "completion" ? [...STOP_TEXTS] : [],
    },
    scoring: "lm-eval's gsm8k filters, version 3.0, " +
      (format === "completion"
        ? "on the completion"
        : "on the final channel, or on the whole reply where there is none"),
  };
}

/** Opens every journal before anything is computed: what does not fit is refused at once. */
async function openRuns(
  cells: readonly Cell[],
  protocol: Gsm8kResults["protocol"],
  checkpoint: Checkpoint,
  options: EvalOptions,
): Promise<CellRun[]> {
  const runs: CellRun[] = [];
  const settings = await settingsOf(cells, checkpoint, options);
  const schemeName = (cell: Cell) => settings[cells.indexOf(cell)]!.planned.plan.scheme;
  for (const [i, cell] of cells.entries()) {
    const setting = settings[i]!, key = cellKey(cell);
    const own = await hashedProtocol(setting);
    const store = options.out === undefined
      ? new MemoryStore()
      : Journal.open(`${options.out}/answers.${key}.jsonl`, answersHeader(protocol, own), (v) => Answer.parse(v));
    runs.push({ key, label: cellLabel(cell, cells, schemeName), setting, protocol: own, store });
  }
  return runs;
}

/** What answers depend on: neither threads nor how many problems are asked. */
function answersHeader(protocol: Gsm8kResults["protocol"], setting: SettingProtocol) {
  const { threads: _, model: _model, ...numbers } = setting;
  return { schema: "mxoss.answers", version: SCHEMA_VERSION, ...taskOf(protocol), setting: numbers };
}

/** The part of the protocol that answers depend on. */
function taskOf({ data, ...rest }: Gsm8kResults["protocol"]) {
  return { ...rest, data: { sha256: data.sha256 } };
}

/** Answers of a run that keeps nothing. */
class MemoryStore implements AnswerStore {
  readonly entries = new Map<number, Answer>();
  append(answer: Answer): void {
    this.entries.set(answer.index, answer);
  }
}

async function runAll(
  runs: readonly CellRun[],
  task: Task,
  protocol: Gsm8kResults["protocol"],
  options: EvalOptions,
): Promise<Gsm8kResults> {
  for (const run of runs) await answerCell(run, task, options);
  const answers = runs.map(({ store }) => answersInOrder(task, store));
  const [first, ...others] = runs;
  const pairs = FILTERS.map((filter) => compareWithFirst(answers[0]!, answers.slice(1), filter));
  const divergences: Gsm8kResults["divergences"] = [];
  for (const run of options.divergence === 0 ? [] : others) {
    divergences.push({ key: run.key, divergence: await divergence(first!, run, answers[0]!, task, protocol, options) });
  }
  return {
    schema: "mxoss.eval.gsm8k",
    version: SCHEMA_VERSION,
    mxoss: VERSION,
    protocol,
    cells: runs.map((run, i) => cellResult(run, answers[i]!)),
    comparisons: others.map(({ key }, i) => ({
      key,
      pairs: pairs.map((byFilter) => {
        const { pHolm, ...pair } = byFilter[i]!;
        return { ...pair, p_holm: pHolm };
      }),
    })),
    divergences,
  };
}

async function answerCell({ store, setting, label }: CellRun, task: Task, options: EvalOptions): Promise<void> {
  refuseChanged(setting.checkpoint.identity);
  const before = answersInOrder(task, store).length;
  if (before === task.problems.length) return;
  if (before > 0) note(`${label}: ${before} of ${task.problems.length} answers are there already`);
  const room = roomFor(task, setting.checkpoint.config, setting.planned.plan.kvFormat, options.sequences);
  const session = await loadSetting(setting, {
    ...room,
    chunk: Math.min(options.chunk, room.slots * room.context),
  });
  try {
    using bar = new RateBar(label, "problems");
    await answerAll(task, session, guarded(setting, store), ({ answered, total, correct, tokens }) => {
      const right = answered === 0 ? "" : `${(100 * correct / answered).toFixed(1)}% right, `;
      bar.update(answered, total, `${right}${tokens} tokens`);
    });
  } finally {
    await session.close();
  }
}

/** The settings on the same tokens: the prompts of the first problems, with the first setting's replies. */
async function divergence(
  first: CellRun,
  other: CellRun,
  answers: readonly Answer[],
  task: Task,
  protocol: Gsm8kResults["protocol"],
  options: EvalOptions,
) {
  const header = {
    schema: "mxoss.divergence",
    version: SCHEMA_VERSION,
    first: answersHeader(protocol, first.protocol),
    other: answersHeader(protocol, other.protocol),
    problems: answers.slice(0, options.divergence).map(({ index }) => index),
    alarm: options.alarm,
  };
  return await divergenceOf({
    first: first.setting,
    other: other.setting,
    label: other.label,
    sequences: () =>
      answers.slice(0, options.divergence).map(({ ids }, i) => Int32Array.from([...task.prompts[i]!.ids, ...ids])),
    alarm: options.alarm,
    chunk: COMPARE_CHUNK,
    kept: options.out === undefined ? null : { path: `${options.out}/divergence.${other.key}.jsonl`, header },
  });
}

function cellResult({ key, label, protocol }: CellRun, answers: readonly Answer[]): Gsm8kResults["cells"][number] {
  const sum = (of: (answer: Answer) => number) => answers.reduce((total, answer) => total + of(answer), 0);
  const ends = (end: Answer["end"]) => answers.filter((answer) => answer.end === end).length;
  return {
    key,
    label,
    protocol,
    filters: accuracies(answers),
    prompt_tokens: sum(({ promptTokens }) => promptTokens),
    generated_tokens: sum(({ generatedTokens }) => generatedTokens),
    ends: { stop: ends("stop"), text: ends("text"), length: ends("length") },
    without_final: answers.filter(({ origin }) => origin === "whole").length,
    reliability: reliabilityBins(answers),
  };
}

function exportSamples(runs: readonly CellRun[], task: Task, out: string): void {
  for (const { key, store } of runs) {
    const lines = lmEvalSamples(task, answersInOrder(task, store));
    writeWhole(`${out}/samples_gsm8k_${key}.jsonl`, lines.map((line) => `${line}\n`).join(""));
  }
}
