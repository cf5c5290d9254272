/** The shards of a run as the one run that would have answered all of it. */
import { firstIssue, reading, tryReading } from "../../validate.ts";
import { InputError } from "../../errors.ts";
import { journalHeader } from "../cell_run.ts";
import { comparedHeader, layeredCount, layersHeader } from "../compare_all.ts";
import { KeptDivergence } from "../compare_cells.ts";
import type { Bandwidth } from "../cost.ts";
import type { DivergenceResult } from "../divergence_schema.ts";
import type { EvalResults, FinishedRun } from "../finished_run.ts";
import type { Indexed } from "../journal.ts";
import { type Amount, rounds, stopsAt } from "../prediction_run.ts";
import { summarizePredictions } from "../prediction_summary.ts";
import { SequencePredictions } from "../predictions.ts";
import { type KeyedPredictions, predictionsResult, rankingOf } from "../predictions_result.ts";
import type { Stopped } from "../predictions_schema.ts";
import type { SettingProtocol } from "../setting_schema.ts";
import { type AnsweredCell, askedOf, type CellResult, headsOf, type Task } from "../task.ts";
import { attemptsAt, Gathered, type Others } from "./attempts.ts";
import type { Shard } from "./division.ts";
import { otherRun, type ShardNote } from "./note.ts";
import { placesOf } from "./run_shard.ts";

/** The directory of a shard with what its note says. */
export interface NotedShard {
  readonly dir: string;
  readonly note: ShardNote;
}

/** A shard that is not finished. */
export interface UnfinishedShard {
  readonly shard: Shard;
  /** Places of it that are done under every setting, and all. */
  readonly done: number;
  readonly places: number;
}

/** What became of joining. */
export type Joined<Results> =
  | { readonly kind: "done"; readonly run: FinishedRun<Results> }
  | { readonly kind: "unfinished"; readonly shards: readonly UnfinishedShard[] };

/** A task whose shards are joined. */
type JoinedTask<Entry extends Indexed, Results extends EvalResults> = Pick<
  Task<never, { readonly protocol: Results["protocol"]; readonly indices: readonly number[] }, Entry, Results>,
  "protocol" | "journal" | "header" | "asked" | "summarize"
>;

/**
 * Joins. Whatever the division was, results are made of all entries in the order in which one run has them, so that no
 * sum depends on it.
 *
 * @param shards Of one run.
 * @param bandwidth What tokens per second are estimated for; undefined: as the shards have it.
 * @throws {InputError} naming the field in which two shards differ, or the file whose result another file contradicts.
 */
export function joinShards<Entry extends Indexed, Results extends EvalResults>(
  task: JoinedTask<Entry, Results>,
  shards: readonly [NotedShard, ...NotedShard[]],
  bandwidth: Bandwidth | undefined,
): Joined<Results> {
  // The first place decides what may differ between machines: the number of threads, and where the model lies.
  const inOrder = shards.toSorted((a, b) =>
    a.note.places.from - b.note.places.from || b.note.shard.of - a.note.shard.of
  ) as [NotedShard, ...NotedShard[]];
  const [{ dir, note }, ...others] = inOrder;
  for (const other of others) {
    const differs = otherRun(note, other.note);
    if (differs !== null) {
      throw InputError.saying("contradiction", { file: `${other.dir}/shard.json` }, `${differs} as in ${dir}`);
    }
  }
  return new Join(task, inOrder, protocolOf(task, inOrder[0])).result(bandwidth ?? note.bandwidth);
}

function protocolOf<Results extends EvalResults>(
  task: Pick<JoinedTask<never, Results>, "protocol">,
  { dir, note }: NotedShard,
): Results["protocol"] {
  const found = tryReading(task.protocol, note.protocol);
  if (found.success) return found.data;
  const { key, expected, got } = firstIssue(found.error, note.protocol);
  const where = { file: `${dir}/shard.json`, key: ["protocol", ...(key === "" ? [] : [key])].join(".") };
  throw InputError.of("wrong_value", where, `${expected}, as this version of mxoss has it`, got);
}

class Join<Entry extends Indexed, Results extends EvalResults> {
  readonly #note: ShardNote;
  readonly #cells: readonly CellResult[];
  /** Index at each place; -1 where no shard that was begun has it. */
  readonly #indices: Int32Array;
  /** 1 at each place where nothing is missing. */
  readonly #done: Uint8Array;

