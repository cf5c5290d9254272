import { measureLimits, rateOf } from "../../src/bench/limits.ts";
import { MACS_PER_ROUND, STREAMS, UNIT_BYTES, UNIT_ROUNDS } from "../../src/bench/probe_messages.ts";
import { compileKernels, heapBase, instantiate, WASM_PAGE } from "../../src/wasm.ts";
import { assert, assertEquals } from "../assert.ts";
import { threadTime } from "../quickly.ts";

Deno.test("measureLimits() measures each loop with all threads", async () => {
  const { read, read_streams, float32, int8, threads } = await measureLimits(2, { milliseconds: 2, bytes: 8 << 20 });
  assertEquals(threads, 2);
  assert(STREAMS.some((streams) => streams === read_streams));
  for (const { low, median, high, runs } of [read, float32, int8]) {
    assert(0 < low && low <= median && median <= high && high < Infinity);
    assertEquals(runs, 7);
  }
});

Deno.test("rateOf() counts what all threads did from the first beginning to the last end", () => {
  // 250 ms in all, of which no thread computes for more than 200.
  const times = [{ began: 1000, ended: 1200 }, { began: 1050, ended: 1250 }];
  assertEquals(rateOf("probe_read", 3, times), 2 * 3 * UNIT_BYTES * 4);
  assertEquals(rateOf("probe_float", 3, times), 2 * 3 * UNIT_ROUNDS * 48 * 4);
  assertEquals(rateOf("probe_integer", 3, times), 2 * 3 * UNIT_ROUNDS * 192 * 4);
});

Deno.test("the loop of bytes makes more multiply-adds in the same processor time than that of floats", async () => {
  const module = await compileKernels(), base = Math.ceil(heapBase(module) / 4096) * 4096, stack = 64 << 10;
  const pages = Math.ceil((base + stack + 4096) / WASM_PAGE), descriptor = base + stack;
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const kernel = instantiate(module, memory, descriptor), units = 400;
  new Uint32Array(memory.buffer, descriptor, 3).set([UNIT_ROUNDS, 0, 0]);
  const [float, integer] = (["probe_float", "probe_integer"] as const).map((probe) => {
    const times = [0, 1, 2].map(() => {
      const began = threadTime();
      kernel(probe)(descriptor, 0, units, descriptor + 64);
      return { began, ended: threadTime() };
    });
    // Of this thread alone, whatever else runs; a round of either loop takes about as long as one of the other.
    return Math.max(...times.map((time) => rateOf(probe, units, [time])));
  }) as [number, number];
  assertEquals(MACS_PER_ROUND.probe_integer / MACS_PER_ROUND.probe_float, 4);
  assert(integer > float, `${integer} and ${float} a second`);
});
