/**
 * Continuous batching: sequences share batches, prefill of some beside single tokens of others, and as one ends the
 * next takes its slot. A sequence's tokens do not depend on what shares its batches.
 */
import { setImmediate } from "node:timers";
import type { Session } from "../../session/session.ts";
import { reason } from "../../errors.ts";
import { ApiError, engineFailure } from "../api_error.ts";
import { type Active, planBatch } from "./batch_plan.ts";
import { BatchRun } from "./batch_run.ts";
import type { FinishReason, Generation, Job } from "./job.ts";
import { Sequence } from "./sequence.ts";
import { NOBODY, type Observer } from "./observer.ts";
import { Overlaps } from "./overlaps.ts";
import { type Place, Places } from "./places.ts";
import type { Turns } from "./turns.ts";
import { WaitingRoom } from "./waiting.ts";

/** Limits of a scheduler. */
export interface SchedulerOptions {
  /** Requests that may wait. */
  readonly queue: number;
  /** Milliseconds that a job may take, its waiting included. */
  readonly milliseconds: number;
}

/** Opens a session that replaces one whose engine failed for good. */
export type Reopen = (why: string) => Promise<Session>;

/** How often an engine is opened again within {@linkcode RESTARTS_WITHIN}: what fails each time has another cause. */
const MOST_RESTARTS = 3;
/** Milliseconds. */
const RESTARTS_WITHIN = 600_000;

/** Sequences whose times are averaged. */
const AVERAGED = 16;

/** Runs the jobs of one session. */
export class Scheduler {
  readonly #waiting: WaitingRoom;
  #session: Session;
  #places: Places;
  /** When the engine was opened again. */
  #restarts: number[] = [];
  /** Of every sequence that has not ended: what undoes its timer and its listener. */
  readonly #alive = new Map<Sequence, () => void>();
  /** Sequences that lost their slots to older ones, the oldest first: they go on before others begin. */
  #preempted: Sequence[] = [];
  readonly #overlaps = new Overlaps();
  #preemptions = 0;
  #ages = 0;
  /** Places with their sequences, in the order in which they came. */
  #active: (Place & { sequence: Sequence })[] = [];
  #running = false;
  /** Whether the event loop has turned since the last batch began. */
  #turned = false;
  #broken: string | null = null;
  /** Ends what the engine generates by itself. */
  #stop: AbortController | null = null;
  /** Milliseconds that a sequence has its slot, averaged over the last ones. */
  #milliseconds = 0;

  /**
   * @param turns Batches of several models on one machine take turns.
   * @param reopen What is done where the engine fails for good; null: nothing, and every request fails from then on.
   */
  constructor(
    session: Session,
    readonly turns: Turns,
    readonly options: SchedulerOptions,
    readonly observer: Observer = NOBODY,
    readonly reopen: Reopen | null = null,
  ) {
    this.#session = session;
    this.#waiting = new WaitingRoom(options.queue);
    this.#places = new Places(session);
  }

  /** What computes at the moment. */
  get session(): Session {
    return this.#session;
  }

  /** Why nothing is computed any more; null while it is. */
  get broken(): string | null {
    return this.#broken;
  }

  get running(): number {
    return this.#active.length;
  }

  get waiting(): number {
    return this.#waiting.size + this.#preempted.length;
  }

  /** How often a sequence lost its pages to others, and was computed once more later. */
  get preemptions(): number {
    return this.#preemptions;
  }

  /** Positions that are in use. */
  get positions(): number {
    return this.#active.reduce((sum, { slot }) => sum + this.session.length(slot), 0);
  }

