/** `mxoss eval perplexity`: how well a text is predicted under a matrix of settings. */
import { writeWhole } from "../../checkpoint/atomic.ts";
import { refuseChanged } from "../../checkpoint/identity.ts";
import { InputError } from "../../errors.ts";
import { readTextFile } from "../../eval/dataset.ts";
import { finite } from "../../eval/divergence_result.ts";
import { Journal } from "../../eval/journal.ts";
import { cellKey, cellLabel } from "../../eval/matrix.ts";
import { cutSequences, nllIncrease, perplexityOf, SequenceNll, sequenceNll } from "../../eval/perplexity.ts";
import { PerplexityResults, SCHEMA_VERSION, type SettingProtocol } from "../../eval/results_schema.ts";
import { decode } from "../../text/stream_decoder.ts";
import { type EvalOptions, matrixOf, settingsOf } from "./cells.ts";
import { COMPARE_CHUNK, divergenceOf } from "./divergence.ts";
import { makeDirectory, refuseOtherResults, resultsText } from "./output.ts";
import { RateBar } from "./progress.ts";
import type { PlannedSetting } from "../../session/setting.ts";
import { hashedProtocol, loadSetting } from "../settings.ts";
import { guarded } from "./setting.ts";
import { perplexityTables } from "./tables.ts";
import { EXIT_INTERRUPTED, Interrupt, INTERRUPTED } from "../interrupt.ts";
import { openModel, openTokenizer } from "../open_model.ts";
import { note, writeOut } from "../terminal.ts";
import { VERSION } from "../version.ts";

/** Where sequences are kept; see {@linkcode Journal}. */
interface NllStore {
  readonly entries: ReadonlyMap<number, SequenceNll>;
  append(entry: SequenceNll): void;
  [Symbol.dispose]?(): void;
}

interface CellRun {
  readonly key: string;
  readonly label: string;
  readonly setting: PlannedSetting;
  readonly protocol: SettingProtocol;
  readonly store: NllStore;
}

/** What is predicted. */
interface PerplexityTask {
  readonly sequences: readonly Int32Array[];
  readonly protocol: PerplexityResults["protocol"];
}

/** Runs the task. */
export async function evalPerplexity(options: EvalOptions): Promise<number> {
  if (options.text === undefined) throw new InputError("--text: required by mxoss eval perplexity, but not given");
  const { name, sha256, text } = readTextFile(options.text, "--text");
  const checkpoint = openModel(options.model);
  const tokenizer = await openTokenizer(checkpoint);
  const ids = tokenizer.encode(text, { allowSpecial: true }).slice(0, options.limit);
  const length = Math.min(options["sequence-length"], checkpoint.config.maxPositions);
  const task: PerplexityTask = {
    sequences: cutSequences(ids, length, options.text),
    protocol: {
      text: {
        name,
        sha256,
        bytes: new TextEncoder().encode(decode(tokenizer, ids, "keep")).length,
        tokens: ids.length,
        sequence_length: length,
      },
    },
  };
  using interrupt = new Interrupt();
  const { out } = options;
  if (out !== undefined) {
    makeDirectory(out);
    refuseOtherResults(out, "mxoss.eval.perplexity", textOf(task.protocol), (results) => textOf(results.protocol));
  }
  const cells = matrixOf(options);
  const settings = await settingsOf(cells, checkpoint, options);
  const runs: CellRun[] = [];
  try {
    for (const [i, setting] of settings.entries()) {
      const cell = cells[i]!, key = cellKey(cell), protocol = await hashedProtocol(setting);
      const label = cellLabel(cell, cells, (c) => settings[cells.indexOf(c)]!.planned.plan.scheme);
      const store = out === undefined
        ? new MemoryStore()
        : Journal.open(`${out}/nll.${key}.jsonl`, header(task, protocol), (v) => SequenceNll.parse(v));
      runs.push({ key, label, setting, protocol, store });
    }
    const results = await interrupt.race(runAll(runs, task, options));
    if (results === INTERRUPTED) {
      note(
        `interrupted; ${
          out === undefined ? "nothing was kept" : `what is done is kept in ${out}: the same command goes on`
        }`,
      );
      return EXIT_INTERRUPTED;
    }
    for (const { setting } of runs) refuseChanged(setting.checkpoint.identity);
    const json = resultsText(PerplexityResults, results);
    if (out !== undefined) {
      writeWhole(`${out}/results.json`, json);
      const { perplexityReport } = await import("../../eval/report/perplexity_page.ts");
      writeWhole(`${out}/report.html`, await perplexityReport(results));
    }
    await writeOut(options.json ? json : `${perplexityTables(results).join("\n")}\n`);
    return 0;
  } finally {
    for (const { store } of runs) store[Symbol.dispose]?.();
  }
}

