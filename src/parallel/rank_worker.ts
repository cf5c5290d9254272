/**
 * One rank of a tensor/expert parallel run, on a worker thread of its own: the same graph over the rank's part of the
 * weights.
 */
import type { Backend } from "../model/backend.ts";
import { FailureError, InputError, reason } from "../errors.ts";
import { GptOss, type TensorName } from "../model/gpt_oss.ts";
import { MpiGroup } from "../../ffi/mpi.ts";
import { abort, DraggedError, type GatherValues, SharedCommunicator } from "./communicator.ts";
import { openOnProcessor } from "./open_backend.ts";
import { type RankCommand, type RankReply, type RankSetup, tapTo } from "./messages.ts";

const scope = self as unknown as {
  onmessage: ((event: MessageEvent<RankSetup | RankCommand>) => void) | null;
  postMessage(reply: RankReply): void;
  close(): void;
};

const tap = tapTo((reply) => scope.postMessage(reply));

/** The rank's state between messages. */
interface Rank {
  readonly setup: RankSetup;
  readonly model: GptOss;
}

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
  });
};

async function handle(message: RankSetup | RankCommand): Promise<void> {
  if (message.kind === "open") {
    setupOf = message;
    rank = { setup: message, model: new GptOss(await open(message), message.request.config) };
    scope.postMessage({ kind: "ready", info: rank.model.backend.info });
    return;
  }
  if (message.kind === "close") {
    await rank?.model.backend.close();
    scope.postMessage({ kind: "closed" });
    scope.close();
    return;
  }
  if (!rank) throw new Error("a rank was given work before it was opened");
  switch (message.kind) {
    case "compute":
      rank.model.forward(message.batch, message.tapped ? tap : undefined);
      writeLogits(rank, message.rows);
      break;
    case "logits":
      writeLogits(rank, message.rows);
      break;
    case "copySlot":
      rank.model.backend.copySlot(message.from, message.to, message.length);
      return;
  }
  scope.postMessage({ kind: "done" });
}

/** Puts this rank's columns into the shared logits; ranks of further expert groups hold the same ones. */
function writeLogits({ setup, model }: Rank, rows: Int32Array): void {
  const { start, end } = setup.ranges.vocab;
  if (setup.ranges.epRank !== 0 || rows.length === 0 || end === start) return;
  const width = end - start, vocab = setup.request.config.vocab;
  const mine = model.logits(rows);
  const all = new Float32Array(setup.logits);
  for (let i = 0; i < rows.length; i++) all.set(mine.subarray(i * width, (i + 1) * width), i * vocab + start);
}

async function open(setup: RankSetup): Promise<Backend<TensorName>> {
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
    onProgress: (done: number, total: number) => scope.postMessage({ kind: "progress", done, total }),
  };
  const { name, threads, weights, mapped } = backend;
  if (typeof name === "object") {
    const { openHip } = await import("../../ffi/hip.ts");
    const { openCuda } = await import("../../ffi/cuda.ts");
    const { openGpu } = await import("../backends/gpu/open.ts");
    return await openGpu(full, name.kind === "hip" ? openHip(name.library) : openCuda(name.library), {
      device: name.ordinal,
    });
  }
  return await openOnProcessor(name, full, { threads, weights, mapped, available: available ?? undefined });
}
