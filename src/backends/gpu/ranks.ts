/**
 * Sums over ranks that have a device each: the values of all are gathered on every device by a collective library, and
 * added up in the order of ranks by a kernel. Everything is queued on the stream, so that a recorded step holds it.
 */
import type { CollectiveGroup, Collectives, UniqueId } from "../../../ffi/collectives.ts";
import type { DeviceRange, Stream } from "../../../ffi/runtime.ts";
import type { ParallelSizes } from "../../checkpoint/shard.ts";
import type { RankGroup } from "../../model/backend.ts";
import type { Calls } from "./calls.ts";
import type { Exchange } from "./exchange.ts";
import type { BlockSum, Giving, RouteValues } from "./exchange_rows.ts";
import type { GpuLinear, GpuTensor } from "./tensors.ts";
import type { Workspace } from "./workspace.ts";

/** What the ranks of a run find one another by: all of them, and those of each expert group. */
export interface RankIds {
  readonly world: UniqueId;
  readonly tensor: readonly UniqueId[];
}

/** Makes them, in one of the ranks' processes. */
export function createRankIds(library: Collectives, { tp, ep }: ParallelSizes): RankIds {
  const world = library.createUniqueId();
  // Of one expert group both are the same.
  const tensor = ep === 1 || tp === 1 ? [] : Array.from({ length: ep }, () => library.createUniqueId());
  return { world, tensor };
}

/** The groups that a rank belongs to; null where it is alone in one. */
export interface RankGroups {
  readonly world: CollectiveGroup | null;
  readonly tensor: CollectiveGroup | null;
}

/** Joins a rank's groups; comes back when all others have joined theirs. */
export function joinRanks(
  library: Collectives,
  stream: Stream,
  { tp, ep }: ParallelSizes,
  rank: number,
  ids: RankIds,
): RankGroups {
  const world = tp * ep === 1 ? null : library.join(stream, ids.world, tp * ep, rank);
  if (ep === 1) return { world, tensor: world };
  return { world, tensor: tp === 1 ? null : library.join(stream, ids.tensor[Math.floor(rank / tp)]!, tp, rank % tp) };
}

/** The sums of one rank, queued on its stream. */
export class RankSums {
  constructor(
    readonly calls: Calls,
    readonly workspace: Workspace<string>,
    readonly groups: RankGroups,
    readonly round: boolean,
  ) {}

  /** For measurements: whether ranks talk; if not, they compute in vain, as fast as if talking cost nothing. */
  talks = true;
  /** Sums from memory to memory, where devices reach one another, and up to how many tokens that is used. */
  exchange: Exchange | null = null;
  exchangeTokens = 0;

  /** x = sum of all ranks' x; with h, h += that sum, and x stays. Of the first `n` rows. */
  sum(x: GpuTensor, h: GpuTensor | null, which: RankGroup, n: number): void {
    const group = this.talks ? this.groups[which] : null, { calls, workspace: { gathered } } = this, out = h ?? x;
    if (group !== null && this.exchange !== null && n <= this.exchangeTokens) {
      return this.exchange.sum(x, h, which, n, this.round);
    }
    const rankStride = n * x.stride;
    if (group === null) {
      if (h === null) return;
      const { range, stride, width } = h;
      const y = { y: x.range, yStride: x.stride };
      return calls.launch("add", { h: range, hStride: stride, ...y, width, round: this.round, n });
    }
    group.allGather(gathered, x.range, 4 * rankStride);
    // The libraries' kernels know nothing of launches that begin before they have ended.
    calls.overlapping(false, () =>
      calls.launch("sumRanks", {
        out: out.range,
        parts: gathered,
        rankStride,
        ranks: group.size,
        stride: x.stride,
        width: x.width,
        round: this.round,
        accumulate: h !== null,
        n,
      }));
  }

  /** Whether a sum of so many tokens is computed by the kernel that routes what comes of it. */
  canSumRoute(n: number, router: GpuLinear): boolean {
    return this.#exchanges(n) && this.exchange!.canRoute(n, router);
  }

