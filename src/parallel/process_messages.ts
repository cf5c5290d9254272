/** What the first of several processes and the others say to each other. */
import type { ParallelSizes } from "../checkpoint/shard.ts";
import type { SampledFile } from "../checkpoint/same_files.ts";
import type { GpuKind } from "../../ffi/runtime.ts";
import type { Mistake } from "../errors.ts";
import type { RankState } from "./control.ts";
import type { DeviceRankSetup, RankCommand, RankReply, RankSetup } from "./messages.ts";

/** What opens a rank in another process: memory is shared there with the threads of that process only. */
export interface RemoteSetup extends Omit<RankSetup, "communication" | "logits" | "available" | "control" | "mpi"> {
  readonly tp: number;
  readonly ep: number;
  /** Most float32 values of one sum. */
  readonly capacity: number;
  /** Those of the first process, which this one must have, too. */
  readonly files: readonly SampledFile[];
}

/** What opens a rank with a device in another process, which has devices and libraries of its own. */
export interface RemoteDeviceSetup
  extends Omit<DeviceRankSetup, "device" | "control" | "logits" | "sizes" | "selfTests"> {
  readonly sizes: ParallelSizes;
  readonly deviceKind: GpuKind;
  readonly files: readonly SampledFile[];
}

/** What the first process says. A session is one of those that the program has opened, by number. */
export type Downward =
  | {
    readonly kind: "rank";
    readonly session: number;
    readonly rank: number;
    readonly message: RemoteSetup | RemoteDeviceSetup | RankCommand;
  }
  /** Steps that ranks with devices may launch. */
  | { readonly kind: "pace"; readonly session: number; readonly until: number; readonly closed: boolean }
  /** Something failed in a session: its ranks wait for nobody any more. */
  | { readonly kind: "abort"; readonly session: number }
  /** The first process is there. */
  | { readonly kind: "alive" }
  /** The program has ended, with this exit code. */
  | { readonly kind: "end"; readonly code: number };

/** A rank's columns of some rows of logits, [rows, end - start]. */
export interface LogitColumns {
  readonly start: number;
  readonly end: number;
  readonly values: Float32Array;
}

/** How far a rank with a device has come. */
export interface RankMove extends RankState {
  readonly rank: number;
}

/** What another process says. */
export type Upward =
  | {
    readonly kind: "rank";
    readonly session: number;
    readonly rank: number;
    readonly said: RankReply | { readonly kind: "died"; readonly text: string };
    /** What it put into its process's logits, where it answers a question for them. */
    readonly columns: LogitColumns | null;
  }
  | { readonly kind: "moves"; readonly session: number; readonly moves: readonly RankMove[] }
  /** The process is there. */
  | { readonly kind: "alive" }
  /** The process itself failed; the mistake in its input, if that is the cause. */
  | { readonly kind: "broken"; readonly text: string; readonly mistake: Mistake | null };
