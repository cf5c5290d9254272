/** What the main thread and the rank workers say to each other. */
import type { ProcessorBackend } from "./open_backend.ts";
import type { BackendInfo, Batch, OpenRequest } from "../model/backend.ts";
import type { Mistake } from "../errors.ts";
import type { Text } from "../words.ts";
import type { Available } from "../memory.ts";
import type { TensorName } from "../model/gpt_oss.ts";
import type { TappedOperation } from "../model/operations.ts";
import type { RankRanges } from "../checkpoint/shard.ts";
import type { SharedCommunication } from "./communicator.ts";

/** How a rank computes. */
export interface RankBackend {
  readonly name: ProcessorBackend;
  readonly threads: number;
  readonly weights: "auto" | "map" | "read";
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
}

/** Later messages to a rank. */
export type RankCommand =
  | {
    readonly kind: "compute";
    readonly batch: Batch;
    readonly rows: Int32Array;
    readonly tapped: boolean;
  }
  | { readonly kind: "logits"; readonly rows: Int32Array }
  | { readonly kind: "copySlot"; readonly from: number; readonly to: number; readonly length: number }
  | { readonly kind: "close" };

/** Messages from a rank. */
export type RankReply =
  | { readonly kind: "ready"; readonly info: BackendInfo }
  | { readonly kind: "done" }
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
