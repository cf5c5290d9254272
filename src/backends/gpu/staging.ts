/**
 * Copies of any size through a page-locked buffer, waiting for each piece; for tests, taps and what is uploaded once.
 */
import type { DeviceRange, PinnedBuffer, Stream } from "../../../ffi/runtime.ts";
import type { GpuTensor } from "./tensors.ts";

/** Copies float32 numbers to the start of a range. */
export function uploadFloats(stream: Stream, staging: PinnedBuffer, target: DeviceRange, values: Float32Array): void {
  const room = Math.floor(staging.bytes / 4);
  const view = new Float32Array(staging.view.buffer, 0, room);
  for (let from = 0; from < values.length; from += room) {
    const part = values.subarray(from, from + room);
    // The buffer may still be the source or the target of an earlier copy.
    stream.synchronize();
    view.set(part);
    const at = target.buffer.range(target.offset + 4 * from, 4 * part.length);
    stream.upload(at, staging, 0, 4 * part.length);
  }
  stream.synchronize();
}

/** A copy of the first numbers of a range, in an ArrayBuffer of its own. */
export function downloadFloats(
  stream: Stream,
  staging: PinnedBuffer,
  source: DeviceRange,
  count: number,
): Float32Array<ArrayBuffer> {
  const values = new Float32Array(new ArrayBuffer(4 * count)), room = Math.floor(staging.bytes / 4);
  const view = new Float32Array(staging.view.buffer, 0, room);
  for (let from = 0; from < count; from += room) {
    const length = Math.min(room, count - from);
    const at = source.buffer.range(source.offset + 4 * from, 4 * length);
    stream.download(staging, 0, at, 4 * length);
    stream.synchronize();
    values.set(view.subarray(0, length), from);
  }
  return values;
}

/** Rows of a tensor, [rows, width] without the padding between them. */
export function downloadRows(stream: Stream, staging: PinnedBuffer, tensor: GpuTensor, rows: number): Float32Array {
  const { range, stride, width } = tensor;
  const padded = downloadFloats(stream, staging, range, rows * stride);
  const values = new Float32Array(rows * width);
  for (let r = 0; r < rows; r++) values.set(padded.subarray(r * stride, r * stride + width), r * width);
  return values;
}

/** Writes the first rows of a tensor, and zeros between them. */
export function uploadRows(stream: Stream, staging: PinnedBuffer, tensor: GpuTensor, values: Float32Array): void {
  const { range, stride, width } = tensor, rows = values.length / width;
  const padded = new Float32Array(rows * stride);
  for (let r = 0; r < rows; r++) padded.set(values.subarray(r * width, (r + 1) * width), r * stride);
  uploadFloats(stream, staging, range, padded);
}