  /** @throws {ApiError} 429 where the queue is full. */
  submit(job: Job): Generation {
    if (!this.#waiting.admits(job, this.waiting > 0 && !this.#waits ? 0 : this.#places.free)) {
      const { requests } = this.#waiting, full = `${requests} ${requests === 1 ? "request waits" : "requests wait"}`;
      throw new ApiError(429, `the queue is full: ${full}`, { code: "queue_full", retryAfter: this.#patience() });
    }
    const sequence = new Sequence(job, this.observer, () => this.#wake(sequence));
    const cancel = () => sequence.cancel();
    const timer = setTimeout(() => {
      const seconds = this.options.milliseconds / 1000;
      sequence.ending ??= new ApiError(504, `not done within ${seconds} s`, { code: "timeout" });
      this.#wake(sequence);
    }, this.options.milliseconds);
    this.#alive.set(sequence, () => {
      clearTimeout(timer);
      job.signal?.removeEventListener("abort", cancel);
    });
    if (job.signal?.aborted) cancel();
    else job.signal?.addEventListener("abort", cancel);
    this.#waiting.add(sequence);
    this.#wake(sequence);
    return sequence.stream;
  }

  /** Seconds after which a place of the queue should be free. */
  #patience(): number {
    const most = 60, seconds = this.#milliseconds / 1000 / this.session.limits.slots;
    return Math.min(most, Math.max(1, Math.ceil(seconds)));
  }

