/** Runs of one task that were made apart, as the one run that would have given all their cells. */
import type { EvalResults, FinishedRun } from "./finished_run.ts";
import { journalHeader } from "./cell_run.ts";
import { decisive } from "./setting_schema.ts";
import type { DivergenceResult } from "./divergence_schema.ts";
import { InputError } from "../errors.ts";
import type { Bandwidth } from "./cost.ts";
import { findDifference, type Indexed } from "./journal.ts";
import { type Cell, cellKey, modelNames } from "./matrix.ts";
import { type AnsweredTask, answersOf, entriesOf, type KeptAnswer } from "./merge_answers.ts";
import { comparedHeader } from "./compare_all.ts";
import { stoppedTogether } from "./prediction_run.ts";
import { summarizePredictions } from "./prediction_summary.ts";
import { SequencePredictions } from "./predictions.ts";
import { type KeyedPredictions, predictionsResult, rankingOf } from "./predictions_result.ts";
import { type AnsweredCell, askedOf, type CellResult, type Common, headsOf, type Task } from "./task.ts";
import { reading } from "../validate.ts";

/** A cell of one of the runs. */
export interface Found<Results> {
  readonly run: FinishedRun<Results>;
  readonly cell: CellResult;
  /** Its place on the axes, with the name that its model has among all. */
  readonly asked: Cell;
}

/**
 * The results of all runs together; cells that several of them have count once.
 *
 * @param bandwidth What tokens per second are estimated for; undefined: as all runs have it.
 * @throws {InputError} naming the field in which two runs differ that one run could not have, or a cell that is not
 *   compared with the first.
 */
export function mergeRuns<Work, Entry extends Indexed, Results extends EvalResults>(
  task: Task<
    never,
    Work & { readonly protocol: Results["protocol"]; readonly indices: readonly number[] },
    Entry,
    Results
  >,
  runs: readonly [FinishedRun<Results>, ...FinishedRun<Results>[]],
  bandwidth: Bandwidth | undefined,
): Results {
  const [first] = runs;
  for (const run of runs) {
    refuseDifference(first, run, "mxoss");
    refuseDifference(first, run, "protocol");
    if (bandwidth === undefined) refuseDifference(first, run, "bandwidth");
  }
  const cells = inOrder(named(runs));
  const [reference] = cells as [Found<Results>];
  for (const other of cells) refuseOtherCell(reference, other);
  // Only some schemes need calibration, and the first may not: whatever does must have the same.
  const [calibrated, ...others] = cells.filter(({ cell: { protocol } }) => protocol.calibrated_on !== null);
  for (const other of others) refuseOtherCalibration(calibrated!, other);
  const heads = headsOf(cells.map(({ asked, cell: { protocol, cost } }) => ({ asked, protocol, cost })));
  const kept = cells.map((cell) => answersOf(task, cell, twinsOf(runs, cell).length > 0));
  const answered = cells.map((cell, i): AnsweredCell<Entry> => ({
    cell: heads[i]!,
    entries: entriesOf(kept[i]!, cell, task.asked(cell.run.results.protocol)),
  }));
  // Journals may hold more than is asked here, so that a line which is gone could go unnoticed.
  const indices = answered[0]!.entries.map(({ index }) => index);
  for (const [i, { entries }] of answered.entries()) {
    refuseGap(indices, entries, cells[i]!.run, `answers of ${cells[i]!.cell.key}`);
  }
  refuseOtherReplies(task, runs, cells, kept);
  const compared = runs.every(({ results }) => results.divergences.length === 0)
    ? []
    : comparedAlike(cells.slice(1).map((cell) => comparisonsOf(runs, reference, cell)))
      .map((one, i) => ({ key: heads[i + 1]!.key, ...one }));
  for (const { key, run, found: { divergence } } of compared) {
    const [one] = compared;
    refuseOther(madeOn(one!.found.divergence), madeOn(divergence), `divergences ${key}`, one!.run.dir, run.path);
  }
  // Runs that chose their numbers of sequences themselves have the first of them in common.
  const count = Math.min(...compared.map(({ found }) => found.predictions.sequences));
  let predictionsBefore: KeyedPredictions | undefined;
  const predictions = compared.map(({ key, run, found }, i): KeyedPredictions => {
    const sequences = predictionsOf(task, run, reference.cell, cells[i + 1]!.cell, found.key).slice(0, count);
    refuseGap(indices.slice(0, count), sequences, run, `predictions of ${found.key}`);
    refuseOtherTokens(predictionsBefore ??= { key, sequences }, { key, sequences }, run.path);
    return { key, sequences };
  });
  const runsOf = compared.map(({ found: { stopped, predictions: { sequences } } }) => ({ stopped, sequences }));
  const stopped = predictions.length === 0 ? "asked" : stoppedTogether(predictions, runsOf);
  const divergences = compared.map(({ key, found: { divergence } }, i) => ({
    key,
    predictions: predictionsResult(summarizePredictions(predictions[i]!.sequences)),
    stopped,
    divergence,
  }));
  return task.summarize(first.results.protocol, answered, {
    mxoss: first.results.mxoss,
    bandwidth: bandwidth ?? first.results.bandwidth,
    divergences,
    ranking: rankingOf(predictions),
  });
}