  constructor(
    readonly task: JoinedTask<Entry, Results>,
    readonly shards: readonly [NotedShard, ...NotedShard[]],
    readonly protocol: Results["protocol"],
  ) {
    this.#note = shards[0].note;
    this.#cells = this.#note.cells;
    this.#indices = new Int32Array(task.asked(protocol)).fill(-1);
    for (const { dir, note: { places: { from, to }, indices } } of shards) {
      let place = from;
      for (const [first, last] of indices) {
        for (let index = first; index <= last && place < to; index++) this.#indices[place++] = index;
      }
      if (place === to && to <= this.#indices.length) continue;
      const where = { file: `${dir}/shard.json`, key: "indices" };
      throw InputError.of("wrong_value", where, `one for each place from ${from} to ${to}`, `${place - from}`);
    }
    this.#done = Uint8Array.from(this.#indices, (index) => index < 0 ? 0 : 1);
  }

  result(bandwidth: Bandwidth | null): Joined<Results> {
    const { journal, summarize } = this.task, cells = this.#cells;
    const heads = headsOf(cells.map((cell) => ({ asked: askedOf(cell), protocol: cell.protocol, cost: cell.cost })));
    const answers = cells.map(({ key, protocol }) => {
      const { name, entry, lean } = journal;
      const found = this.#gather(`${name}.${key}`, this.#header(protocol), reading(entry), "refuse", lean);
      this.#mark(found, this.#indices.length);
      return found;
    });
    const compared = cells.length === 1 || this.#note.divergence === 0 ? null : this.#compared(this.#note.divergence);
    if (compared === null && cells.length > 1 && this.#note.divergence !== 0 || this.#done.includes(0)) {
      return { kind: "unfinished", shards: this.#unfinished() };
    }
    const answered = heads.map((cell, i): AnsweredCell<Entry> => ({
      cell,
      entries: Array.from(this.#indices, (index) => answers[i]!.get(index)!),
    }));
    const results = summarize(this.protocol, answered, {
      mxoss: this.#note.mxoss,
      bandwidth,
      divergences: compared?.divergences ?? [],
      ranking: compared?.ranking ?? null,
    });
    const { dir } = this.shards[0];
    const read = <T extends Indexed>(name: string, header: unknown, parse: (value: unknown) => T) =>
      this.#gather(name, header, parse, name.startsWith(`${journal.name}.`) ? "refuse" : "skip");
    return { kind: "done", run: { dir, path: `${dir}/shard.json`, results, read, has: this.#has.bind(this) } };
  }

  /** Comparisons of all further cells with the first; null where some are missing. */
  #compared(amount: Amount): Pick<EvalResults, "divergences"> & { ranking: ReturnType<typeof rankingOf> } | null {
    const [first, ...others] = this.#cells as readonly [CellResult, ...CellResult[]];
    const header = (cell: CellResult) => this.#header(cell.protocol), indices = this.#indices;
    const predictions = others.map((other) => {
      const read = reading(SequencePredictions);
      const belongs = comparedHeader("predictions", header(first), header(other));
      return this.#gather(`predictions.${other.key}`, belongs, read, "skip");
    });
    const upTo = (count: number): KeyedPredictions[] | null => {
      for (const found of predictions) this.#mark(found, count);
      if (this.#done.subarray(0, count).includes(0)) return null;
      return others.map(({ key }, i) => ({
        key,
        sequences: Array.from(indices.subarray(0, count), (index) => predictions[i]!.get(index)!),
      }));
    };
    const enough = this.#enough(amount, upTo);
    const layered = Array.from(indices.subarray(0, layeredCount(amount)));
    const layers = others.map((other): DivergenceResult | undefined => {
      const belongs = layersHeader(header(first), header(other), layered, this.#note.alarm);
      const read = reading(KeptDivergence);
      return this.#gather(`divergence.${other.key}`, belongs, read, "skip").get(0)?.divergence;
    });
    // The first shard compares them.
    if (layers.includes(undefined)) this.#done[0] = 0;
    if (enough === null || layers.includes(undefined)) return null;
    const divergences = enough.settings.map(({ key, sequences }, i) => ({
      key,
      predictions: predictionsResult(summarizePredictions(sequences)),
      stopped: enough.stopped,
      divergence: layers[i]!,
    }));
    return { divergences, ranking: rankingOf(enough.settings) };
  }

  /** As many predictions as one run would have computed, by the same rule; null where some are missing. */
  #enough(
    amount: Amount,
    upTo: (count: number) => KeyedPredictions[] | null,
  ): { readonly settings: KeyedPredictions[]; readonly stopped: Stopped } | null {
    const asked = this.#indices.length;
    if (typeof amount === "number") {
      const settings = upTo(Math.min(amount, asked));
      return settings && { settings, stopped: "asked" };
    }
    for (const count of rounds(asked)) {
      const settings = upTo(count);
      if (settings === null) return null;
      const stopped = stopsAt(settings, amount.precision);
      if (stopped !== null) return { settings, stopped };
      if (count === asked) return { settings, stopped: "spent" };
    }
    return null;
  }

  #header(protocol: SettingProtocol) {
    return journalHeader(this.task.journal.name, this.task.header(this.protocol), protocol);
  }

  #gather<T extends Indexed>(
    name: string,
    header: unknown,
    read: (value: unknown) => T,
    others: Others,
    lean: ((entry: T) => T) | null = null,
  ) {
    const gathered = new Gathered<T>(lean);
    for (const { dir } of this.shards) gathered.addShard(dir, name, header, read, others);
    return gathered.entries;
  }

  #has(name: string): boolean {
    return this.shards.some(({ dir }) => attemptsAt(dir, name).length > 0);
  }

  /** Notes the places before `end` that lack an entry. */
  #mark(found: ReadonlyMap<number, unknown>, end: number): void {
    for (let place = 0; place < end; place++) if (!found.has(this.#indices[place]!)) this.#done[place] = 0;
  }

  /** Shards with something missing, of the division that most of those begun belong to. */
  #unfinished(): UnfinishedShard[] {
    const begun = new Map<number, number>();
    for (const { note: { shard: { of } } } of this.shards) begun.set(of, (begun.get(of) ?? 0) + 1);
    const [[of]] = [...begun].toSorted(([a, n], [b, m]) => m - n || b - a) as [[number, number]];
    return Array.from({ length: of }, (_, i): UnfinishedShard => {
      const shard = { number: i + 1, of };
      const [from, to] = placesOf(shard, this.#indices.length, this.#cells.length, this.#note.divergence);
      const done = this.#done.subarray(from, to).reduce((sum, one) => sum + one, 0);
      return { shard, done, places: to - from };
    }).filter(({ done, places }) => done < places);
  }
}
