import type { Completion } from "../../src/eval/completion.ts";
import { FailureError } from "../../src/errors.ts";
import { logProbability } from "../../src/session/likelihood.ts";
import { Scorer, sumInOrder } from "../../src/eval/scorer.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { completeAll } from "../../src/eval/batcher.ts";
import { normals } from "../formats/seeded.ts";
import { openSession } from "../session/open_session.ts";
import { assert, assertEquals, assertRejects } from "../assert.ts";
import { TINY, TWO_TURNS } from "./sides.ts";

const VOCAB = 100;

Deno.test("Scorer gives the bits of logProbability() of logits that are overwritten at once", async () => {
  using scorer = new Scorer(VOCAB, 1);
  const logits = new Float32Array(VOCAB);
  const given = Array.from({ length: 300 }, (_, i) => {
    logits.set(normals(i, VOCAB, 5));
    return { score: scorer.score(logits, i % VOCAB), expected: logProbability(logits, i % VOCAB) };
  });
  // 128 rows may wait, the others are computed here.
  assertEquals(given.filter(({ score }) => typeof score === "number").length, 300 - 128);
  for (const { score, expected } of given) assertEquals(await score, expected);
  // Rows are free again.
  assert(typeof scorer.score(logits, 0) !== "number");
});

Deno.test("Scorer starts no thread for a small vocabulary", () => {
  using scorer = new Scorer(VOCAB);
  assertEquals(typeof scorer.score(normals(1, VOCAB), 3), "number");
});

Deno.test("Scorer waits for no thread that has failed, whenever that was", async () => {
  const { Worker: real } = globalThis, started: { onerror: (event: unknown) => void }[] = [];
  globalThis.Worker = class {
    onerror = (_event: unknown) => {};
    constructor() {
      started.push(this);
    }
    postMessage(): void {}
    terminate(): void {}
  } as unknown as typeof Worker;
  try {
    using scorer = new Scorer(VOCAB, 1);
    const logits = normals(1, VOCAB), fail = () => started[0]!.onerror({ preventDefault: () => {}, message: "gone" });
    const waiting = scorer.score(logits, 3);
    fail();
    await assertRejects(() => Promise.resolve(waiting), FailureError, "the thread for log probabilities failed: gone");
    assertEquals(scorer.score(logits, 3), logProbability(logits, 3));
  } finally {
    globalThis.Worker = real;
  }
});

Deno.test("sumInOrder() adds in the order of the list, whatever comes first", async () => {
  const values = [1e16, 1, -1e16, 3.5], expected = values.reduce((a, b) => a + b, 0);
  assertEquals(sumInOrder(values), expected);
  const late = new Promise<number>((resolve) => setTimeout(() => resolve(1e16), 5));
  assertEquals(await sumInOrder([late, 1, Promise.resolve(-1e16), 3.5]), expected);
});

Deno.test("completeAll() gives the same with a thread for log probabilities, and throws what onDone does", async () => {
  const choices = { backend: "emulate", dtype: "bf16", kvCacheDtype: "auto", threads: 1 } as const;
  const session = await openSession(openCheckpoint(TINY), { ...choices, context: 60, slots: 2, maxTokens: 32 });
  const complete = async (worth: number, onDone: (completion: Completion) => void) => {
    using scorer = new Scorer(session.limits.vocab, worth);
    const requests = [12, 20, 31].map((end, index) => ({ index, prompt: TWO_TURNS.slice(0, end) }));
    const prefix = new Int32Array(0), stopIds = new Set<number>();
    await completeAll({ session, requests, prefix, maxTokens: 8, stopIds, onDone, scorer });
  };
  const apart: Completion[] = [], here: Completion[] = [];
  await complete(1, (completion) => apart.push(completion));
  await complete(1e9, (completion) => here.push(completion));
  assertEquals(apart.toSorted((a, b) => a.index - b.index), here.toSorted((a, b) => a.index - b.index));
  const fail = () => {
    throw new Error("the disk is full");
  };
  await assertRejects(() => complete(1, fail), Error, "the disk is full");
  await session.close();
});
