/**
 * Generation without the host in the loop: each recorded step picks the next tokens on the device and feeds them to the step after it. The
 * host only launches, a little ahead, and looks at what was picked.
 */
import type { DeviceRange, GpuDevice, GpuEvent, PinnedBuffer, Stream } from "../../../ffi/runtime.ts";
import type { Batch } from "../backend.ts";
import type { Calls } from "./calls.ts";
import { uploadFloats } from "./staging.ts";
import { HISTORY_STEPS, type Workspace } from "./workspace.ts";

/** How the next token of a sequence is picked. */
export interface Sampling {
  /** 0: the largest logit, of several the one with the lowest id. */
  readonly temperature: number;
  /** 1: all tokens. */
  readonly topP: number;
  /** 0: all tokens. */
  readonly topK: number;
  /** A number in [0, 1) for each step, the first for the first step; unused where temperature is 0. */
  readonly uniforms: Float32Array;
}

/** Tokens to generate. */
export interface DecodeRequest {
  /** One token of each sequence, the last that is known; its keys and values are computed by the first step. */
  readonly batch: Batch;
  /** Most steps; positions up to the last one's must fit the context. */
  readonly steps: number;
  /** Per token of the batch. */
  readonly sampling: readonly Sampling[];
  /**
   * Receives the picked ids of each step, in the order of the batch; the array is only valid during the call.
   *
   * @returns False to stop. The device may have computed a few steps more by then, which changes nothing that is visible.
   */
  readonly onTokens: (ids: Int32Array, step: number) => boolean;
}

/** What was generated. */
export interface DecodeResult {
  /** Steps whose tokens were handed out; each added one position to every sequence. */
  readonly steps: number;
  /** Time that the calling thread spent on launches and copies, not counting waits and `onTokens`. */
  readonly hostMilliseconds: number;
}

/** Steps that are launched before the oldest one's tokens are looked at. */
const AHEAD = 2;
/** How long the event loop may be kept waiting, in milliseconds; bounds the delay of Ctrl-C. */
const BREATHE_MS = 40;

/** What the loop works with. */
export interface DecodeParts {
  readonly device: GpuDevice;
  readonly stream: Stream;
  readonly staging: PinnedBuffer;
  readonly calls: Calls;
  readonly workspace: Workspace<string>;
  readonly context: number;
  /** Tokens of a batch; more steps ahead than this could overwrite keys that a sliding layer still sees. */
  readonly maxTokens: number;
  readonly vocab: number;
}

/** Adds the choice of the next tokens to a step whose logits are in the workspace. */
export function enqueuePick({ calls, workspace: w, context, vocab }: DecodeParts, rows: number, greedy: boolean): void {
  if (greedy) calls.argmax(w.logits, vocab, vocab, w.picked, rows);
  else calls.sample(w.logits, vocab, vocab, w.sampling, w.uniforms, context, w.positions, w.picked, rows);
  calls.advance(w.ids, w.positions, w.picked, w.history, w.step, HISTORY_STEPS, rows);
}

/** Uploads what {@linkcode enqueuePick} reads. */
export function uploadSampling(parts: DecodeParts, { batch, sampling, steps }: DecodeRequest): void {
  const { stream, staging, workspace: w, context } = parts;
  uploadFloats(stream, staging, w.step, new Float32Array(1));
  const params = new Float32Array(4 * sampling.length);
  sampling.forEach(({ temperature, topP, topK, uniforms }, row) => {
    params.set([temperature, topP, topK], 4 * row);
    if (temperature === 0) return;
    const first = row * context + batch.positions[row]!;
    const range = w.uniforms.buffer.range(w.uniforms.offset + 4 * first, 4 * Math.min(steps, uniforms.length));
    uploadFloats(stream, staging, range, uniforms.subarray(0, steps));
  });
  uploadFloats(stream, staging, w.sampling, params);
}

/**
 * Launches steps and hands out their tokens.
 *
 * @param launch Enqueues one step, its choice included.
 */
export async function decodeLoop(
  parts: DecodeParts,
  request: DecodeRequest,
  launch: () => void,
): Promise<DecodeResult> {
  const { device, stream, workspace: w } = parts;
  const rows = request.batch.ids.length, ahead = Math.max(1, Math.min(AHEAD, parts.maxTokens));
  using ring = new TokenRing(device, ahead + 1, rows);
  let launched = 0, done = 0, hostMilliseconds = 0, lastBreath = performance.now();
  while (done < request.steps) {
    const before = performance.now();
    while (launched < request.steps && launched - done <= ahead) {
      launch();
      ring.fetch(stream, w.picked, launched++);
    }
    hostMilliseconds += performance.now() - before;
    const tokens = ring.take(done);
    if (!request.onTokens(tokens, done++)) break;
    if (performance.now() - lastBreath > BREATHE_MS) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      lastBreath = performance.now();
    }
  }
  // Steps that nobody wants any more still write to memory that the next batch uses.
  stream.synchronize();
  return { steps: done, hostMilliseconds };
}

/** Page-locked copies of the picked ids of the last few steps. */
class TokenRing implements Disposable {
  readonly #pinned: PinnedBuffer;
  readonly #events: readonly GpuEvent[];

  constructor(device: GpuDevice, readonly size: number, readonly rows: number) {
    this.#pinned = device.allocatePinned(4 * size * rows);
    this.#events = Array.from({ length: size }, () => device.createEvent());
  }

  fetch(stream: Stream, picked: DeviceRange, step: number): void {
    const i = step % this.size;
    stream.download(this.#pinned, 4 * i * this.rows, picked, 4 * this.rows);
    stream.record(this.#events[i]!);
  }

  take(step: number): Int32Array {
    const i = step % this.size;
    this.#events[i]!.synchronize();
    return new Int32Array(this.#pinned.view.buffer, 4 * i * this.rows, this.rows);
  }

  [Symbol.dispose](): void {
    for (const event of this.#events) event[Symbol.dispose]();
    this.#pinned[Symbol.dispose]();
  }
}
