import { Pool } from "../../../src/backends/emulate/pool.ts";
import { Reading, readShared } from "../../../src/backends/emulate/reading.ts";
import { randomContents, readRandom } from "../../../src/checkpoint/random/contents.ts";
import { InputError } from "../../../src/errors.ts";
import { compileKernels } from "../../../src/wasm.ts";
import { assert, assertEquals, assertThrows } from "../../assert.ts";
import { TemporaryDirectory } from "../../checkpoint/container.ts";

const BYTES = 300_000,
  PAGES = 16,
  RANDOM = 190_016,
  COLUMNS = 400_000,
  SIZES = { piece: 1 << 16, worthAThread: 1 << 15 };

/** Numbers that repeat nowhere near. */
const numbers = (seed: number) => Uint8Array.from({ length: BYTES }, (_, i) => (i * 31 ^ i >> 8 ^ i >> 16) + seed);

/** A file, one of random weights, and what is wanted of both: runs of several pieces, and columns. */
function wanted(dir: string) {
  const path = `${dir}/weights`, file = numbers(1);
  Deno.writeFileSync(path, file);
  const random = randomContents([
    { name: "a", shape: [90_000], dtype: "U8", fill: "codes" },
    { name: "b", shape: [50_000], dtype: "BF16", fill: "weight" },
  ], 7);
  const files = [{ path, bytes: BYTES }, { path: "random", bytes: RANDOM, random }];
  const runs = [[{ file: 0, offset: 100, bytes: BYTES - 100, address: 4_000 }], [
    { file: 1, offset: 0, bytes: RANDOM, address: 65_536 },
  ]];
  const strided = [[], [{ file: 0, offset: 7, pieces: 90, pieceBytes: 1_000, stride: 3_000, address: COLUMNS }]];
  const memories = runs.map(() => new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true }));
  const views = memories.map(({ buffer }) => new Uint8Array(buffer));
  const targets = views.map((view, i) => ({ view, runs: runs[i]!, strided: strided[i]! }));
  const expected = views.map(({ length }) => new Uint8Array(length));
  expected[0]!.set(file.subarray(100), 4_000);
  readRandom(random, 0, expected[1]!.subarray(65_536, 65_536 + RANDOM));
  for (let i = 0; i < 90; i++) {
    expected[1]!.set(file.subarray(7 + 3_000 * i, 1_007 + 3_000 * i), COLUMNS + 1_000 * i);
  }
  const differ = () => views.map((view, i) => view.findIndex((byte, at) => byte !== expected[i]![at]));
  return { path, files, targets, memories, differ };
}

Deno.test("what one thread reads, other threads and both together comes to the same places", async () => {
  using dir = new TemporaryDirectory();
  const { files, targets, memories, differ } = wanted(dir.path);
  const done: number[] = [];
  new Reading(files, targets, SIZES).run(null, undefined, (part, whole) => done.push(part / whole));
  assertEquals([differ(), done.at(-1)], [[-1, -1], 1]);
  assert(done.every((part, i) => part >= (done[i - 1] ?? 0)) && done.length > 4);

  targets.forEach(({ view }) => view.fill(0));
  const reading = new Reading(files, targets, SIZES);
  const areas = { stacks: 600_000, stackBytes: 65_536, scratch: 800_000, scratchBytes: 4096 };
  const pool = new Pool(2, await compileKernels(), memories, areas, { reading });
  // The thread reads while nobody drives it.
  for (const state = new Int32Array(reading.shared!.state); Atomics.load(state, 0) < 5;) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  reading.run(null, pool);
  pool.close();
  assertEquals([differ(), pool.workers, reading.shared], [[-1, -1], 1, null]);
});

Deno.test("what another thread cannot read, the driver does, and says what is wrong", () => {
  using dir = new TemporaryDirectory();
  const { path, files, targets, memories, differ } = wanted(dir.path), reading = new Reading(files, targets, SIZES);
  Deno.renameSync(path, `${path}.`);
  readShared(reading.shared!, memories);
  Deno.renameSync(`${path}.`, path);
  reading.run();
  assertEquals(differ(), [-1, -1]);
  const broken = new Reading(files, targets, SIZES);
  Deno.truncateSync(path, BYTES - 1);
  readShared(broken.shared!, memories);
  const { code, message } = assertThrows(() => broken.run(), InputError);
  assertEquals([code, message], ["changed", `${path}: has ${BYTES - 1} bytes now, ${BYTES} when it was checked`]);
});

Deno.test("threads are started while each has enough to read, and none for little", () => {
  using dir = new TemporaryDirectory();
  const { files, targets } = wanted(dir.path);
  const started = (worthAThread: number, most: number) => {
    const crew = { workers: 0, startOne: () => ++crew.workers < most };
    new Reading(files, targets, { piece: 1 << 16, worthAThread }).run(null, crew);
    return crew.workers;
  };
  assertEquals([started(600_000, 9), started(300_000, 9), started(1 << 16, 3)], [0, 1, 3]);
});