function refuseDifference<Results extends EvalResults>(
  first: FinishedRun<Results>,
  { path, results }: FinishedRun<Results>,
  field: "mxoss" | "protocol" | "bandwidth",
): void {
  refuseOther(first.results[field], results[field], field, first.dir, path);
}

/**
 * Refuses a field of one run in which another differs.
 *
 * @throws {InputError} naming the part of the field that differs, and both values.
 */
export function refuseOther(first: unknown, other: unknown, field: string, from: string, path: string): void {
  const found = findDifference(first, other, field);
  if (found === null) return;
  const { field: name, before, after } = found;
  throw InputError.saying("contradiction", { file: path }, `${name} is ${after}, not ${before} as in ${from}`);
}

/** What makes a model another one. */
const modelOf = ({ protocol: { fingerprint, weights_sha256, layout } }: CellResult) =>
  `${fingerprint} ${weights_sha256} ${layout}`;

/** All cells, each once, with the names that their models have among all. */
export function named<Results extends EvalResults>(runs: readonly FinishedRun<Results>[]): Found<Results>[] {
  const directories = new Map<string, string>();
  for (const { results } of runs) {
    for (const cell of results.cells) {
      if (!directories.has(modelOf(cell))) directories.set(modelOf(cell), cell.protocol.model);
    }
  }
  const names = modelNames([...directories.values()]), models = [...directories.keys()];
  const found = new Map<string, Found<Results>>();
  for (const run of runs) {
    for (const cell of run.results.cells) {
      const asked = { ...askedOf(cell), model: names[models.indexOf(modelOf(cell))]! }, key = cellKey(asked);
      const before = found.get(key);
      if (before !== undefined) refuseOtherTwin(before, { run, cell, asked });
      else found.set(key, { run, cell, asked });
    }
  }
  return [...found.values()];
}

/** The order of the matrix: values of an axis in the order in which they first come up. */
export function inOrder<Results>(cells: readonly Found<Results>[]): Found<Results>[] {
  const axes = (["model", "scheme", "kvCacheDtype", "tp", "ep"] as const).map((axis) => {
    const values = [...new Set(cells.map(({ asked }) => asked[axis]))];
    return ({ asked }: Found<Results>) => values.indexOf(asked[axis]);
  });
  return cells.toSorted((a, b) => axes.reduce((order, place) => order || place(a) - place(b), 0));
}

/** Two runs of one setting. */
function refuseOtherTwin<Results>(a: Found<Results>, b: Found<Results>): void {
  const [x, y] = [decisive(a.cell.protocol), decisive(b.cell.protocol)];
  refuseOther(x, y, `cells ${b.cell.key}: protocol`, a.run.dir, b.run.path);
}

/** Refuses what no axis of one run could vary. */
function refuseOtherCell<Results>(a: Found<Results>, b: Found<Results>): void {
  const fixed = ({ cell: { protocol: { backend, dtype } } }: Found<Results>) => ({ backend, dtype });
  refuseOther(fixed(a), fixed(b), `cells ${b.cell.key}: protocol`, a.run.dir, b.run.path);
}

/** Refuses scales that were measured on something else. */
function refuseOtherCalibration<Results>(a: Found<Results>, b: Found<Results>): void {
  const on = ({ cell: { protocol: { calibrated_on } } }: Found<Results>) => ({ calibrated_on });
  refuseOther(on(a), on(b), `cells ${b.cell.key}: protocol`, a.run.dir, b.run.path);
}

/**
 * Refuses a run that replied otherwise under a setting of which the replies of another run count, as GPUs of two kinds
 * may: what is paired would be of other tokens.
 */
function refuseOtherReplies<Entry extends Indexed, Results extends EvalResults>(
  task: AnsweredTask<Entry, Results>,
  runs: readonly FinishedRun<Results>[],
  cells: readonly Found<Results>[],
  kept: readonly ReadonlyMap<number, KeptAnswer<Entry>>[],
): void {
  for (const [i, counted] of cells.entries()) {
    for (const { run, cell } of twinsOf(runs, counted)) {
      for (const { index, reply } of answersOf(task, { run, cell }, true).values()) {
        if (reply === (kept[i]!.get(index)?.reply ?? reply)) continue;
        const problem = `has another reply to number ${index} under ${cell.key} than ${counted.run.dir}`;
        throw InputError.saying("contradiction", { file: run.path }, problem);
      }
    }
  }
}

/** The same setting in other runs than the one whose replies count. */
function twinsOf<Results extends EvalResults>(runs: readonly FinishedRun<Results>[], counted: Found<Results>) {
  return runs.filter((run) => run !== counted.run).flatMap((run) =>
    run.results.cells.filter((cell) => sameCell(cell, counted)).map((cell) => ({ run, cell }))
  );
}

