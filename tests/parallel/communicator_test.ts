import { abort, createSharedCommunication, SharedCommunicator } from "../../src/parallel/communicator.ts";
import { FailureError } from "../../src/errors.ts";
import { assertEquals, assertRejects, assertThrows } from "../assert.ts";

/** Runs one worker per rank, each of which sums what it is told to; returns what each got. */
async function ranks(tp: number, ep: number, steps: readonly Step[]): Promise<number[][][]> {
  const shared = createSharedCommunication(tp, ep, 8);
  const workers = Array.from(
    { length: tp * ep },
    () => new Worker(new URL("./communicator_rank.ts", import.meta.url), { type: "module" }),
  );
  return await Promise.all(workers.map((worker, rank) =>
    new Promise<number[][]>((resolve, reject) => {
      worker.onmessage = ({ data }) => data.failed ? reject(new FailureError(data.failed)) : resolve(data);
      worker.postMessage({ shared, rank, steps });
    })
  ));
}

interface Step {
  readonly group: "tensor" | "world";
  readonly round: boolean;
  /** Rank that fails instead of summing. */
  readonly failing?: number;
  /** What each rank contributes, in every place; default: a number that differs by rank and step. */
  readonly values?: readonly number[];
}

Deno.test("allReduce() sums over all ranks, many times in a row", async () => {
  const steps: Step[] = Array.from({ length: 200 }, () => ({ group: "world", round: false }));
  const got = await ranks(2, 2, steps);
  // Rank r contributes r + 1 + step in every place: 1 + 2 + 3 + 4 + 4 * step.
  const expected = steps.map((_, step) => Array(5).fill(10 + 4 * step));
  assertEquals(got, [expected, expected, expected, expected]);
});

Deno.test("allReduce() sums within tensor groups", async () => {
  const got = await ranks(2, 2, [{ group: "tensor", round: false }]);
  assertEquals(got.map((g) => g[0]![0]), [3, 3, 7, 7]);
});

Deno.test("allReduce() with one rank in the group changes nothing", async () => {
  const got = await ranks(1, 2, [{ group: "tensor", round: true }]);
  assertEquals(got.map((g) => g[0]![0]), [1 + 1 / 256, 2 + 1 / 256]);
});

Deno.test("allReduce() rounds the sum to bf16, ties to even", async () => {
  // 1 + 1/256 plus 2 + 1/256 lies midway between the bf16 numbers 3 and 3 + 1/64.
  const got = await ranks(2, 1, [{ group: "world", round: true }]);
  assertEquals(got.map((g) => g[0]![0]), [3, 3]);
});

Deno.test("allReduce() sums in rank order, in float32, and rounds once", async () => {
  const got = await ranks(4, 1, [
    // 2^24 swallows each 1 that comes after it; in any other order some of them would be left.
    { group: "world", round: false, values: [2 ** 24, 1, 1, -(2 ** 24)] },
    { group: "world", round: false, values: [1, 1, 2 ** 24, -(2 ** 24)] },
    // Rounded to bf16 after each rank, 1 would swallow each 2^-8: a tie that goes to the even 1.
    { group: "tensor", round: true, values: [1, 2 ** -8, 2 ** -8, 0] },
  ]);
  // Every rank sums other places of the five, and all must have all.
  const expected = [0, 2, 1 + 2 ** -7].map((sum) => Array(5).fill(sum));
  assertEquals(got, [expected, expected, expected, expected]);
});

Deno.test("allReduce() throws on every rank when one fails", async () => {
  await assertRejects(
    () => ranks(3, 1, [{ group: "world", round: false }, { group: "world", round: false, failing: 1 }]),
    FailureError,
  );
});

Deno.test("allReduce() throws at once after an abort", () => {
  const shared = createSharedCommunication(2, 1, 4);
  abort(shared);
  assertThrows(() => new SharedCommunicator(shared, 0).allReduce(new Float32Array(4), "world", false), FailureError);
});

/** Gives up after a long time, and leaves no timer. */
async function within(ends: Promise<string[]>): Promise<string[]> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<string[]>((resolve) => timer = setTimeout(() => resolve(["some wait still"]), 90_000));
  return await Promise.race([ends, late]).finally(() => clearTimeout(timer));
}

/** What ranks of two groups of two say of which one never comes, once the others wait and are to wake. */
async function woken(missing: number): Promise<string[]> {
  const shared = createSharedCommunication(2, 2, 8), present = [0, 1, 2, 3].filter((rank) => rank !== missing);
  const steps: Step[] = [{ group: "tensor", round: false }, { group: "world", round: false }];
  const workers = present.map(() => new Worker(new URL("./communicator_rank.ts", import.meta.url), { type: "module" }));
  const ends = workers.map((worker, i) =>
    new Promise<string>((resolve) => {
      worker.onmessage = ({ data }) => resolve(data.failed ?? "it summed");
      worker.postMessage({ shared, rank: present[i], steps });
    })
  );
  // Int32 fields: whether a rank failed; of the sum of all, and of each group, how many wait, and how often all came.
  const fields = new Int32Array(shared.control), sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));
  while (fields[1] !== 2 || fields[missing < 2 ? 3 : 5] !== 1) await sleep(5);
  // They sleep by then.
  await sleep(100);
  abort(shared);
  const ended = await within(Promise.all(ends));
  for (const worker of workers) worker.terminate();
  return ended;
}

Deno.test("abort() wakes ranks that wait in the sum of all, and in that of any group", async () => {
  for (const missing of [0, 3]) assertEquals(await woken(missing), Array(3).fill("another rank failed"));
});

Deno.test("allReduce() refuses more values than there is room for, which would be another rank's", () => {
  const communicator = new SharedCommunicator(createSharedCommunication(2, 1, 4), 0);
  const sum = () => communicator.allReduce(new Float32Array(5), "world", false);
  assertThrows(sum, RangeError, "5 values, room for 4");
});