function header({ protocol: { text } }: PerplexityTask, setting: SettingProtocol) {
  const { threads: _, model: _model, ...numbers } = setting;
  return {
    schema: "mxoss.nll",
    version: SCHEMA_VERSION,
    text: textOf({ text }),
    setting: numbers,
  };
}

/** What was predicted. More tokens add sequences; only a last one that was cut short would change. */
function textOf({ text }: PerplexityResults["protocol"]) {
  return { sha256: text.sha256, sequence_length: text.sequence_length, tokens: text.tokens };
}

class MemoryStore implements NllStore {
  readonly entries = new Map<number, SequenceNll>();
  append(entry: SequenceNll): void {
    this.entries.set(entry.index, entry);
  }
}

async function runAll(
  runs: readonly CellRun[],
  task: PerplexityTask,
  options: EvalOptions,
): Promise<PerplexityResults> {
  for (const run of runs) await predict(run, task, options);
  const [first, ...others] = runs;
  const nlls = runs.map(({ store }) => task.sequences.map((_, i) => store.entries.get(i)!));
  const divergences: PerplexityResults["divergences"] = [];
  for (const run of options.divergence === 0 ? [] : others) {
    divergences.push({
      key: run.key,
      divergence: await divergenceOf({
        first: first!.setting,
        other: run.setting,
        label: run.label,
        sequences: () => task.sequences.slice(0, options.divergence),
        alarm: options.alarm,
        chunk: COMPARE_CHUNK,
        kept: options.out === undefined ? null : {
          path: `${options.out}/divergence.${run.key}.jsonl`,
          header: {
            schema: "mxoss.divergence",
            version: SCHEMA_VERSION,
            first: header(task, first!.protocol),
            other: header(task, run.protocol),
            sequences: options.divergence,
            alarm: options.alarm,
          },
        },
      }),
    });
  }
  return {
    schema: "mxoss.eval.perplexity",
    version: SCHEMA_VERSION,
    mxoss: VERSION,
    protocol: task.protocol,
    cells: runs.map(({ key, label, protocol }, i) => {
      const { predicted, nll, perplexity, bitsPerByte } = perplexityOf(nlls[i]!, task.protocol.text.bytes);
      return {
        key,
        label,
        protocol,
        predicted,
        nll: finite(nll),
        perplexity: finite(perplexity),
        bits_per_byte: finite(bitsPerByte),
      };
    }),
    comparisons: others.map(({ key }, i) => {
      const { mean, low, high } = nllIncrease(nlls[0]!, nlls[i + 1]!);
      return { key, nll_increase: { mean: finite(mean), low: finite(low), high: finite(high) } };
    }),
    divergences,
  };
}

async function predict({ store, setting, label }: CellRun, { sequences }: PerplexityTask, options: EvalOptions) {
  refuseChanged(setting.checkpoint.identity);
  const kept = guarded(setting, store);
  const missing = sequences.map((_, i) => i).filter((i) => !store.entries.has(i));
  if (missing.length === 0) return;
  const total = sequences.reduce((sum, s) => sum + s.length, 0);
  let done = total - missing.reduce((sum, i) => sum + sequences[i]!.length, 0);
  const context = Math.max(...sequences.map((s) => s.length));
  const session = await loadSetting(setting, { slots: 1, context, chunk: options.chunk });
  try {
    using bar = new RateBar(label, "tokens");
    for (const index of missing) {
      const tokens = sequences[index]!;
      kept.append(await sequenceNll(session, index, tokens, (part) => bar.update(done + part, total)));
      done += tokens.length;
    }
  } finally {
    await session.close();
  }
}