  /** h += sum of all ranks' x, and the choice of experts for it. */
  sumRoute(x: GpuTensor, h: GpuTensor, which: RankGroup, values: RouteValues): void {
    this.exchange!.sumRoute(x, h, which, values);
  }

  /** Whether the experts' weighted sums of so many tokens are made by the kernel that sums them over ranks. */
  canCombine(n: number, width: number): boolean {
    return this.#exchanges(n) && this.exchange!.canCombine(n, width);
  }

  /** See {@linkcode Exchange.combine}. */
  combine(...parameters: Parameters<Exchange["combine"]>): void {
    this.exchange!.combine(...parameters);
  }

  /** Whether the kernel that computes the experts of one token sums its row over ranks. */
  sumsBlocks(width: number): boolean {
    return this.#exchanges(1) && this.exchange!.sumsBlocks(width);
  }

  /** See {@linkcode Exchange.blockSum}. */
  blockSum(group: RankGroup): BlockSum {
    return this.exchange!.blockSum(group);
  }

  /** Whether the kernel that adds a sum of so many tokens to the residual stream makes the norm of that. */
  canNorm(n: number, width: number): boolean {
    return this.#exchanges(n) && this.exchange!.canNorm(n, width);
  }

  /** See {@linkcode Exchange.sumNorm}. */
  sumNorm(...parameters: Parameters<Exchange["sumNorm"]>): void {
    this.exchange!.sumNorm(...parameters);
  }

  /** Whether the kernel of a linear gives so many rows to the sum over ranks. */
  canGive(n: number, width: number): boolean {
    return this.#exchanges(n) && this.exchange!.canGive(n, width);
  }

  /** See {@linkcode Exchange.giving}. */
  giving(group: RankGroup): Giving {
    return this.exchange!.giving(group);
  }

  /** See {@linkcode Exchange.takeGiven}. */
  takeGiven(...parameters: Parameters<Exchange["takeGiven"]>): void {
    this.exchange!.takeGiven(...parameters);
  }

  /** Whether the likeliest tokens of so many rows are found among ranks that have not gathered their logits. */
  canPick(rows: number): boolean {
    return this.groups.tensor !== null && this.#exchanges(rows) && this.exchange!.canPick(rows);
  }

  /** See {@linkcode Exchange.pick}. */
  pick(rows: number, columns: number): void {
    this.exchange!.pick(rows, columns);
  }

  /** Every rank's columns of the first `rows` rows of logits side by side. */
  gatherLogits(rows: number): void {
    const group = this.groups.tensor, { logits, logitStride, allLogits, allLogitStride } = this.workspace;
    if (group === null || !this.talks) return;
    if (this.exchange !== null && this.exchangeTokens > 0) return this.exchange.gatherLogits(rows);
    const gather = (row: number) =>
      group.allGather(
        rowsFrom(allLogits, 4 * row * allLogitStride),
        rowsFrom(logits, 4 * row * logitStride),
        4 * logitStride,
      );
    if (rows === 1) gather(0);
    else {
      group.together(() => {
        for (let row = 0; row < rows; row++) gather(row);
      });
    }
    // Whatever picks from them comes next.
    this.calls.followsOthers();
  }

  /** @throws {CollectiveError} if an operation that was queued has failed. */
  check(): void {
    for (const group of this.#all) group.check();
  }

  /** Ends what waits for other ranks. */
  abort(): void {
    try {
      this.exchange?.abort();
    } finally {
      for (const group of this.#all) group.abort();
    }
  }

  get #all(): CollectiveGroup[] {
    const { world, tensor } = this.groups;
    return [...new Set([world, tensor])].filter((group) => group !== null);
  }

  #exchanges(n: number): boolean {
    return this.talks && this.exchange !== null && n <= this.exchangeTokens;
  }
}

const rowsFrom = ({ buffer, offset, bytes }: DeviceRange, from: number): DeviceRange =>
  buffer.range(offset + from, bytes - from);
