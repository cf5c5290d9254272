/**
 * What loading cannot be faster than: the files alone, read by as many readers into page-locked memory, and the way to
 * the device alone.
 */
import type { GpuDevice } from "../ffi/runtime.ts";
import { READERS, STAGING_BYTES } from "../src/backends/gpu/load.ts";

/** Bytes a second, in GB/s. */
export interface LoadingLimits {
  readonly fileGBps: number;
  readonly copyGBps: number;
}

/**
 * Measures both; the files are as warm as whoever read them last has left them.
 *
 * @param paths Files of weights.
 * @param copyBytes Bytes to copy.
 */
export async function loadingLimits(
  device: GpuDevice,
  paths: readonly string[],
  copyBytes = 8 * 2 ** 30,
): Promise<LoadingLimits> {
  const pieces = paths.flatMap((path) => {
    const { size } = Deno.statSync(path);
    return Array.from({ length: Math.ceil(size / STAGING_BYTES) }, (_, i) => ({ path, offset: i * STAGING_BYTES }));
  });
  let next = 0, read = 0;
  const started = performance.now();
  await Promise.all(Array.from({ length: READERS }, async () => {
    using buffer = device.allocatePinned(STAGING_BYTES);
    const open = new Map<string, Deno.FsFile>();
    while (next < pieces.length) {
      const { path, offset } = pieces[next++]!;
      const file = open.get(path) ?? Deno.openSync(path);
      open.set(path, file);
      await file.seek(offset, Deno.SeekMode.Start);
      for (let at = 0; at < STAGING_BYTES;) {
        const got = await file.read(buffer.view.subarray(at));
        if (got === null) break;
        at += got;
        read += got;
      }
    }
    for (const file of open.values()) file.close();
  }));
  const fileGBps = read / (performance.now() - started) / 1e6;

  using staging = device.allocatePinned(STAGING_BYTES);
  using target = device.allocate(STAGING_BYTES);
  using stream = device.createStream();
  const copies = Math.ceil(copyBytes / STAGING_BYTES), before = performance.now();
  for (let i = 0; i < copies; i++) stream.upload(target.range(), staging, 0, STAGING_BYTES);
  stream.synchronize();
  return { fileGBps, copyGBps: copies * STAGING_BYTES / (performance.now() - before) / 1e6 };
}
