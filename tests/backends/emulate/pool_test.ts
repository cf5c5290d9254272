import { addPool, DESCRIPTOR, H, PAGES, ROWS, Y } from "./add_pool.ts";
import { isWorthOneMore } from "../../../src/backends/emulate/pool.ts";
import { pause } from "../../../src/breath.ts";
import {
  asks,
  gateAt,
  joined,
  KERNELS,
  NEXT,
  openGate,
  STOP,
  UNITS,
  type WorkerSetup,
} from "../../../src/backends/emulate/control.ts";
import { sharesOf, startOfShare, writeBounds } from "../../../src/backends/emulate/shares.ts";
import { FailureError } from "../../../src/errors.ts";
import { assert, assertEquals, assertThrows } from "../../assert.ts";

Deno.test("Pool.run() computes every unit once, whoever takes it", () => {
  for (const threads of [1, 2, 5]) {
    const { pool, memory } = addPool(threads);
    const rows = ROWS;
    const h = new Float32Array(memory.buffer, H, 4 * rows);
    new Float32Array(memory.buffer, Y, 4 * rows).fill(1);
    for (let i = 0; i < 300; i++) pool.run("add", 0, DESCRIPTOR, rows);
    pool.close();
    assertEquals(h.findIndex((x) => x !== 300), -1, `${threads} threads`);
  }
});

Deno.test("shares of units follow one another to the last unit, become smaller, and none is empty", () => {
  for (const threads of [1, 2, 3, 16, 64]) {
    for (const units of [threads, threads + 1, 4 * threads - 1, 4 * threads, 360, 25_136]) {
      if (units < threads) continue;
      const shares = sharesOf(units, threads), which = `${units} units, ${threads} threads`;
      const starts = Array.from({ length: shares + 1 }, (_, share) => startOfShare(share, units, threads));
      assertEquals([starts[0], starts.at(-1)], [0, units], which);
      assert(starts.every((start, i) => i === 0 || start > starts[i - 1]!), which);
    }
    const shares = sharesOf(25_136, threads);
    const first = startOfShare(1, 25_136, threads), last = 25_136 - startOfShare(shares - 1, 25_136, threads);
    assert(first > 7 * last && last <= Math.ceil(25_136 / 16 / threads), `${first} and ${last} units`);
  }
  assertEquals([sharesOf(64, 64), sharesOf(360, 64), sharesOf(2880, 64)], [64, 192, 320]);
});

Deno.test("shares of units that are not alike have equal work, and every unit is in one", () => {
  const experts = [3, 700, 1, 40, 40, 2, 9, 0.5], parts = experts.map((work) => ({ units: 360, work }));
  const workBefore = (unit: number) =>
    experts.reduce((sum, work, e) => sum + work * Math.min(360, Math.max(0, unit - 360 * e)), 0);
  for (const threads of [2, 16, 64]) {
    const units = 360 * experts.length, shares = sharesOf(units, threads), bounds = new Int32Array(shares + 3).fill(-1);
    assert(writeBounds(parts, threads, bounds, 1));
    assertEquals([bounds[0], bounds[1], bounds[shares + 1], bounds[shares + 2]], [-1, 0, units, -1]);
    for (let share = 0; share < shares; share++) {
      const from = bounds[share + 1]!, equal = (s: number) => startOfShare(s, 1 << 20, threads) / (1 << 20);
      assert(from <= bounds[share + 2]!, `share ${share} of ${threads} threads ends before it begins`);
      const missing = equal(share) * workBefore(units) - workBefore(from);
      assert(missing >= -1 && missing <= 700, `share ${share} of ${threads} threads misses ${missing}`);
    }
  }
  assert(!writeBounds([{ units: 5, work: 1 }, { units: 2, work: 9 }], 2, new Int32Array(9), 0), "one unit a share");
  const { pool, memory } = addPool(3);
  const h = new Float32Array(memory.buffer, H, 4 * ROWS);
  new Float32Array(memory.buffer, Y, 4 * ROWS).fill(1);
  const uneven = [{ units: 10, work: 50 }, { units: ROWS - 11, work: 1 }, { units: 1, work: 3000 }];
  for (let i = 0; i < 300; i++) pool.run("add", 0, DESCRIPTOR, ROWS, 1e9, i % 3 === 0 ? null : uneven);
  pool.close();
  assertEquals(h.findIndex((x) => x !== 300), -1);
});

