/**
 * Continuous batching: sequences share batches, prefill of some beside single tokens of others, and as one ends the
 * next takes its slot. A sequence's tokens do not depend on what shares its batches.
 */
import { setImmediate } from "node:timers";
import type { Feed } from "../../session/batch.ts";
import type { Session } from "../../session/session.ts";
import { reason } from "../../errors.ts";
import { ApiError } from "../api_error.ts";
import type { FinishReason, Generation, Job } from "./job.ts";
import { Sequence } from "./sequence.ts";
import { NOBODY, type Observer } from "./observer.ts";
import type { Turns } from "./turns.ts";
import { WaitingRoom } from "./waiting.ts";

/** Limits of a scheduler. */
export interface SchedulerOptions {
  /** Requests that may wait. */
  readonly queue: number;
  /** Milliseconds that a job may take, its waiting included. */
  readonly milliseconds: number;
}

/** Sequences whose times are averaged. */
const AVERAGED = 16;

/** A sequence with its slot. */
interface Active {
  readonly slot: number;
  readonly sequence: Sequence;
}

/** What of a sequence is computed in a batch. */
interface Share extends Active {
  readonly feed: Feed;
}

/** Runs the jobs of one session. */
export class Scheduler {
  readonly #waiting: WaitingRoom;
  readonly #free: number[];
  /** Of every sequence that has not ended: what undoes its timer and its listener. */
  readonly #alive = new Map<Sequence, () => void>();
  #active: Active[] = [];
  #running = false;
  #broken: string | null = null;
  /** That a sequence has a slot, averaged over the last ones. */
  #milliseconds = 0;

  /** @param turns Batches of several models on one machine take turns. */
  constructor(
    readonly session: Session,
    readonly turns: Turns,
    readonly options: SchedulerOptions,
    readonly observer: Observer = NOBODY,
  ) {
    this.#waiting = new WaitingRoom(options.queue);
    this.#free = Array.from({ length: session.limits.slots }, (_, slot) => slot).reverse();
  }

  /** Why nothing is computed any more; null while it is. */
  get broken(): string | null {
    return this.#broken;
  }

  get running(): number {
    return this.#active.length;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Positions that are in use. */
  get positions(): number {
    return this.#active.reduce((sum, { slot }) => sum + this.session.length(slot), 0);
  }

  /** @throws {ApiError} 429 where the queue is full. */
  submit(job: Job): Generation {
    if (!this.#waiting.admits(job, this.#free.length)) {
      const message = `the queue is full: ${this.#waiting.requests} requests wait`;
      throw new ApiError(429, message, { code: "queue_full", retryAfter: this.#patience() });
    }
    const sequence = new Sequence(job, this.observer, () => this.#wake());
    const cancel = () => sequence.stream.cancel();
    const timer = setTimeout(() => {
      const seconds = this.options.milliseconds / 1000;
      sequence.ending ??= new ApiError(504, `not done within ${seconds} s`, { code: "timeout" });
      this.#wake();
    }, this.options.milliseconds);
    this.#alive.set(sequence, () => {
      clearTimeout(timer);
      job.signal?.removeEventListener("abort", cancel);
    });
    if (job.signal?.aborted) cancel();
    else job.signal?.addEventListener("abort", cancel);
    this.#waiting.add(sequence);
    this.#wake();
    return sequence.stream;
  }

  /** Seconds after which a place of the queue should be free. */
  #patience(): number {
    const most = 60, seconds = this.#milliseconds / 1000 / this.session.limits.slots;
    return Math.min(most, Math.max(1, Math.ceil(seconds)));
  }

  /** Works until nothing is left to do. */
  #wake(): void {
    if (this.#running) return;
    this.#running = true;
    void this.#work();
  }

  async #work(): Promise<void> {
    while (true) {
      // Requests, signals and writes have their turn between batches.
      await new Promise<void>((resolve) => setImmediate(resolve));
      for (const sequence of [...this.#waiting.takeEnding(), ...this.#active.map(({ sequence }) => sequence)]) {
        if (sequence.ending === "cancelled") this.#end(sequence, "cancelled");
        else if (sequence.ending !== null) this.#fail(sequence, sequence.ending);
      }
      while (this.#free.length > 0 && this.#waiting.size > 0) this.#start(this.#waiting.take()!);
      if (this.#active.length === 0) break;
      await this.turns.take(() => this.#compute());
    }
    this.#running = false;
  }

  #start(sequence: Sequence): void {
    const slot = this.#free.pop()!;
    this.session.reset(slot);
    sequence.start(0);
    this.#active.push({ slot, sequence });
  }

  #end(sequence: Sequence, reason: FinishReason): void {
    this.#leave(sequence);
    const outcome = sequence.outcome(reason);
    this.observer.ended(outcome);
    const { prefill, decode } = outcome.timings;
    this.#milliseconds += (prefill + decode - this.#milliseconds) / AVERAGED;
    sequence.stream.end(outcome);
  }

  #fail(sequence: Sequence, thrown: unknown): void {
    this.#leave(sequence);
    this.observer.failed();
    sequence.stream.fail(thrown);
  }

  /** Gives back what a sequence has. */
  #leave(sequence: Sequence): void {
    this.#alive.get(sequence)?.();
    this.#alive.delete(sequence);
    const at = this.#active.findIndex((active) => active.sequence === sequence);
    if (at < 0) return;
    this.#free.push(this.#active[at]!.slot);
    this.#active.splice(at, 1);
  }

