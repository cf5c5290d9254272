/**
 * What the host uploads for a batch: token ids, slots, positions, the rows whose logits are computed, attention tiles.
 */
import type { GpuDevice, GpuEvent, PinnedBuffer, Stream } from "../../../ffi/runtime.ts";
import type { Batch, OpenRequest } from "../../model/backend.ts";
import type { Workspace } from "./workspace.ts";

/** Batches in flight at most; before the host reuses the memory of an older one, it waits for that batch. */
const RING = 4;

/**
 * Cuts a batch into runs of at most `most` tokens of one sequence, as attention over many tokens wants them.
 *
 * @returns Pairs (first row, rows).
 */
export function attentionTiles(batch: Batch, most: number): Int32Array {
  const tiles: number[] = [];
  const { slots, positions } = batch;
  for (let row = 0; row < slots.length;) {
    let rows = 1;
    while (
      rows < most && row + rows < slots.length && slots[row + rows] === slots[row] &&
      positions[row + rows] === positions[row]! + rows
    ) rows++;
    tiles.push(row, rows);
    row += rows;
  }
  return Int32Array.from(tiles);
}

/** True if no two tokens belong to one sequence; those at position -1 belong to none. */
export function isSingle({ slots, positions }: Batch): boolean {
  const seen = new Set<number>();
  for (let row = 0; row < slots.length; row++) {
    if (positions[row]! < 0) continue;
    const slot = slots[row]!;
    // The second token of a prompt says it.
    if (seen.has(slot)) return false;
    seen.add(slot);
  }
  return true;
}

/**
 * Whether a batch can be computed and picked from by a recorded step, whose launches must not depend on where sequences
 * begin and end.
 *
 * @param most Rows whose logits there is room for.
 */
export function fitsDevice(batch: Batch, most: number, context: number): boolean {
  return batch.ids.length <= most && isSingle(batch) && batch.positions.every((p) => p < context);
}

/**
 * Whether a batch is as many tokens of one sequence as a batch may have, whose launches do not depend on where in the
 * sequence they are.
 */
export function isWholeChunk(
  { ids, slots, positions }: Batch,
  { maxTokens, context }: Pick<OpenRequest, "maxTokens" | "context">,
): boolean {
  if (ids.length !== maxTokens || ids.length === 1 || !(positions.at(-1)! < context)) return false;
  const [slot] = slots, [first] = positions;
  return first! >= 0 && slots.every((s) => s === slot) && positions.every((p, i) => p === first! + i);
}

/**
 * Refuses a batch that names what the backend has no memory for: a kernel would read and write beyond its own, after
 * which a device works no more.
 *
 * @throws {RangeError} naming what was asked for and what there is.
 */
export function refuseOutside(
  { ids, slots, positions }: Batch,
  { maxTokens, slots: most, config: { vocab } }: Pick<OpenRequest, "maxTokens" | "slots" | "config">,
): void {
  const refuse = (what: string, room: string): never => {
    throw new RangeError(`a batch ${what}, but the backend was opened for ${room}`);
  };
  if (ids.length > maxTokens) refuse(`of ${ids.length} tokens`, `${maxTokens}`);
  for (let row = 0; row < ids.length; row++) {
    if (!(ids[row]! >= 0 && ids[row]! < vocab)) refuse(`with token ${ids[row]}`, `${vocab} tokens`);
    if (!(slots[row]! >= 0 && slots[row]! < most)) refuse(`with slot ${slots[row]}`, `${most} sequences`);
    if (!(positions[row]! >= -1)) refuse(`with position ${positions[row]}`, "positions from 0");
  }
}

/** Page-locked copies of the workspace's `batch` region. */
export class BatchUploads implements Disposable {
  readonly #pinned: PinnedBuffer;
  readonly #events: readonly GpuEvent[];
  readonly #words: readonly Int32Array[];
  #next = 0;

  constructor(
    device: GpuDevice,
    readonly stream: Stream,
    readonly workspace: Workspace<string>,
    readonly maxTokens: number,
  ) {
    const bytes = workspace.batch.bytes;
    this.#pinned = device.allocatePinned(RING * bytes);
    this.#events = Array.from({ length: RING }, () => device.createEvent());
    this.#words = Array.from(
      { length: RING },
      (_, i) => new Int32Array(this.#pinned.view.buffer, i * bytes, bytes / 4),
    );
  }

  /** Uploads a batch. `tiles` may be empty; `rows` are at most the logitRows of the workspace. */
  send(batch: Batch, rows: Int32Array, tiles: Int32Array): void {
    const i = this.#next, words = this.#words[i]!, m = this.maxTokens;
    const { logitRows } = this.workspace;
    this.#next = (i + 1) % RING;
    this.#events[i]!.synchronize();
    words.set(batch.ids, 0);
    words.set(batch.slots, m);
    words.set(batch.positions, 2 * m);
    words.set(rows, 3 * m);
    words.set(tiles, 3 * m + logitRows);
    const used = tiles.length > 0 ? 3 * m + logitRows + tiles.length : 3 * m + rows.length;
    this.stream.upload(this.workspace.batch, this.#pinned, i * this.workspace.batch.bytes, 4 * used);
    this.stream.record(this.#events[i]!);
  }

  /** Uploads the rows whose logits are wanted. */
  sendRows(rows: Int32Array): void {
    const i = this.#next, words = this.#words[i]!, at = 3 * this.maxTokens;
    this.#next = (i + 1) % RING;
    this.#events[i]!.synchronize();
    words.set(rows, at);
    this.stream.upload(this.workspace.rows, this.#pinned, i * this.workspace.batch.bytes + 4 * at, 4 * rows.length);
    this.stream.record(this.#events[i]!);
  }

  [Symbol.dispose](): void {
    for (const event of this.#events) event[Symbol.dispose]();
    this.#pinned[Symbol.dispose]();
  }
}