Deno.test("a gate asks no more threads than there are units, and words of threads lie on lines of their own", () => {
  for (const threads of [2, 4, 64, 4095]) {
    const gates = [0, 1, 0x3_ffff, 0x4_0000].map((serial) => openGate(serial, threads));
    assert(gates.every((gate) => gate > 0 && gate % 2 === 1 && asks(gate, threads - 1) && !asks(gate, threads)));
    assertEquals(new Set(gates).size, 3, "serial numbers begin anew");
  }
  assertEquals(joined(2) - joined(1), 32);
  const { pool, memory } = addPool(5);
  const h = new Float32Array(memory.buffer, H, 4 * ROWS);
  new Float32Array(memory.buffer, Y, 4 * ROWS).fill(1);
  for (let i = 0; i < 200; i++) pool.run("add", 0, DESCRIPTOR, i % 2 === 0 ? 3 : ROWS);
  pool.close();
  assertEquals([h[0], h[11], h[12], h[4 * ROWS - 1]], [200, 200, 100, 100]);
});

Deno.test("an operation opens the gates of those that it asks, and starts no others", () => {
  const setups: WorkerSetup[] = [];
  const { pool } = withWorkers(setups, () => addPool(7, H, { counts: [2, 4, 7] }));
  withWorkers(setups, () => {
    while (pool.startOne());
  });
  const control = new Int32Array(setups[0]!.control), [near, middle, far] = [0, 1, 2].map((i) => gateAt(7, i));
  assertEquals(setups.map(({ gate }) => gate), [near, middle, middle, far, far, far]);
  /** Which gates another operation has opened, and closed again. */
  const opened = (units: number, most?: number) => {
    const before = control.slice();
    pool.run("add", 0, DESCRIPTOR, units, 1e6, null, most);
    return [near!, middle!, far!].map((gate) => {
      assertEquals(control[gate]! & 1, 0);
      return control[gate] !== before[gate];
    });
  };
  assertEquals([opened(ROWS, 2), opened(ROWS, 4), opened(ROWS, 7), opened(ROWS)], [
    [true, false, false],
    [true, true, false],
    [true, true, true],
    [true, true, true],
  ]);
  assertEquals([opened(2), opened(3)], [[true, false, false], [true, true, false]], "as many as there are units");
  pool.close();
  assertEquals([near!, middle!, far!].map((gate) => control[gate]), [STOP, STOP, STOP]);
  const { pool: slow } = addPool(4, H, { atOnce: false });
  for (let i = 0; i < 3; i++) slow.run("add", 0, DESCRIPTOR, ROWS, 1e12, null, 2);
  assertEquals(slow.workers, 1);
  slow.run("add", 0, DESCRIPTOR, ROWS, 1e12);
  slow.close();
  assertEquals(slow.workers, 3);
});

Deno.test("a worker waits at the gate that it was told", async () => {
  const setups: WorkerSetup[] = [];
  const { pool, memory } = withWorkers(setups, () => addPool(4, H, { counts: [2, 4] }));
  const h = new Float32Array(memory.buffer, H, 4 * ROWS);
  new Float32Array(memory.buffer, Y, 4 * ROWS).fill(1);
  const { gate, number } = setups[2]!, control = new Int32Array(setups[2]!.control);
  const worker = new Worker(new URL("../../../src/backends/emulate/worker.ts", import.meta.url), { type: "module" });
  worker.postMessage(setups[2]);
  control.set([ROWS, 4, KERNELS.indexOf("add"), 0, DESCRIPTOR], UNITS);
  Atomics.store(control, gate, openGate(0, 4));
  Atomics.notify(control, gate);
  const shares = sharesOf(ROWS, 4);
  while (Atomics.load(control, NEXT) <= shares || Atomics.load(control, joined(number)) !== 0) await pause(1);
  pool.close();
  assertEquals(h.findIndex((x) => x !== 1), -1);
});