  /** Computes one batch. */
  async #compute(): Promise<void> {
    const shares = fillBatch(this.#active, this.session.limits.maxTokens);
    const feeds = shares.map(({ feed }) => feed), ends = new Map<Sequence, FinishReason>();
    const served = new Set<Sequence>(), own = new Map<Sequence, unknown>();
    const serve = ({ sequence }: Share, take: () => FinishReason | null) => {
      served.add(sequence);
      try {
        const reason = take();
        if (reason !== null) ends.set(sequence, reason);
      } catch (thrown) {
        // A mask or a watch that fails, or that leaves no token, is the matter of its sequence alone.
        own.set(sequence, thrown);
      }
    };
    let failure: { readonly thrown: unknown } | null = null;
    try {
      if (this.session.canPick(feeds.length) && shares.every(({ sequence }) => sequence.pickable)) {
        await this.session.pick(feeds, (i, id) => serve(shares[i]!, () => shares[i]!.sequence.picked(id)));
      } else {
        await this.session.run(feeds, (i, position, logits) => {
          serve(shares[i]!, () => shares[i]!.sequence.take(position, logits));
        }, shares[0]!.sequence.tap);
      }
    } catch (thrown) {
      failure = { thrown };
    }
    if (failure !== null) {
      // Logits that are not finite are of some sequences; anything else is of all.
      const failed = shares.filter(({ sequence, feed }) => feed.logits !== "none" && !served.has(sequence));
      for (const { sequence } of failed.length > 0 ? failed : shares) this.#fail(sequence, failure.thrown);
      if (served.size === 0) this.#broken = reason(failure.thrown);
    } else {
      this.#broken = null;
    }
    for (const [sequence, thrown] of own) this.#fail(sequence, thrown);
    for (const { sequence, feed } of shares) {
      const reason = sequence.computed(feed.tokens.length) ?? ends.get(sequence);
      if (reason !== undefined && this.#alive.has(sequence)) this.#end(sequence, reason);
    }
  }
}

/**
 * One token of each sequence that generates, and as much of the prompts as there is room for; or a sequence alone whose
 * intermediate results are looked at.
 */
function fillBatch(active: readonly Active[], room: number): Share[] {
  const tapped = active.find(({ sequence }) => sequence.tap !== undefined);
  if (tapped !== undefined) active = [tapped];
  const shares: Share[] = [];
  const add = ({ slot, sequence }: Active, most: number) => {
    const feed = sequence.feed(slot, most);
    shares.push({ slot, sequence, feed });
    room -= feed.tokens.length;
  };
  for (const one of active) if (one.sequence.decodes && room > 0) add(one, 1);
  for (const one of active) if (!one.sequence.decodes && room > 0) add(one, room);
  return shares;
}
