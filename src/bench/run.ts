/** A benchmark: which subjects are measured, with which sessions, and for how long. */
import { InputError } from "../errors.ts";
import { refuseBeyondMemory } from "../memory.ts";
import { cacheJson, cacheSize } from "../session/cache_use.ts";
import type { Room } from "../session/open.ts";
import { machineryOf } from "../session/protocol.ts";
import type { Session } from "../session/session.ts";
import { type PlannedSetting, uses } from "../session/setting.ts";
import { option, words } from "../words.ts";
import { type Computed, type Figure, type Skipped, type Subject, subjectText } from "./figures.ts";
import { collectGarbage } from "./garbage.ts";
import { type Limits, measureLimits } from "./limits.ts";
import { DECODE_ROOM, LEAST_RUNS, measure, type Sample } from "./measure.ts";
import { quotient, scaled, spreadOf } from "./spread.ts";
import { type Asked, deepSubjects, wideSubjects, withAllLogits } from "./subjects.ts";
import { Costs } from "../model/work.ts";

/** What to measure. */
export interface BenchRequest extends Asked {
  readonly setting: PlannedSetting;
  /** Sizes in words, where weights are random; else null. */
  readonly shape: string | null;
  /** Seconds that the whole may take; what would take longer is left out. */
  readonly seconds: number;
  /** The most that a single figure is measured for, in milliseconds, however much time there is; default 5000. */
  readonly longest?: number;
}

/** What a benchmark needs of its caller, and tells it. */
export interface BenchHost {
  readonly open: (setting: PlannedSetting, room: Room) => Promise<Session>;
  /** Instead of {@linkcode measureLimits}, for tests. */
  readonly limits?: (threads: number) => Promise<Limits>;
  /** Called as a subject begins: how many are done, and how many there are. */
  readonly onProgress: (done: number, total: number, now: string) => void;
}

/** What was measured so far; grows while a benchmark runs. */
export interface BenchSoFar {
  computed: Computed | null;
  limits: Limits | null;
  readonly figures: Figure[];
  readonly skipped: Skipped[];
}

/** See `BenchRequest.longest`. */
const LONGEST_MS = 5000;
/** Threads that are all started before the first operation, and tokens for each thread that keep others for a start. */
const FEW_THREADS = 4, TOKENS_A_THREAD = 2;

/**
 * Refuses what cannot be measured, before anything is loaded.
 *
 * @throws {InputError} naming the option.
 * @throws {FailureError} if memory cannot hold the model.
 */
export function refuseBench(request: BenchRequest): void {
  const { maxPositions } = request.setting.checkpoint.config, { prefill, contexts, batches, batchContexts } = request;
  const most = {
    prefill: Math.max(0, ...prefill),
    contexts: Math.max(0, ...contexts) + DECODE_ROOM,
    batchContexts: batches.length === 0 ? 0 : Math.max(0, ...batchContexts) + DECODE_ROOM,
  };
  for (const name of ["prefill", "contexts", "batchContexts"] as const) {
    if (most[name] <= maxPositions) continue;
    const room = name === "prefill" ? "" : ` less ${DECODE_ROOM} that are decoded`;
    throw InputError.of(
      "too_large",
      { option: name },
      `at most ${maxPositions} positions, the model's context${room}`,
    );
  }
  for (const room of Object.values(roomsOf(request))) refuseRoom(request.setting, room);
}

/** Rooms of the two sessions: one sequence of many positions, and many of few. */
function roomsOf(
  { prefill, contexts, batches, batchContexts, setting: { chunk, promptChunk } }: BenchRequest,
): { deep?: Room; wide?: Room } {
  const deepest = Math.max(0, ...prefill, ...contexts.map((context) => context + DECODE_ROOM));
  const widest = Math.max(0, ...batches);
  return {
    ...(deepest > 0 ? { deep: { slots: 1, context: deepest, chunk: promptChunk } } : {}),
    ...(widest > 0
      ? { wide: { slots: widest, context: Math.max(...batchContexts) + DECODE_ROOM, chunk: Math.max(chunk, widest) } }
      : {}),
  };
}

