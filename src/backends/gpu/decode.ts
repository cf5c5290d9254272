/**
 * Generation without the host in the loop: each recorded step picks the next tokens on the device and feeds them to the
 * step after it. The host only launches, a little ahead, and looks at what was picked.
 */
import { Breath } from "../../breath.ts";
import type { GpuDevice, GpuEvent, PinnedBuffer, Stream } from "../../../ffi/runtime.ts";
import type { DecodeRequest, DecodeResult, Picks } from "../../model/engine.ts";
import type { Calls } from "./calls.ts";
import type { Held } from "./held.ts";
import { uploadFloats } from "./staging.ts";
import { SAMPLE_STAGES } from "../../../kernels/abi/attention.ts";
import { HISTORY_STEPS, SPLIT_SAMPLES } from "./regions.ts";
import type { Workspace } from "./workspace.ts";

/** Steps that are launched before the oldest one's tokens are looked at. */
export const AHEAD = 2;

/** The choice of the likeliest token by several blocks, and a draw by several. */
const ARGMAX_SPLIT = "argmax_split";
const SAMPLE_SPLIT = "sample_split";

/** What the loop works with. */
export interface DecodeParts {
  readonly held: Pick<Held, "device" | "own">;
  readonly stream: Stream;
  readonly staging: PinnedBuffer;
  readonly calls: Calls;
  readonly workspace: Workspace<string>;
  readonly context: number;
  /** Tokens of a batch; more steps ahead than this could overwrite keys that a sliding layer still sees. */
  readonly maxTokens: number;
  readonly vocab: number;
}

/**
 * Adds the choice of the next tokens to a step whose logits are in the workspace.
 *
 * @param scored Whether the likeliest tokens' probabilities are wanted.
 */
export function enqueuePick(
  { calls, workspace: w, context, vocab }: DecodeParts,
  rows: number,
  greedy: boolean,
  scored = false,
): void {
  const common = { logits: w.allLogits, stride: w.allLogitStride, vocab, picked: w.picked, rows };
  if (greedy && !scored && calls.kernels.has(ARGMAX_SPLIT)) {
    calls.launch("argmaxSplit", { ...common, partial: w.pickedParts, counters: w.pickedCounters });
  } else if (greedy) calls.launch("argmax", { ...common, sums: scored ? w.sums : null });
  else {
    const { sampling: params, uniforms, positions, sampleStates: states } = w;
    const drawn = { ...common, params, uniforms, uniformStride: context, positions };
    if (rows > SPLIT_SAMPLES || !calls.kernels.has(SAMPLE_SPLIT)) calls.launch("sample", drawn);
    else for (let stage = 0; stage < SAMPLE_STAGES; stage++) calls.launch("sampleSplit", { ...drawn, states, stage });
  }
}

/** Waits for what was picked for the first `rows` rows, with probabilities. */
export function downloadPicks({ stream, staging, workspace: { picked, sums } }: DecodeParts, rows: number): Picks {
  stream.download(staging, 0, picked, 4 * rows);
  stream.download(staging, 4 * rows, sums, 4 * rows);
  stream.synchronize();
  const { buffer } = staging.view;
  return {
    ids: new Int32Array(buffer, 0, rows).slice(),
    logProbabilities: logProbabilities(new Float32Array(buffer, 4 * rows, rows)),
  };
}

/** Of the likeliest tokens, by sums of e^(logit - largest). */
const logProbabilities = (sums: Float32Array) => Float64Array.from(sums, (sum) => -Math.log(sum));

/** Makes picked tokens the inputs of the next step. */
export function enqueueNext({ calls, workspace: w }: DecodeParts, rows: number): void {
  const { ids, positions, picked, history, step } = w;
  calls.launch("advance", { ids, positions, picked, history, step, historyCapacity: HISTORY_STEPS, n: rows });
}

/** Uploads what {@linkcode enqueuePick} reads of `rows` rows, of which those after the batch's take the likeliest. */
export function uploadSampling(
  parts: DecodeParts,
  { batch, sampling, steps }: Omit<DecodeRequest, "onTokens">,
  rows: number,
): void {
  const { stream, staging, workspace: w, context } = parts;
  uploadFloats(stream, staging, w.step, new Float32Array(1));
  const params = new Float32Array(4 * rows);
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
  const { held: { device }, stream, workspace: w } = parts;
  const rows = request.batch.ids.length, ahead = Math.max(1, Math.min(AHEAD, parts.maxTokens));
  using ring = new TokenRing(device, ahead + 1, rows, request.scored);
  const breath = new Breath();
  let launched = 0, done = 0, end = request.steps, hostMilliseconds = 0;
  try {
    while (done < end) {
      const before = performance.now();
      while (launched < end && launched - done <= ahead) {
        launch();
        ring.fetch(stream, w, launched++);
      }
      hostMilliseconds += performance.now() - before;
      const tokens = ring.take(done), scores = ring.scores(done);
      if (!await request.onTokens(tokens, done++, scores)) end = request.drains === true ? launched : done;
      if (breath.due) await breath.take();
    }
  } catch (thrown) {
    settle(stream);
    throw thrown;
  }
  // Steps that nobody wants any more still write to memory that the next batch uses.
  stream.synchronize();
  return { steps: done, hostMilliseconds };
}

/** Waits until no step writes to the ring any more; errors are ignored, since one is being thrown already. */
function settle(stream: Stream): void {
  try {
    stream.synchronize();
  } catch {
    // A failed device no longer writes.
  }
}

/** Page-locked copies of the picked ids of the last few steps, and of what their probabilities follow from. */
export class TokenRing implements Disposable {
  readonly #pinned: PinnedBuffer;
  readonly #events: readonly GpuEvent[];
  readonly #bytes: number;

  constructor(device: GpuDevice, readonly size: number, readonly rows: number, readonly scored = false) {
    this.#bytes = (scored ? 8 : 4) * rows;
    this.#pinned = device.allocatePinned(size * this.#bytes);
    this.#events = Array.from({ length: size }, () => device.createEvent());
  }

  fetch(stream: Stream, { picked, sums }: Pick<Workspace<string>, "picked" | "sums">, step: number): void {
    const i = step % this.size, bytes = 4 * this.rows;
    stream.download(this.#pinned, i * this.#bytes, picked, bytes);
    if (this.scored) stream.download(this.#pinned, i * this.#bytes + bytes, sums, bytes);
    stream.record(this.#events[i]!);
  }

  /** Waits for a step's ids. */
  take(step: number): Int32Array {
    const i = step % this.size;
    this.#events[i]!.synchronize();
    return new Int32Array(this.#pinned.view.buffer, i * this.#bytes, this.rows);
  }

  /** Logarithms of the probabilities of a step that was taken, where they are wanted. */
  scores(step: number): Float64Array | undefined {
    if (!this.scored) return undefined;
    const at = step % this.size * this.#bytes + 4 * this.rows;
    return logProbabilities(new Float32Array(this.#pinned.view.buffer, at, this.rows));
  }

  [Symbol.dispose](): void {
    for (const event of this.#events) event[Symbol.dispose]();
    this.#pinned[Symbol.dispose]();
  }
}