  /**
   * Works until nothing is left to do.
   *
   * @param sequence One that came, or is to end.
   */
  #wake(sequence: Sequence): void {
    // Who has no slot is in no batch, and need not wait for one that is computed.
    if (sequence.ending !== null && (this.#waiting.leave(sequence) || this.#preempted.includes(sequence))) {
      this.#endAsked(sequence);
    }
    if (this.#running) {
      if (this.#waits || this.#leaves) this.#stop?.abort();
      return;
    }
    this.#running = true;
    void this.#work().catch((thrown) => {
      // A defect of the scheduler's own: nobody is to wait for ever.
      this.#broken = reason(thrown);
      while (this.#waiting.take() !== undefined);
      this.#preempted = [];
      for (const sequence of [...this.#alive.keys()]) this.#fail(sequence, thrown);
      this.#running = false;
    });
  }

  async #work(): Promise<void> {
    while (true) {
      // Requests, signals and writes have their turn between batches, where they had none meanwhile.
      if (!this.#turned) await new Promise<void>((resolve) => setImmediate(resolve));
      for (const one of [...this.#preempted, ...this.#active.map(({ sequence }) => sequence)]) this.#endAsked(one);
      while (this.#waits) this.#start(this.#preempted.shift() ?? this.#waiting.take()!);
      if (this.#active.length === 0) break;
      this.#turned = false;
      setImmediate(() => this.#turned = true);
      for (const place of this.#active) if (!place.sequence.begun) this.#places.begin(place);
      await this.turns.take(() => this.#compute());
      if (this.#session.engine.failure !== undefined) await this.#restart(this.#session.engine.failure);
    }
    this.#running = this.#turned = false;
  }

  /** Ends one that is to end. */
  #endAsked(sequence: Sequence): void {
    if (sequence.ending === "cancelled") this.#end(sequence, "cancelled");
    else if (sequence.ending !== null) this.#fail(sequence, sequence.ending);
  }

  /** Opens the engine again, unless that was done too often; who waits is computed after that. */
  async #restart(failure: Error): Promise<void> {
    const why = this.#broken = reason(failure), now = performance.now();
    this.#restarts = this.#restarts.filter((when) => now - when < RESTARTS_WITHIN);
    if (this.reopen === null || this.#restarts.length >= MOST_RESTARTS) return;
    this.#restarts.push(now);
    this.observer.reopened?.(why);
    for (const sequence of this.#active.map(({ sequence }) => sequence)) this.#fail(sequence, engineFailure(failure));
    try {
      // Its memory is needed for the next one.
      await this.#session.close();
      this.#session = await this.reopen(why);
      this.#places = new Places(this.#session);
      this.#broken = null;
    } catch (thrown) {
      this.#broken = `${why}; and it could not be opened again: ${reason(thrown)}`;
    }
  }

  #start(sequence: Sequence): void {
    sequence.start();
    sequence.age ??= this.#ages++;
    this.#active.push(this.#places.take(sequence) as Place & { sequence: Sequence });
    this.#active.sort((a, b) => a.sequence.age! - b.sequence.age!);
  }

  /** Makes room for the next batch: what was left is forgotten, and then the youngest give way to the others. */
  #makeRoom(): void {
    const { paging, limits } = this.session;
    if (!paging.shares) return;
    while (!paging.fits(planBatch(this.#active, limits.maxTokens).map(({ feed }) => feed))) {
      if (!this.#places.reclaim()) this.#preempt();
    }
  }

  /** Takes the youngest sequence's pages away, to be computed once more when there is room. */
  #preempt(): void {
    // It keeps its place until then, so that whoever hears of this can take it back.
    if (this.#active.length === 1) throw new RangeError("the pages do not hold one sequence");
    const place = this.#active.pop()!, { slot, sequence } = place;
    this.#overlaps.leave(sequence);
    sequence.preempt(sequence.begun ? this.session.tokens(slot) : []);
    this.#places.leave(place);
    this.session.reset(slot);
    this.#preempted.unshift(sequence);
    this.#preemptions++;
    this.observer.preempted?.();
  }

  #end(sequence: Sequence, reason: FinishReason): void {
    this.#leave(sequence);
    const outcome = sequence.outcome(reason);
    this.observer.ended(outcome);
    const { prefill, decode } = outcome.timings;
    if (sequence.age !== null) this.#milliseconds += (prefill + decode - this.#milliseconds) / AVERAGED;
    sequence.stream.end(outcome);
  }

  #fail(sequence: Sequence, thrown: unknown): void {
    this.#leave(sequence);
    this.observer.failed();
    sequence.stream.fail(thrown);
  }

  /** Whether a sequence can begin: there is a slot, and pages for it beside the others. */
  get #waits(): boolean {
    const next = this.#preempted[0] ?? this.#waiting.next;
    if (next === undefined || this.#places.free === 0) return false;
    return this.#overlaps.admit(next, this.#active.map(({ sequence }) => sequence), this.session.paging);
  }

  /** Whether a sequence is to end. */
  get #leaves(): boolean {
    return this.#active.some(({ sequence }) => sequence.ending !== null);
  }

  /** Gives back what a sequence has. */
  #leave(sequence: Sequence): void {
    this.#alive.get(sequence)?.();
    this.#alive.delete(sequence);
    this.#overlaps.leave(sequence);
    const at = this.#active.findIndex((active) => active.sequence === sequence);
    if (at < 0) this.#preempted = this.#preempted.filter((other) => other !== sequence);
    else this.#places.leave(this.#active.splice(at, 1)[0]!);
  }

  /** Computes a batch, or as many as the engine generates by itself while nothing changes. */
  async #compute(): Promise<void> {
    this.#makeRoom();
    const active = [...this.#active];
    // What was chosen last is handed out while the next batch is computed already.
    const run = new BatchRun(this.session, () => active.forEach(({ sequence }) => sequence.stream.deliver()));
    if (!this.#waits && run.canDecode(active)) {
      const stop = this.#stop = new AbortController();
      await run.decode(active, () => !this.#waits && !this.#leaves && !this.turns.wanted, stop.signal);
      this.#stop = null;
      this.#settle(run, active);
    } else {
      const shares = planBatch(active, this.session.limits.maxTokens);
      await run.batch(shares);
      this.#settle(run, shares);
    }
  }

  /** Ends what has ended. */
  #settle({ failure, computed, lost, failed, ends }: BatchRun, all: readonly Active[]): void {
    this.#broken = null;
    if (failure !== null) {
      if (!computed) this.#broken = reason(failure.thrown);
      const those = lost.size > 0 ? lost : all.map(({ sequence }) => sequence);
      for (const sequence of those) this.#fail(sequence, failure.thrown);
      this.#places.forget();
    }
    for (const [sequence, thrown] of failed) if (this.#alive.has(sequence)) this.#fail(sequence, thrown);
    for (const [sequence, why] of ends) if (this.#alive.has(sequence)) this.#end(sequence, why);
  }
}
