/** What the main thread and the rank workers say to each other. */
import type { MpiLibrary } from "../../ffi/mpi.ts";
import type { ProcessorBackend } from "./open_backend.ts";
import type { BackendInfo, Batch, OpenRequest } from "../model/backend.ts";
import type { Mistake } from "../errors.ts";
import type { Text } from "../words.ts";
import type { Available } from "../memory.ts";
import type { Tap, TensorName } from "../model/gpt_oss.ts";
import type { TappedOperation } from "../model/operations.ts";
import type { ParallelSizes, RankRanges } from "../checkpoint/shard.ts";
import type { GpuKind } from "../../ffi/runtime.ts";
import type { OfferedMemory, RankPlaces } from "../backends/gpu/offered.ts";
import type { SumTimes } from "../backends/gpu/membership.ts";
import type { RankIds } from "../backends/gpu/ranks.ts";
import type { Picks, Sampling } from "../model/engine.ts";
import type { SharedCommunication } from "./communicator.ts";

/** How a rank computes that sums over the host's memory. */
export interface RankBackend {
  /** On the processor, or on a device that it shares with other ranks. */
  readonly name: ProcessorBackend | Omit<DeviceChoice, "collectivesLibrary">;
  readonly threads: number;
  readonly weights: "auto" | "map" | "read";
  /** Bytes that the ranks of its process would map together, where others have ranks, too. */
  readonly mapped: number | undefined;
}

/** First message to a rank; its request holds only the rank's part of the source. */
export interface RankSetup {
  readonly kind: "open";
  readonly request: Omit<OpenRequest<TensorName>, "part" | "onProgress">;
  readonly ranges: RankRanges;
  readonly backend: RankBackend;
  readonly communication: SharedCommunication;
  /** Memory that all ranks may take together, where the starting thread knows more than they can find out. */
  readonly available: Available | null;
  /** float32 [LOGIT_ROWS, V of the whole model]; each rank writes its columns. */
  readonly logits: SharedArrayBuffer;
  /** How far it may generate, see `control.ts`; null where it chooses no tokens. */
  readonly control: SharedArrayBuffer | null;
  /** What processes gather values by; null where all ranks are threads of one. */
  readonly mpi: MpiLibrary | null;
}

/** First message to a rank with a device of its own. */
export interface DeviceRankSetup {
  readonly kind: "open";
  readonly request: Omit<OpenRequest<TensorName>, "part" | "onProgress">;
  readonly ranges: RankRanges;
  /** Null where there is no other rank to sum with. */
  readonly sizes: ParallelSizes | null;
  /** Whether it hands out what all ranks have: logits and picked tokens. */
  readonly speaks: boolean;
  readonly device: DeviceChoice;
  /** File in which outcomes of self-tests are kept; undefined: they are not. */
  readonly selfTests: string | undefined;
  /** See `control.ts`. */
  readonly control: SharedArrayBuffer;
  /** float32 [LOGIT_ROWS, V of the whole model], written by the rank that speaks. */
  readonly logits: SharedArrayBuffer;
}

/** That message as the rank's thread gets it. */
export interface OpenedDeviceRank extends DeviceRankSetup {
  /** Where later questions are left; see `mailbox.ts`. */
  readonly mailbox: SharedArrayBuffer;
}

/** A rank's device, and the libraries that it is used by. */
export interface DeviceChoice {
  readonly kind: GpuKind;
  readonly ordinal: number;
  /** Path of the library of HIP or CUDA; undefined: it is looked for. */
  readonly library: string | undefined;
  readonly collectivesLibrary: string | undefined;
}

/** Later messages to a rank. */
export type RankCommand =
  /** To one with a device of its own, once all have loaded: open the collective library. */
  | { readonly kind: "prepare" }
  /** Let the devices find one another, once all can: whoever is in the library waits there for the others. */
  | { readonly kind: "join"; readonly ids: RankIds }
  /** Offer the memory that the other ranks may write to; whether some are in other processes. */
  | { readonly kind: "offer"; readonly abroad: boolean }
  /** What the ranks offered, by rank, and which are where. */
  | { readonly kind: "exchange"; readonly offers: readonly OfferedMemory[]; readonly places: RankPlaces }
  /** Measure sums of so many tokens each. */
  | { readonly kind: "tune"; readonly tokens: readonly number[] }
  /** Sums of up to so many tokens go from memory to memory from now on. */
  | { readonly kind: "choose"; readonly tokens: number }
  | {
    readonly kind: "decode";
    readonly batch: Batch;
    readonly steps: number;
    readonly sampling: readonly Sampling[];
  }
  | { readonly kind: "pick"; readonly batch: Batch; readonly rows: Int32Array }
  /** For measurements: whether ranks talk to one another. */
  | { readonly kind: "talk"; readonly talks: boolean }
  | { readonly kind: "pretend"; readonly batch: Batch }
  | {
    readonly kind: "compute";
    readonly batch: Batch;
    readonly rows: Int32Array;
    readonly tapped: boolean;
  }
  | { readonly kind: "logits"; readonly rows: Int32Array }
  /** Let go of other processes' memory: what closes the ranks comes next. */
  | { readonly kind: "part" }
  | { readonly kind: "copySlot"; readonly from: number; readonly to: number; readonly length: number }
  /** Free everything; whether all ranks have let go of other processes' memory before. */
  | { readonly kind: "close"; readonly parted: boolean };

/** Messages from a rank. */
export type RankReply =
  | { readonly kind: "ready"; readonly info: BackendInfo }
  | { readonly kind: "done" }
  /** The last one: nothing is held any more, or could not be let go of, which was said before. */
  | { readonly kind: "closed" }
  | { readonly kind: "offered"; readonly memory: OfferedMemory }
  /** Most tokens of a sum that can go from memory to memory. */
  | { readonly kind: "exchanges"; readonly tokens: number }
  | { readonly kind: "tuned"; readonly times: readonly SumTimes[] }
  | { readonly kind: "tokens"; readonly ids: Int32Array; readonly step: number }
  | { readonly kind: "decoded"; readonly hostMilliseconds: number }
  | { readonly kind: "picked"; readonly picks: Picks }
  | { readonly kind: "progress"; readonly done: number; readonly total: number }
  | {
    readonly kind: "tap";
    readonly layer: number;
    readonly operation: TappedOperation;
    readonly rows: number;
    readonly width: number;
    readonly values: Float32Array;
    readonly experts: Int32Array | null;
  }
  | {
    readonly kind: "failed";
    readonly text: Text;
    /** The mistake in the input, if that is the cause. */
    readonly mistake: Mistake | null;
    /** It only failed because another rank did. */
    readonly dragged: boolean;
  };

/** A tap of a rank, which sends what it sees to the main thread. */
export function tapTo(post: (reply: RankReply) => void): Tap {
  return ({ layer, operation, rows, width, read, experts }) =>
    post({ kind: "tap", layer, operation, rows, width, values: read(), experts: experts?.() ?? null });
}