function refuseRoom(setting: PlannedSetting, { slots, context, chunk = setting.chunk }: Room): void {
  const { backend, weights, planned: { plan, source }, checkpoint: { config } } = setting;
  if (uses(backend, "device")) return;
  const costs = new Costs(config, source, backend === "reference" ? "f32" : plan.kvFormat);
  const made = source.files.some(({ random }) => random !== undefined);
  const held = backend === "emulate" && (made || weights === "read");
  refuseBeyondMemory(
    words`${option("backend")}=${backend}`,
    { weights: held ? costs.weightBytes : 0, cache: costs.cacheBytes(slots, context, chunk), work: 0 },
    `${slots} x ${context} positions`,
    undefined,
    words`use fewer ${option("layers")}, or smaller ${option("contexts")}, ${option("batches")} and ${
      option("batchContexts")
    }`,
  );
}

/**
 * Runs a benchmark.
 *
 * @param found Receives each result as it is there.
 * @throws {FailureError} when the backend cannot be had.
 */
export async function bench(request: BenchRequest, host: BenchHost, found: BenchSoFar): Promise<void> {
  await new Bench(request, host, found).run();
}

class Bench {
  readonly #request: BenchRequest;
  readonly #host: BenchHost;
  readonly #found: BenchSoFar;
  readonly #costs: Costs;
  readonly #deadline: number;
  readonly #left: Set<Subject>;
  #total: number;
  readonly #deep: readonly Subject[];
  /** Those of all logits are added as soon as an engine is there that picks without them. */
  readonly #wide: Subject[];
  /** Milliseconds that opening a session took. */
  #loading = 0;
  /** Milliseconds of a token, as the last sample of each kind had it. */
  readonly #pace = new Map<string, number>();

  constructor(request: BenchRequest, host: BenchHost, found: BenchSoFar) {
    const { setting: { checkpoint, planned } } = request;
    this.#request = request;
    this.#host = host;
    this.#found = found;
    this.#costs = new Costs(checkpoint.config, planned.source, planned.plan.kvFormat);
    this.#deadline = performance.now() + 1000 * request.seconds;
    this.#deep = deepSubjects(request);
    this.#wide = wideSubjects(request);
    this.#left = new Set([...this.#deep, ...this.#wide]);
    this.#total = this.#left.size;
  }

  async run(): Promise<void> {
    const { setting } = this.#request, { deep, wide } = roomsOf(this.#request);
    const threads = setting.backend === "reference" ? 1 : setting.threads ?? navigator.hardwareConcurrency;
    if (setting.backend === "emulate" || setting.backend === "reference") {
      this.#host.onProgress(0, this.#total, "what this machine can do");
      this.#found.limits = await (this.#host.limits ?? measureLimits)(threads);
    }
    if (deep) await this.#with(deep, this.#deep);
    if (wide) await this.#with(wide, this.#wide);
  }

  async #with(room: Room, subjects: readonly Subject[]): Promise<void> {
    // Opening takes as long as it did before.
    if (this.#timeLeft < this.#loading) return subjects.forEach((subject) => this.#skip(subject));
    const session = await this.#open(room);
    try {
      await this.#startThreads(session);
      this.#found.computed ??= this.#computed(session);
      this.#addAllLogits(session);
      for (const subject of subjects) {
        this.#host.onProgress(this.#total - this.#left.size, this.#total, subjectText(subject));
        await this.#measure(session, subject);
        this.#left.delete(subject);
      }
    } finally {
      await session.close();
    }
  }

  /** Adds batches with all logits, which come last, once an engine says that it spares them otherwise. */
  #addAllLogits({ engine }: Session): void {
    if (this.#wide.some((subject) => paceOf(subject) === ALL_LOGITS)) return;
    const more = withAllLogits(this.#wide, engine);
    this.#wide.push(...more);
    more.forEach((subject) => this.#left.add(subject));
    this.#total += more.length;
  }

  /** Computes a prompt, beside which threads of a processor are started: few are before it. */
  async #startThreads(session: Session): Promise<void> {
    const { backend, threads = navigator.hardwareConcurrency } = this.#request.setting;
    if (backend !== "emulate" || threads <= FEW_THREADS) return;
    const count = Math.min(TOKENS_A_THREAD * threads, session.limits.context), { vocab } = session.limits;
    await session.feed({ slot: 0, tokens: Array.from({ length: count }, (_, i) => i % vocab), logits: "none" });
    session.reset(0);
  }

  /** Opens a session when nothing holds the memory of the last one any more. */
  async #open(room: Room): Promise<Session> {
    await collectGarbage();
    const began = performance.now(), session = await this.#host.open(this.#request.setting, room);
    this.#loading = performance.now() - began;
    return session;
  }

