/** `mxoss compare`: two settings on the same tokens. */
import { removeIfThere } from "../checkpoint/atomic.ts";
import { makeWritableDirectory } from "../checkpoint/directories.ts";
import { userHashesOf } from "./user_hashes.ts";
import { inDirectory, inMemory } from "../eval/stores.ts";
import { predictionsIn } from "../eval/divergence_result.ts";
import { comparisonHeader, KeptPassages, PASSAGES, passagesHeader, passagesOf } from "../eval/passages.ts";
import { writeComparison } from "./compare_files.ts";
import { llamaCppLines } from "../eval/report/llama_cpp.ts";
import { dryRun } from "./dry_run.ts";
import { DEFAULT_ALARM } from "./eval/options.ts";
import { UsageError } from "./spelling.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { readTextFile, type TextFile } from "../eval/dataset.ts";
import { costOf } from "../eval/cost.ts";
import { compareCells } from "../eval/compare_cells.ts";
import { checkComparable } from "../eval/divergence.ts";
import { cutSequences, lengthThatBounds, refuseUnknownIds } from "../eval/perplexity.ts";
import { repeatedShare } from "../eval/repeats.ts";
import { resultsText } from "../eval/results_file.ts";
import { CompareResults, SCHEMA_VERSION } from "../eval/results_schema.ts";
import type { CalibratedScales, PlannedSetting, Setting } from "../session/setting.ts";
import { judge } from "./compare_gate.ts";
import type { COMPARE } from "./compare_options.ts";
import { inSide, type SideChoices, sideChoices, SIDES } from "./compare_sides.ts";
import { compareTables } from "./compare_tables.ts";
import {
  calibratedScales,
  type MeasureScales,
  planCalibrated,
  type Pretended,
  pretendedScales,
  refuseNeedless,
} from "./calibrate.ts";
import { COMPARISONS, divergenceIn, keepsAll, keptAlone, passagesIn } from "./compare_kept.ts";
import { keptEntries } from "./eval/kept.ts";
import { refuseOtherResults, sayWhere } from "./eval/output.ts";
import { EXIT_INTERRUPTED, Interrupt, INTERRUPTED } from "./interrupt.ts";
import { noteShorter, openModel, openTokenizer } from "./open_model.ts";
import type { OptionValues, Parsed } from "./options.ts";
import { ProgressBar } from "./progress.ts";
import { hashedProtocol, hashWeights, loadSetting, refuseIdleRule, warnOnce } from "./settings.ts";
import { folded, noteFolded } from "./table.ts";
import { note, writeLines, writeOut } from "./terminal.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { VERSION } from "./version.ts";
import { largest } from "../largest.ts";
import { reading } from "../validate.ts";

type CompareOptions = OptionValues<typeof COMPARE.options>;

/** Refuses two forms at once: what is printed has one. */
function refuseTwoForms({ format, json, all }: CompareOptions): void {
  if (all && json) {
    throw UsageError.of("contradiction", { option: "all" }, "without --json, which prints everything");
  }
  if (format === undefined || !(json || all)) return;
  throw UsageError.of("contradiction", { option: "format" }, `without --${json ? "json" : "all"}`);
}

