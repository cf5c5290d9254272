/** `mxoss eval --dry-run`: what a run or a part of one would take, without what its directory has already. */
import { journalHeader } from "../../eval/cell_run.ts";
import { type Bounds, dryRun, type PairWork, type SettingWork } from "../dry_run.ts";
import { type Pretended, pretendedScales } from "../calibrate.ts";
import { refuseFile } from "../places.ts";
import type { PlannedSetting } from "../../session/setting.ts";
import { unhashedProtocolOf } from "../../session/protocol.ts";
import { comparedHeader, layeredCount, layersHeader } from "../../eval/compare_all.ts";
import { FIRST_ROUND } from "../../eval/prediction_run.ts";
import type { Indexed } from "../../eval/journal.ts";
import { DEFAULT_ALARM, DEFAULT_DIVERGENCE } from "./options.ts";
import { type Cell, cellKey, cellLabel, cellName } from "../../eval/matrix.ts";
import { Scorer } from "../../eval/scorer.ts";
import type { Asked, ResultsHead, Task, WorkSize } from "../../eval/task.ts";
import { VERSION } from "../version.ts";
import { type EvalOptions, matrixOf, type NamedModel, settingsOf } from "./cells.ts";
import { refuseOtherResults } from "./output.ts";
import { shardDirectory, shardsIn } from "../../eval/shards/attempts.ts";
import type { FoundShard } from "../../eval/shards/division.ts";
import { differenceOf, sharedPart } from "../../eval/shards/note.ts";
import { placesOf } from "../../eval/shards/run_shard.ts";
import { refuseOtherRun } from "./run_part.ts";
import { gathered, type Journals, journalsOf, NO_JOURNALS, partLeft, scalesOf, type Unknown } from "./kept.ts";

/** What the run would take, or what is left of it where its directory keeps a part. */
export async function dryRunEval<
  Work extends Asked<Results["protocol"]>,
  Entry extends Indexed,
  Results extends ResultsHead,
>(
  task: Task<never, Work, Entry, Results>,
  whole: Work,
  models: readonly NamedModel[],
  options: EvalOptions,
  shard: FoundShard | null,
): Promise<number> {
  const { out, alarm = DEFAULT_ALARM, divergence = DEFAULT_DIVERGENCE } = options, calibrations: Pretended[] = [];
  const matrix = matrixOf(models, options), asked = whole.indices.length;
  if (out !== undefined) {
    refuseFile(out, { option: "out" });
    refuseOtherResults(out, task, task.identity(whole.protocol));
  }
  const [from, to] = shard === null ? [0, asked] : placesOf(shard, asked, matrix.length, divergence);
  if (out !== undefined && shard !== null) refuseOtherShard(task.schema, whole, matrix, options, out, shard);
  // More parts than there is to ask.
  if (from === to) return await dryRun([], [], [], out ?? null, options.json);
  const work = shard === null ? whole : task.part(whole, from, to), size = task.size(work);
  const settings = await settingsOf(matrix, models, options, null, pretendedScales(calibrations));
  const heads = cellLabels(matrix, settings);
  const { given, predicted, deepest, layered } = comparedOf(size, divergence, shard, from);
  const { indices } = work, { name } = task.journal, identity = task.header(work.protocol);
  const unknown: Unknown[] = ["weights_sha256", ...(calibrations.length > 0 ? ["formats_sha256"] as const : [])];
  const protocols = await Promise.all(settings.map(unhashedProtocolOf));
  const headers = protocols.map((protocol) => journalHeader(name, identity, protocol));
  const journals = (kind: string, place: number): Journals =>
    out === undefined ? NO_JOURNALS : journalsOf(out, shard, `${kind}.${cellKey(matrix[place]!)}`);
  const left = (kind: string, place: number, of: readonly number[], header: unknown) =>
    partLeft(gathered(journals(kind, place), { header, unknown }, "skip"), of);
  const answered = headers.map((header, i) => gathered(journals(name, i), { header, unknown }, "refuse"));
  const works = await Promise.all(settings.map(async (setting, i): Promise<SettingWork> => {
    const room = await task.room(work, setting), part = partLeft(answered[i]!, indices);
    const replies = size.replies.high > 0;
    const paced = {
      sequences: replies ? room.slots : 0,
      context: size.before,
      allLogits: !replies,
      scorer: options.logprobs === "none" ? null : (vocab: number) => new Scorer(vocab),
    };
    const prompt = Math.round(part * size.prompt);
    return { label: heads[i]!, setting, room, prompt, replies: partOf(size.replies, part), paced };
  }));
  const first = headers[0]!, compared = indices.slice(0, given ?? indices.length), deep = indices.slice(0, deepest);
  // It has one entry, of all sequences together.
  const layersLeft = (other: number) =>
    deepest === 0 ? 0 : left("divergence", other, [0], layersHeader(first, headers[other]!, deep, alarm));
  const predictionsLeft = (other: number) =>
    left("predictions", other, compared, comparedHeader("predictions", first, headers[other]!));
  const pairs = divergence === 0 ? [] : settings.slice(1).map((other, i): PairWork => ({
    label: heads[i + 1]!,
    settings: [settings[0]!, other],
    tokens: partOf(layered, layersLeft(i + 1)),
    predicted: partOf(predicted, predictionsLeft(i + 1)),
    context: works[0]!.room.context,
  }));
  const scales = calibrations.filter(({ setting: { checkpoint }, header }) => {
    const suffix = suffixOf(models.find((one) => one.checkpoint === checkpoint)!.name);
    const kept = out === undefined ? NO_JOURNALS : scalesOf(out, shard, `calibration${suffix}`);
    return !gathered(kept, { header, unknown }, "skip").has(0);
  });
  return await dryRun(works, pairs, scales, out ?? null, options.json);
}