  get #timeLeft(): number {
    return this.#deadline - performance.now();
  }

  /** Milliseconds of a run, as far as those before show; null where they show nothing. */
  #expected(subject: Subject): number | null {
    const pace = this.#pace.get(paceOf(subject)) ?? this.#pace.get(subject.kind);
    return pace === undefined ? null : pace * (subject.kind === "prefill" ? subject.tokens : subject.sequences);
  }

  /** What a measurement takes at least: its runs, and the look at operations. */
  #whole(run: number): number {
    return (1 + LEAST_RUNS) * run;
  }

  /** Milliseconds that the batches as they are picked need, which come after prompts that may take any time. */
  #reserve(subject: Subject): number {
    if (subject.kind !== "prefill") return 0;
    const several = (other: Subject) => other.kind === "decode" && other.sequences > 1;
    const batches = [...this.#left].filter((other) => several(other) && paceOf(other) !== ALL_LOGITS);
    const runs = batches.map((batch) => this.#whole(this.#expected(batch) ?? 0));
    return batches.length === 0 ? 0 : this.#loading + runs.reduce((sum, run) => sum + run, 0);
  }

  #skip(subject: Subject, run = this.#expected(subject)): void {
    this.#found.skipped.push({ subject, seconds: run === null ? null : this.#whole(run) / 1000 });
    this.#left.delete(subject);
  }

  async #measure(session: Session, subject: Subject): Promise<void> {
    const left = this.#timeLeft - this.#reserve(subject), expected = this.#expected(subject);
    if (left <= 0 || this.#whole(expected ?? 0) > left) return this.#skip(subject);
    const { tp, ep, backend } = this.#request.setting;
    const sample = await measure(session, this.#costs, subject, {
      tapped: tp === 1 && ep === 1 && !uses(backend, "device"),
      milliseconds: Math.min(this.#request.longest ?? LONGEST_MS, left / Math.max(1, this.#left.size)),
      goesOn: (warmUp) => {
        const enough = LEAST_RUNS * warmUp <= this.#timeLeft;
        if (!enough) this.#skip(subject, warmUp);
        return enough;
      },
    });
    if (sample === null) return;
    this.#pace.set(paceOf(subject), Math.min(...sample.milliseconds) / sample.tokens);
    this.#found.figures.push(figureOf(subject, sample, this.#found.limits));
  }

  #computed(session: Session): Computed {
    const { setting, shape } = this.#request, { checkpoint, planned: { plan } } = setting;
    const { threads, engine } = machineryOf(setting, session);
    return {
      model: checkpoint.dir,
      shape,
      layers: checkpoint.config.layers,
      scheme: plan.scheme,
      backend: setting.backend,
      dtype: setting.dtype,
      kv_cache_dtype: plan.kvFormat,
      tp: setting.tp,
      ep: setting.ep,
      chunk: setting.promptChunk,
      threads: setting.backend === "reference" ? 1 : threads,
      engine,
      weight_bytes: this.#costs.weightBytes,
      caches: Object.values(roomsOf(this.#request)).map((room) => cacheJson(cacheSize(setting, room))),
    };
  }
}

/** Subjects whose tokens take about as long. */
const paceOf = (subject: Subject): string =>
  subject.kind === "decode" && subject.logits === "all" ? ALL_LOGITS : subject.kind;
const ALL_LOGITS = "decode, all logits";

function figureOf(subject: Subject, { milliseconds, tokens, work, shares }: Sample, limits: Limits | null): Figure {
  const runs = spreadOf(milliseconds.map((time) => 1000 / time));
  const macs = scaled(runs, work.macs), bytes = scaled(runs, work.bytes);
  return {
    subject,
    tokens_per_second: scaled(runs, tokens),
    macs: work.macs,
    bytes: work.bytes,
    macs_per_second: macs,
    bytes_per_second: bytes,
    // What a limit is, is no better known than what is measured against it.
    of_limits: limits && {
      read: quotient(bytes, limits.read),
      float32: quotient(macs, limits.float32),
      int8: quotient(macs, limits.int8),
    },
    shares,
  };
}