/** Runs the command; gives its exit code. */
export async function compareCommand({ options }: Parsed<typeof COMPARE.options>): Promise<number> {
  refuseTwoForms(options);
  const sides = sideChoices(options), { out = null } = options, file = readTextFile(options.text, "--text");
  const calibrations: Pretended[] = [];
  const measure = options["dry-run"] ? pretendedScales(calibrations) : calibratedScales;
  const [a, b] = await planSides(sides, options, measure) as [PlannedSetting, PlannedSetting];
  checkComparable(a.checkpoint.config, b.checkpoint.config);

  const text = await tokensOf(file.text, [a.checkpoint, b.checkpoint], options);
  if (options["dry-run"]) {
    const context = largest(text.sequences.map((sequence) => sequence.length));
    const done = out !== null && await keepsAll(out, [a, b], textProtocol(file, text), text.sequences.length, options),
      left = done ? 0 : text.ids.length;
    const tokens = { low: left, high: left };
    const pair = { label: "A and B", settings: [a, b] as const, tokens, predicted: { low: 0, high: 0 }, context };
    return await dryRun([], [pair], done ? [] : calibrations, out, options.json);
  }
  if (out !== null) {
    openDirectory(out);
    for (const [name, { checkpoint }] of [["a", a], ["b", b]] as const) {
      using bar = new ProgressBar("hashing weights");
      const kept = { open: inDirectory(out), name: `weights.${name}` };
      await hashWeights(checkpoint, kept, userHashesOf(options), (done, total) => bar.update(done, total));
    }
  }

  using interrupt = new Interrupt();
  const protocol = { a: await hashedProtocol(a), b: await hashedProtocol(b), text: textProtocol(file, text) };
  const found = await interrupt.race(compareText([a, b], text, protocol, options));
  if (found === INTERRUPTED) {
    noteFolded("interrupted: a comparison is kept as a whole, so that the same command begins anew");
    return EXIT_INTERRUPTED;
  }
  const results: CompareResults = {
    schema: "mxoss.compare",
    version: SCHEMA_VERSION,
    mxoss: VERSION,
    protocol,
    cost: { a: costOf(a), b: costOf(b) },
    bandwidth: options.bandwidth ?? null,
    divergence: found.divergence,
  };
  const code = await report(results, found.passages, options), given = options["sequence-length"];
  if (given !== undefined) noteShorter(given, text.length, text.shorter);
  return code;
}

/** The text that is compared, as both sides get it. */
interface ComparedText {
  readonly tokenizer: Tokenizer;
  /** Token ids of the whole text, and of its sequences of at most `length` tokens. */
  readonly ids: Int32Array;
  readonly length: number;
  /** The side that has fewer positions, or A. */
  readonly shorter: Checkpoint;
  readonly sequences: readonly Int32Array[];
}

/**
 * The tokens of A's tokenizer, in sequences that both sides have positions for.
 *
 * @throws {InputError} where the model has no token that its tokenizer makes.
 */
async function tokensOf(
  text: string,
  [checkpoint, other]: readonly [Checkpoint, Checkpoint],
  options: CompareOptions,
): Promise<ComparedText> {
  const tokenizer = await openTokenizer(checkpoint);
  const ids = tokenizer.encode(text, { allowSpecial: true }).slice(0, options.limit);
  refuseUnknownIds(ids, checkpoint.config.vocab, `${checkpoint.files.tokenizer}`);
  const shorter = other.config.maxPositions < checkpoint.config.maxPositions ? other : checkpoint;
  const length = Math.min(options["sequence-length"] ?? lengthThatBounds(ids.length), shorter.config.maxPositions);
  return { tokenizer, ids, length, shorter, sequences: cutSequences(ids, length, `--text: ${options.text}`) };
}

/** What a comparison gives: numbers, and the passages of all sequences in which the sides choose differently. */
interface Compared {
  readonly divergence: CompareResults["divergence"];
  /** Null where an earlier version compared, which kept none. */
  readonly passages: readonly KeptPassages[] | null;
}

const textProtocol = ({ name, sha256 }: TextFile, { ids, length }: ComparedText) => ({
  ...{ name, sha256, tokens: ids.length, sequence_length: length, repeated: repeatedShare(ids) },
});