const suffixOf = (model: string | null) => model === null ? "" : `.model-${model}`;

/** Sequences and tokens that settings are compared on. */
interface ComparedWork {
  /** How many sequences predictions are compared on; null: as many as suffice. */
  readonly given: number | null;
  /** Their tokens. */
  readonly predicted: Bounds;
  /** How many sequences are compared layer by layer. */
  readonly deepest: number;
  readonly layered: Bounds;
}

/** @param from The first sequence of the part. */
function comparedOf(
  size: WorkSize,
  divergence: Exclude<EvalOptions["divergence"], undefined>,
  shard: FoundShard | null,
  from: number,
): ComparedWork {
  const given = typeof divergence === "number" ? Math.max(0, divergence - from) : null;
  // Of parts, only all together tell how many suffice.
  const least = given ?? (shard === null ? FIRST_ROUND : Infinity);
  const predicted = { low: size.compared(least).low, high: size.compared(given ?? Infinity).high };
  // Only the first part is compared layer by layer.
  const deepest = shard === null || shard.number === 1 ? layeredCount(divergence) : 0;
  return { given, predicted, deepest, layered: size.compared(deepest) };
}

/** Refuses a directory whose parts are of another run, as far as that is seen without a hash. */
function refuseOtherShard(
  task: string,
  { protocol }: { readonly protocol: unknown },
  matrix: readonly Cell[],
  { bandwidth, divergence = DEFAULT_DIVERGENCE, alarm = DEFAULT_ALARM }: EvalOptions,
  out: string,
  shard: FoundShard,
): void {
  const order = matrix.map(cellKey).join(" ");
  const said = { mxoss: VERSION, task, protocol, order, bandwidth: bandwidth ?? null, divergence, alarm };
  refuseOtherRun(shardsIn(out), shardDirectory(out, shard), (before) => {
    const { settings: _, ...known } = sharedPart(before);
    return differenceOf(known, said);
  });
}

const partOf = ({ low, high }: Bounds, part: number): Bounds => ({
  low: Math.round(part * low),
  high: Math.round(part * high),
});

function cellLabels(matrix: readonly Cell[], settings: readonly PlannedSetting[]): string[] {
  const schemes = new Map(matrix.map((cell, i) => [cell, settings[i]!.planned.plan.scheme]));
  return matrix.map((cell) => cellLabel(cellName(cell, matrix, (one) => schemes.get(one)!)));
}
