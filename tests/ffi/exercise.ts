/** One program that uses everything of a {@linkcode GpuRuntime}, for the tests of both libraries. */
import type { GpuRuntime } from "../../ffi/runtime.ts";

/** Numbers that the program computes: out[i] = 2 * i + 0.5 after two replays, and a counter. */
export interface Outcome {
  readonly values: Float32Array;
  readonly counter: bigint;
  readonly milliseconds: number;
}

/** Elements of the test vector. */
export const COUNT = 100;

/**
 * Uploads a vector, scales it by a recorded kernel, counts replays on the device, downloads.
 *
 * @param image A code object with the kernels of tests/hip_host/probe.cpp.
 */
export function exercise(runtime: GpuRuntime, image: Uint8Array<ArrayBuffer>): Outcome {
  void runtime.version;
  using device = runtime.open(0);
  device.memory();
  if (runtime.deviceCount() > 1) device.reach(1);
  if (runtime.deviceCount() > 1) device.joined([0, 1]);
  void device.identity;
  using staging = device.allocatePinned(1024);
  using vector = device.allocate(4 * COUNT);
  using out = device.allocate(4 * COUNT);
  using counter = device.allocate(16);
  using stream = device.createStream();
  using other = device.createStream();
  using started = device.createEvent();
  using ended = device.createEvent();
  using module = device.loadModule(image, "probe");
  const scale = module.kernel("scale"), bump = module.kernel("bump");
  scale.allowSharedBytes(50_000);

  const floats = new Float32Array(staging.view.buffer, 0, COUNT);
  floats.set(Float32Array.from({ length: COUNT }, (_, i) => i));
  stream.record(started);
  stream.upload(vector.range(), staging, 0, 4 * COUNT);
  stream.fill(counter.range(), 0);
  const step = device.createArguments().i64(5);
  stream.uploadRecords(counter.range(8), step);
  const args = device.createArguments();
  using graph = stream.capture(() => {
    args.reset().pointer(out.range()).struct().f32(2).i32(COUNT).pointer(vector.range()).end().f32(0.5);
    stream.launch(scale, { grid: [COUNT, 1, 1], threads: 64, sharedBytes: 0 }, args);
    args.reset().pointer(counter.range()).i64(3);
    stream.launch(bump, { grid: [1, 1, 1], threads: 64, sharedBytes: 0, overlaps: true, cluster: true }, args);
  });
  stream.replay(graph);
  stream.replay(graph);
  stream.record(ended);
  other.wait(ended);
  other.copy(vector.range(), out.range(), 4 * COUNT);
  other.download(staging, 0, vector.range(), 4 * COUNT);
  other.download(staging, 512, counter.range(), 16);
  while (!ended.done());
  ended.synchronize();
  other.synchronize();
  device.synchronize();
  const [count, five] = new BigInt64Array(staging.view.buffer, 512, 2);
  if (five !== 5n) throw new Error(`records did not arrive: ${five}`);
  return { values: floats.slice(), counter: count!, milliseconds: ended.millisecondsSince(started) };
}
