/** Computes a batch for sequences, by whichever way of the engine is fastest, and lets them take what comes out. */
import { setImmediate } from "node:timers";
import { pickGreedily } from "../../session/greedy.ts";
import type { Session } from "../../session/session.ts";
import { engineFailure } from "../api_error.ts";
import type { Active, Share } from "./batch_plan.ts";
import type { FinishReason } from "./job.ts";
import type { Sequence } from "./sequence.ts";

/** Steps that an engine may generate by itself: random numbers are drawn for so many ahead. */
const MOST_STEPS = 64;

/** What came of a batch. */
export class BatchRun {
  /** Sequences that ended, and why. */
  readonly ends = new Map<Sequence, FinishReason>();
  /** Sequences whose mask or watch threw, or left no token: it is their matter alone. */
  readonly failed = new Map<Sequence, unknown>();
  /** Sequences whose logits are no numbers: what the session threw is about them, and others go on. */
  readonly lost = new Set<Sequence>();
  /** What the session threw; where no sequence is lost, all failed. */
  failure: { readonly thrown: unknown } | null = null;
  /** Whether the engine computed something, so that a failure is about the numbers that came out. */
  computed = false;

  /** @param onBegun Called while the batch is computed, where the engine has a thread of its own. */
  constructor(readonly session: Session, readonly onBegun: () => void) {}

  /** Computes one batch. */
  async batch(shares: readonly Share[]): Promise<void> {
    const { session } = this, feeds = shares.map(({ feed }) => feed);
    const ends = shares.map(({ slot, feed }) => session.length(slot) + feed.tokens.length);
    /** Logits or tokens that each is still to get. */
    const missing = feeds.map(({ logits, tokens }) => logits === "none" ? 0 : logits === "last" ? 1 : tokens.length);
    const give = (i: number, take: (sequence: Sequence) => FinishReason | null) => {
      missing[i]!--;
      this.#serve(shares[i]!, take);
    };
    await this.#guard(async () => {
      if (shares.every(({ sequence, feed }) => sequence.pickable && feed.logits !== "all")) {
        await this.#begun(pickGreedily(session, feeds, (i, id) => give(i, (sequence) => sequence.picked(id))));
      } else {
        const take = (i: number, position: number, logits: Float32Array) =>
          give(i, (sequence) => sequence.take(position, logits));
        await this.#begun(session.run(feeds, take, shares[0]!.sequence.tap));
      }
    });
    if (this.failure !== null) {
      // One whose prompt is scored may have got some of what it was to get.
      shares.forEach(({ sequence }, i) => missing[i]! > 0 && this.lost.add(sequence));
      this.#loseUncomputed(shares, ends);
    }
    for (const { sequence, feed } of shares) {
      const reason = sequence.computed(feed.tokens.length);
      if (reason !== null) this.ends.set(sequence, reason);
    }
  }

  /** Whether the engine can generate for these sequences by itself, several tokens without logits on the way. */
  canDecode(active: readonly Active[]): boolean {
    return active.every(({ sequence }) => sequence.begun && sequence.decodes && sequence.drawable) &&
      this.session.canDecode(active.map(({ slot, sequence }) => ({ slot, token: sequence.last })));
  }

  /**
   * Lets the engine generate until a sequence ends. What it has begun by then is kept for the others.
   *
   * @param goesOn Asked after each step.
   * @param signal Fires as soon as the answer would be no.
   */
  async decode(active: readonly Active[], goesOn: () => boolean, signal: AbortSignal): Promise<void> {
    const { session, ends, failed, lost } = this, starts = active.map(({ slot }) => session.length(slot));
    const room = active.map(({ slot, sequence }) =>
      Math.min(sequence.tokensLeft, session.limits.context - session.length(slot))
    );
    const entries = active.map(({ slot, sequence }) => ({ slot, token: sequence.last }));
    const steps = session.paging.stepsThatFit(entries, Math.min(MOST_STEPS, ...room)), over = [ends, failed, lost];
    let done = 0;
    await this.#guard(async () => {
      await this.#begun(
        session.decode(entries, {
          steps,
          signal,
          drains: true,
          sampling: active.map(({ sequence }) => sequence.sampling(steps)),
          onTokens: async (ids) => {
            done++;
            active.forEach((one, i) => {
              if (over.some((all) => all.has(one.sequence))) return;
              if (ids[i]! < 0) lost.add(one.sequence);
              else this.#serve(one, (sequence) => sequence.picked(ids[i]!));
            });
            for (const { sequence } of active) sequence.stream.deliver();
            // The device computes ahead meanwhile.
            await new Promise<void>((resolve) => setImmediate(resolve));
            return over.every((all) => all.size === 0) && goesOn();
          },
        }),
      );
    });
    if (this.failure !== null && lost.size > 0) this.#loseUncomputed(active, starts.map((start) => start + done));
    for (const { sequence } of active) sequence.skip(done);
  }

  /** Where the engine itself failed, what a sequence was to get is not in the cache: it cannot go on. */
  #loseUncomputed(active: readonly Active[], ends: readonly number[]): void {
    active.forEach(({ slot, sequence }, i) => {
      if (this.session.length(slot) < ends[i]!) this.lost.add(sequence);
    });
  }

  #begun<T>(work: Promise<T>): Promise<T> {
    this.onBegun();
    return work;
  }

  #serve({ sequence }: Active, take: (sequence: Sequence) => FinishReason | null): void {
    try {
      const reason = take(sequence);
      if (reason !== null) this.ends.set(sequence, reason);
    } catch (thrown) {
      this.failed.set(sequence, thrown);
    }
  }

  async #guard(work: () => Promise<void>): Promise<void> {
    const { batches } = this.session;
    try {
      await work();
    } catch (thrown) {
      this.failure = { thrown: engineFailure(thrown) };
    }
    this.computed = this.session.batches > batches;
  }
}