/** Refuses predictions that cannot be paired with others, as they are of other tokens. */
function refuseOtherTokens(one: KeyedPredictions, other: KeyedPredictions, path: string): void {
  const tokens = ({ kl, replyFrom }: SequencePredictions) => JSON.stringify([kl.length, replyFrom]);
  const at = other.sequences.findIndex((sequence, i) => tokens(sequence) !== tokens(one.sequences[i]!));
  if (at < 0) return;
  const problem = `predictions of ${other.key} are of other tokens than those of ${one.key} in sequence ` +
    other.sequences[at]!.index;
  throw InputError.saying("contradiction", { file: path }, problem);
}

/** Refuses entries that are not those of the indices. */
function refuseGap(
  indices: readonly number[],
  entries: readonly Indexed[],
  { path }: Pick<FinishedRun<unknown>, "path">,
  key: string,
): void {
  const at = indices.findIndex((index, i) => entries[i]?.index !== index);
  if (at >= 0) {
    throw InputError.of("missing", { file: path, key }, `number ${indices[at]}`, entries[at]?.index ?? "none");
  }
}

/** The predictions of a cell beside the first, in the order in which they were computed. */
function predictionsOf<Results extends EvalResults>(
  task: {
    readonly journal: { readonly name: string };
    header(protocol: Results["protocol"]): Readonly<Record<string, unknown>>;
  },
  { results: { protocol }, read }: FinishedRun<Results>,
  first: CellResult,
  other: CellResult,
  key: string,
): SequencePredictions[] {
  const header = (cell: CellResult) => journalHeader(task.journal.name, task.header(protocol), cell.protocol);
  const entries = read(
    `predictions.${key}`,
    comparedHeader("predictions", header(first), header(other)),
    reading(SequencePredictions),
  );
  return [...entries.values()].sort((a, b) => a.index - b.index);
}

/** A comparison of a cell with the first, and the run that it is from. */
interface Comparison<Results> {
  readonly run: FinishedRun<Results>;
  readonly found: Common["divergences"][number];
}

/** The comparisons of a cell with the first, from runs that have both and begin with that: one or more. */
function comparisonsOf<Results extends EvalResults>(
  runs: readonly FinishedRun<Results>[],
  { asked, cell: first }: Found<Results>,
  other: Found<Results>,
): Comparison<Results>[] {
  const comparisons = runs.flatMap((run): Comparison<Results>[] => {
    const { cells, divergences } = run.results;
    if (!sameCell(cells[0]!, { cell: first })) return [];
    const key = cells.find((cell) => sameCell(cell, other))?.key;
    return divergences.filter((one) => one.key === key).map((found) => ({ run, found }));
  });
  if (comparisons.length > 0) return comparisons;
  throw InputError.of(
    "missing",
    { file: other.run.path },
    `${cellKey(asked)} as the first setting, which ${cellKey(other.asked)} is to be compared with`,
    other.run.results.cells[0]!.key,
  );
}

/** What all comparisons of a run have in common. */
const madeOn = ({ tokens, sequences, alarm }: DivergenceResult) => ({ tokens, sequences, alarm });

/**
 * One comparison of each cell, where several runs have made it: those that go together, with the most sequences that
 * all of them have; of equal ones those of the run that is named first. Where none go together, the longest.
 */
function comparedAlike<Results>(cells: readonly (readonly Comparison<Results>[])[]): Comparison<Results>[] {
  const kindOf = ({ found: { divergence } }: Comparison<Results>) => JSON.stringify(madeOn(divergence));
  const lengthOf = ({ found: { predictions } }: Comparison<Results>) => predictions.sequences;
  const longest = (some: readonly Comparison<Results>[]) =>
    some.reduce((most, one) => lengthOf(one) > lengthOf(most) ? one : most);
  const kinds = new Set(cells.flatMap((comparisons) => comparisons.map(kindOf)));
  const alike = [...kinds].map((kind) => cells.map((some) => some.filter((one) => kindOf(one) === kind)))
    .filter((found) => found.every((some) => some.length > 0))
    .map((found) => found.map(longest));
  const common = (chosen: readonly Comparison<Results>[]) => Math.min(...chosen.map(lengthOf));
  return alike.length === 0
    ? cells.map(longest)
    : alike.reduce((most, chosen) => common(chosen) > common(most) ? chosen : most);
}

/** Whether a cell of a run is a setting of a model, by its contents and not by its name. */
export function sameCell(x: CellResult, { cell: y }: { readonly cell: CellResult }): boolean {
  return modelOf(x) === modelOf(y) && cellKeyOf(x) === cellKeyOf(y);
}

/** A cell's place on the axes, whatever its model is called. */
const cellKeyOf = (cell: CellResult) => cellKey({ ...askedOf(cell), model: null });
