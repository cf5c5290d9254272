/**
 * One rank of a tensor/expert parallel run, on a worker thread of its own: the same graph over the rank's part of the
 * weights. The only rank of a run can choose tokens as well, and compute on while others send them.
 */
import type { Backend } from "../model/backend.ts";
import { FailureError, InputError, reason } from "../errors.ts";
import { GptOss, type TensorName } from "../model/gpt_oss.ts";
import { MpiGroup } from "../../ffi/mpi.ts";
import { RunControl } from "./control.ts";
import { firstNonFinite } from "../formats/finite.ts";
import { LOGIT_ROWS, PROCESSOR_LOGIT_ROWS, type Sampling } from "../model/engine.ts";
import { abort, DraggedError, type GatherValues, SharedCommunicator } from "./communicator.ts";
import { openOnProcessor } from "./open_backend.ts";
import { type RankCommand, type RankReply, type RankSetup, tapTo } from "./messages.ts";

/** The scope of a worker thread. */
export interface RankScope {
  onmessage: ((event: MessageEvent<RankSetup | RankCommand>) => void) | null;
  postMessage(reply: RankReply): void;
  close(): void;
}

/** How a sequence's tokens are chosen, see {@linkcode Sampling}. */
export interface RowPicker {
  /**
   * @param logits [V], all of them numbers.
   * @param uniform In [0, 1).
   */
  pick(logits: Float32Array, uniform: number): number;
}

/** The rank's state between messages. */
interface Rank {
  readonly setup: RankSetup;
  readonly model: GptOss;
}

/**
 * Answers messages until the last one.
 *
 * @param pickerOf Lets it choose tokens, where it is the only rank.
 */
export function runRank(scope: RankScope, pickerOf?: (sampling: Sampling) => RowPicker): void {
  const tap = tapTo((reply) => scope.postMessage(reply));
  let rank: Rank | undefined;
  /** Messages are handled one after another, also while the rank opens. */
  let queue: Promise<void> = Promise.resolve();
  let setupOf: RankSetup | undefined;
  scope.onmessage = ({ data }) => {
    queue = queue.then(() => handle(data)).catch((thrown) => {
      if (setupOf) abort(setupOf.communication);
      scope.postMessage({
        kind: "failed",
        text: thrown instanceof FailureError ? thrown.text : reason(thrown),
        mistake: thrown instanceof InputError ? thrown.mistake : null,
        dragged: thrown instanceof DraggedError,
      });
    }).then(() => data.kind === "close" ? end() : undefined);
  };

  /** Also a rank that could not let go of all that it held is not waited for. */
  function end(): void {
    scope.postMessage({ kind: "closed" });
    scope.close();
  }

  async function handle(message: RankSetup | RankCommand): Promise<void> {
    if (message.kind === "open") {
      setupOf = message;
      const onProgress = (done: number, total: number) => scope.postMessage({ kind: "progress", done, total });
      rank = { setup: message, model: new GptOss(await open(message, onProgress), message.request.config) };
      scope.postMessage({ kind: "ready", info: rank.model.backend.info });
      return;
    }
    if (message.kind === "close") return await rank?.model.backend.close();
    if (!rank) throw new Error("a rank was given work before it was opened");
    switch (message.kind) {
      case "compute":
        rank.model.forward(message.batch, message.tapped ? tap : undefined);
        writeLogits(rank, message.rows);
        break;
      case "pick": {
        const logProbabilities = new Float64Array(0);
        rank.model.forward(message.batch);
        scope.postMessage({ kind: "picked", picks: { ids: likeliest(rank.model, message.rows), logProbabilities } });
        return;
      }
      case "logits":
        writeLogits(rank, message.rows);
        break;
      case "decode":
        if (pickerOf === undefined) throw new Error("a rank that chooses no tokens was asked for some");
        generate(rank, message, pickerOf, (reply) => scope.postMessage(reply));
        scope.postMessage({ kind: "decoded", hostMilliseconds: 0 });
        return;
      case "copySlot":
        rank.model.backend.copySlot(message.from, message.to, message.length);
        return;
    }
    scope.postMessage({ kind: "done" });
  }
}

/** Chooses tokens step by step, as far as it is permitted, and computes with them. */
function generate(
  { setup, model }: Rank,
  { batch, steps, sampling }: Extract<RankCommand, { kind: "decode" }>,
  pickerOf: (sampling: Sampling) => RowPicker,
  post: (reply: RankReply) => void,
): void {
  const pace = new RunControl(setup.control!), { vocab } = setup.request.config, rows = batch.ids.map((_, row) => row);
  const pickers = sampling.map(pickerOf), greedy = sampling.every(({ temperature }) => temperature === 0);
  let { ids, positions } = batch;
  for (let step = 0; step < steps;) {
    if (pace.permitted() <= step) {
      if (pace.closed()) return;
      pace.wait(step);
      continue;
    }
    model.forward({ ids, slots: batch.slots, positions });
    const picked = greedy ? likeliest(model, rows) : new Int32Array(ids.length);
    for (let at = 0; !greedy && at < rows.length; at += LOGIT_ROWS) {
      const part = rows.subarray(at, at + LOGIT_ROWS), all = model.logits(part);
      part.forEach((row, i) => {
        const logits = all.subarray(i * vocab, (i + 1) * vocab), bad = firstNonFinite(logits);
        picked[row] = bad < 0 ? pickers[row]!.pick(logits, sampling[row]!.uniforms[step] ?? 0) : ~bad;
      });
    }
    post({ kind: "tokens", ids: picked, step: step++ });
    // What follows a sequence whose logits are no numbers means nothing.
    ids = picked.map((id) => Math.max(0, id));
    positions = positions.map((position) => position + 1);
  }
}

/** The likeliest tokens after rows of the batch that was computed last. */
function likeliest(model: GptOss, rows: Int32Array): Int32Array {
  const ids = new Int32Array(rows.length);
  for (const _ of model.greedyParts(rows, PROCESSOR_LOGIT_ROWS, ids));
  return ids;
}

/** Puts this rank's columns into the shared logits; ranks of further groups hold the same ones. */
function writeLogits({ setup, model }: Rank, rows: Int32Array): void {
  const { start, end } = setup.ranges.vocab;
  if (setup.ranges.group !== 0 || rows.length === 0 || end === start) return;
  const width = end - start, vocab = setup.request.config.vocab;
  const mine = model.logits(rows);
  const all = new Float32Array(setup.logits);
  for (let i = 0; i < rows.length; i++) all.set(mine.subarray(i * width, (i + 1) * width), i * vocab + start);
}

async function open(
  setup: RankSetup,
  onProgress: (done: number, total: number) => void,
): Promise<Backend<TensorName>> {
  const { request, ranges, backend, communication, available, mpi } = setup;
  // Every process's first rank speaks for all of it.
  const group = mpi === null || ranges.rank !== communication.own?.first ? null : MpiGroup.make(mpi);
  const gather: GatherValues | null = group && ((values, each) => group.allGather(values, each));
  const full = {
    ...request,
    part: {
      vocabStart: ranges.vocab.start,
      expertStart: ranges.experts.start,
      communicator: new SharedCommunicator(communication, ranges.rank, gather),
    },
    onProgress,
  };
  const { name, threads, weights, mapped } = backend;
  if (typeof name === "object") {
    const { openRuntime } = await import("../../ffi/open.ts");
    const { openGpu } = await import("../backends/gpu/open.ts");
    return await openGpu(full, openRuntime(name.kind, name.library), { device: name.ordinal });
  }
  return await openOnProcessor(name, full, { threads, weights, mapped, available: available ?? undefined });
}
