/** What a GPU backend is made of, and what it lends. */
import type { GpuDevice, Stream } from "../../../ffi/runtime.ts";
import type { BackendInfo } from "../../model/backend.ts";
import type { ExpertTables } from "./collector.ts";
import type { Executor } from "./executor.ts";
import type { Held } from "./held.ts";
import type { GpuTensor, GpuTree } from "./tensors.ts";
import type { GpuRequest } from "./request.ts";
import type { Workspace } from "./workspace.ts";

/** What profile.ts measures a batch with. */
export interface MeasuringTools {
  readonly device: GpuDevice;
  readonly stream: Stream;
  readonly executor: Executor;
  /** Launches the collected operations; afterwards only `keep` and the residual stream are defined. */
  readonly launch: (keep: GpuTensor) => void;
}

/** What GpuBackend is made of. */
export interface GpuParts<N extends string> {
  readonly request: GpuRequest<N>;
  readonly weights: GpuTree;
  /** By the arrays of `weights`. */
  readonly experts: ExpertTables;
  readonly workspace: Workspace<N>;
  readonly executor: Executor;
  readonly stream: Stream;
  readonly held: Held;
  readonly info: BackendInfo;
  readonly name: string;
}