Deno.test("a Pool starts workers as work is worth them, or some at once", () => {
  const { pool, memory } = addPool(4, H, { atOnce: false });
  const h = new Float32Array(memory.buffer, H, 4 * ROWS);
  new Float32Array(memory.buffer, Y, 4 * ROWS).fill(1);
  const started = [1e6, 0.9e8, 1e7, 1.2e8, 1e12, 1].map((work) => {
    pool.run("add", 0, DESCRIPTOR, ROWS, work);
    return pool.workers;
  });
  pool.close();
  assertEquals(started, [0, 0, 1, 2, 3, 3]);
  assertEquals(h.findIndex((x) => x !== started.length), -1);
  const { pool: whole } = addPool(4);
  whole.close();
  assertEquals(whole.workers, 3);
});

Deno.test("an operation is worth one more worker by its share for each thread, a larger one from 32 threads on", () => {
  for (const [workers, share] of [[0, 20e6], [3, 20e6], [30, 20e6], [31, 60e6], [32, 60e6], [62, 60e6]] as const) {
    const least = share * (workers + 1);
    assertEquals([isWorthOneMore(least - 1, workers), isWorthOneMore(least, workers)], [false, true]);
  }
});

Deno.test("a Pool that has some workers starts others beside operations that last as long, few as work goes", () => {
  const { pool, memory } = addPool(7);
  const h = new Float32Array(memory.buffer, H, 4 * ROWS);
  new Float32Array(memory.buffer, Y, 4 * ROWS).fill(1);
  let runs = 0;
  const started = [...new Array<number>(13).fill(79e6), 1].map((work) => {
    pool.run("add", 0, DESCRIPTOR, ROWS, work);
    runs++;
    return pool.workers;
  });
  assertEquals(started, [...new Array<number>(12).fill(3), 4, 4]);
  // None is started before one that was computes, and none where the others are done: with nothing to do they soon are.
  for (; pool.workers < 6 && runs < 1e6; runs++) pool.run("add", 0, DESCRIPTOR, ROWS, 400e6);
  pool.run("add", 0, DESCRIPTOR, ROWS, 1e12);
  pool.close();
  assertEquals([pool.workers, h.findIndex((x) => x !== runs + 1)], [6, -1]);
});

Deno.test("Pool.run() turns a trap into one line, and the pool can be closed after it", () => {
  for (const threads of [1, 3]) {
    const { pool } = addPool(threads, PAGES * 65_536 - 8);
    const failure = assertThrows(() => pool.run("add", 0, DESCRIPTOR, ROWS), FailureError);
    assert(
      /^(the kernel add failed|a worker thread failed in add): .*out of bounds/.test(failure.message),
      failure.message,
    );
    pool.close();
  }
});

Deno.test("a Pool that has nothing to do uses no processor", async () => {
  // A process of its own: the one that runs the tests has other threads at work.
  const script = new URL("./idle_pool.ts", import.meta.url).pathname;
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["run", "--no-check", "--allow-all", script] })
    .output();
  const share = Number(new TextDecoder().decode(stdout));
  assert(share >= 0 && share < 0.2, `${100 * share} % of one core`);
});

/** Does something while threads that are started are none: what they would be sent is kept. */
function withWorkers<T>(setups: WorkerSetup[], work: () => T): T {
  const { Worker } = globalThis;
  class Silent {
    onerror = null;
    postMessage(setup: WorkerSetup): void {
      setups.push(setup);
    }
  }
  globalThis.Worker = Silent as unknown as typeof Worker;
  try {
    return work();
  } finally {
    globalThis.Worker = Worker;
  }
}
