/**
 * Generation in step with other ranks: each launches exactly the steps that somebody permits, since a step that one
 * rank launches alone waits for the others for ever.
 */
import type { DecodeRequest, DecodeResult } from "../../model/engine.ts";
import { AHEAD, type DecodeParts, TokenRing } from "./decode.ts";

/** Who permits steps. */
export interface Pace {
  /** Steps that may be launched so far; only grows. */
  permitted(): number;
  /** Whether no more will be permitted. */
  closed(): boolean;
  /**
   * Waits until more are permitted than `launched`, or no more will be; for some milliseconds at most.
   *
   * @throws {Error} if all must stop: nobody permits anything then.
   */
  wait(launched: number): void;
}

/** What a rank is asked for; whoever permits steps judges the tokens. */
export type PacedRequest = Pick<DecodeRequest, "batch" | "steps" | "sampling"> & {
  /** Receives the picked ids of each step, valid during the call only. */
  readonly onTokens: (ids: Int32Array, step: number) => void;
};

/** Steps that may be launched before the tokens of the oldest have been seen. */
export function stepsAhead({ maxTokens }: Pick<DecodeParts, "maxTokens">): number {
  return 1 + Math.max(1, Math.min(AHEAD, maxTokens));
}

/**
 * Launches steps and hands out their tokens.
 *
 * @param launch Enqueues one step, its choice included.
 */
export function pacedLoop(parts: DecodeParts, request: PacedRequest, pace: Pace, launch: () => void): DecodeResult {
  const { held, stream, workspace: w } = parts;
  const ring = new TokenRing(held.device, stepsAhead(parts), request.batch.ids.length);
  let launched = 0, done = 0, hostMilliseconds = 0;
  try {
    for (;;) {
      const before = performance.now();
      for (const until = pace.permitted(); launched < until && launched - done < ring.size;) {
        launch();
        ring.fetch(stream, w, launched++);
      }
      hostMilliseconds += performance.now() - before;
      if (done < launched) {
        const tokens = ring.take(done);
        request.onTokens(tokens, done++);
      } else if (pace.closed() && launched === pace.permitted()) break;
      else pace.wait(launched);
    }
    // Steps that nobody wants any more still write to memory that the next batch uses.
    stream.synchronize();
  } catch (thrown) {
    // To give it back waits for steps that wait for other ranks: that is for when these have been let go of.
    held.own(ring);
    throw thrown;
  }
  ring[Symbol.dispose]();
  return { steps: done, hostMilliseconds };
}