/** Compares, or takes up what `--out` has of the same comparison. */
async function compareText(
  settings: readonly [PlannedSetting, PlannedSetting],
  { tokenizer, sequences }: ComparedText,
  protocol: CompareResults["protocol"],
  { out, alarm = DEFAULT_ALARM }: CompareOptions,
): Promise<Compared> {
  const open = out === undefined ? inMemory : inDirectory(out);
  const alone = out === undefined ? null : keptAlone(out, comparisonHeader(protocol, alarm));
  if (alone !== null) {
    const file = divergenceIn(out!);
    noteFolded(
      `note: no samples.html: an earlier version compared, which kept no passages; without ${file} it is done again`,
    );
    return { divergence: alone, passages: null };
  }
  using passages = open(PASSAGES, passagesHeader(protocol, alarm), reading(KeptPassages), "replace");
  if (out !== undefined && passages.entries.size !== sequences.length) {
    const kept = divergenceIn(out);
    const { indices, other } = keptEntries(kept, { header: comparisonHeader(protocol, alarm), unknown: [] });
    if (other !== null) noteFolded(`note: ${out} has another comparison, which is replaced (${other})`);
    if (indices.has(0)) note(`note: ${passagesIn(out)} has not all passages: comparing again`);
    removeIfThere(kept);
  }
  const divergence = await compareCells({
    settings,
    sequences: () => sequences.map((tokens) => ({ tokens, replyFrom: null })),
    alarm,
    progress: (unit) => new ProgressBar(unit === "tokens" ? "comparing" : "comparing weights", unit),
    predicted: (predictions) => {
      for (const found of predictions) {
        if (passages.entries.has(found.index)) continue;
        passages.append(passagesOf(found, sequences[found.index]!, tokenizer));
      }
    },
    kept: { open, name: "divergence", header: comparisonHeader(protocol, alarm) },
  }, loadSetting);
  return { divergence, passages: [...passages.entries.values()].sort((x, y) => x.index - y.index) };
}

/** Writes and prints the results; gives the exit code. */
async function report(
  results: CompareResults,
  passages: readonly KeptPassages[] | null,
  options: CompareOptions,
): Promise<number> {
  const { divergence } = results, { out, json } = options, text = resultsText(CompareResults, results);
  if (out !== undefined) await writeComparison(out, results, passages);
  const lines = options.format === undefined
    ? compareTables(results, options.all)
    : llamaCppLines(predictionsIn(divergence));
  await (json ? writeOut(text) : writeLines(folded(lines)));
  // Not before, as what is refused on the way is one line.
  if (options.a === undefined && options.b === undefined && (options.model ?? []).length < 2) {
    note("note: A and B are the same setting; --b K=V,... makes B another, for instance --b scheme=w_mxfp4_a_mxfp4");
  }
  if (out !== undefined && !json) sayWhere(out, false);
  return judge(options["fail-above"] ?? [], divergence, note);
}

/** The sides with their formats decided; a model that both compute is opened and read once. */
async function planSides(
  choices: readonly SideChoices[],
  { calibrate, out, "dry-run": dry }: CompareOptions,
  measure: MeasureScales,
): Promise<PlannedSetting[]> {
  const opened = new Map<string | undefined, Checkpoint>();
  const settings: Setting[] = [];
  for (const { model, ...side } of choices) {
    const checkpoint = opened.get(model) ?? await openModel(model);
    opened.set(model, checkpoint);
    settings.push({ checkpoint, ...side });
  }
  if (calibrate !== undefined) {
    refuseNeedless(settings);
    // What cannot be measured or planned is refused before anything is written.
    for (const [i, setting] of settings.entries()) {
      const inputScales = await pretendedScales([])(calibrate, setting, null);
      inSide(SIDES[i]!, () => planCalibrated({ ...setting, inputScales }, () => {}));
    }
    if (out !== undefined && !dry) openDirectory(out);
  }
  const warn = warnOnce();
  const planned: PlannedSetting[] = [];
  /** What both sides need is measured once. */
  const measured = new Map<string, CalibratedScales>();
  for (const [i, setting] of settings.entries()) {
    let inputScales: CalibratedScales | null = null;
    if (calibrate !== undefined) {
      const { backend, dtype } = setting;
      const key = JSON.stringify([choices[i]!.model, backend, dtype]);
      const kept = out === undefined ? null : { open: inDirectory(out), name: `calibration.${SIDES[i]}` };
      inputScales = measured.get(key) ?? await measure(calibrate, setting, kept);
      measured.set(key, inputScales);
    }
    planned.push(inSide(SIDES[i]!, () => planCalibrated({ ...setting, inputScales }, warn)));
  }
  refuseIdleRule(planned);
  return planned;
}

function openDirectory(out: string): void {
  makeWritableDirectory(out);
  refuseOtherResults(out, COMPARISONS, null);
}
