/**
 * A process that exports memory of a device of the test library, for exported_test.ts: prints what others open it by,
 * then, for each line that it is told, what is there.
 */
import { openCuda } from "../../ffi/cuda.ts";

const COUNT = 4;
using runtime = openCuda(Deno.args[0]);
using device = runtime.open(0);
using memory = device.allocate(4 * 1024), staging = device.allocatePinned(64), stream = device.createStream();
const words = new Int32Array(staging.view.buffer, 0, COUNT), range = memory.range(256, 4 * COUNT);
words.set([1, 2, 3, 4]);
stream.upload(range, staging, 0, 4 * COUNT);
stream.synchronize();
const { allocation, ...exported } = device.export(range)!;
console.log(JSON.stringify({ ...exported, allocation: allocation.toHex(), identity: device.identity }));
for await (const _ of Deno.stdin.readable) {
  stream.download(staging, 0, range, 4 * COUNT);
  stream.synchronize();
  console.log(JSON.stringify([...words]));
}
