import type { Completion } from "../../src/eval/completion.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { completeAll, slotsNeeded } from "../../src/eval/batcher.ts";
import { commonPrefix } from "../../src/eval/prompts.ts";
import { openTiny as openTinyOf } from "../model/tiny.ts";
import { openSession, type SessionOptions } from "../session/open_session.ts";
import type { Engine } from "../../src/model/engine.ts";
import { Session } from "../../src/session/session.ts";
import { assert, assertEquals } from "../assert.ts";
import { integers, readGolden } from "../golden.ts";
import { dose } from "../soak.ts";
import { TINY, TWO_TURNS } from "./sides.ts";

const goldens = readGolden("logits.safetensors");
const GREEDY = Int32Array.from(integers(goldens, "greedy.prompt"));
const STOP = 1017;

/** Prompts that begin alike, and one that does not: pieces of a conversation and the golden prompt. */
const PROMPTS = [
  GREEDY,
  ...[20, 27, 33, 41, 150].map((end) => TWO_TURNS.slice(0, end)),
];

function openTiny(slots: number, maxTokens: number): Promise<Session> {
  return openSession(openCheckpoint(TINY), {
    backend: "emulate",
    dtype: "bf16",
    kvCacheDtype: "auto",
    context: 400,
    slots,
    maxTokens,
    threads: 2,
  });
}

async function complete(
  { slots, maxTokens, most = dose(24, 120), prompts = PROMPTS, prefix = new Int32Array(0) }: {
    slots: number;
    maxTokens: number;
    /** Tokens of a reply. */
    most?: number;
    prompts?: readonly Int32Array[];
    prefix?: Int32Array;
  },
) {
  const session = await openTiny(slots, maxTokens);
  const done: Completion[] = [];
  let tokens = 0;
  await completeAll({
    session,
    requests: prompts.map((prompt, index) => ({ index, prompt })),
    prefix,
    maxTokens: most,
    stopIds: new Set([STOP]),
    onDone: (completion) => done.push(completion),
    onBatch: (count) => tokens += count,
  });
  await session.close();
  return { done: done.toSorted((a, b) => a.index - b.index), order: done.map((c) => c.index), tokens };
}

Deno.test("completeAll() gives Hugging Face's greedy reply", async () => {
  const { done } = await complete({ slots: 3, maxTokens: 16, most: 120, prompts: dose([GREEDY], PROMPTS) });
  const reply = integers(goldens, "greedy.reply");
  assertEquals(done[0]!.ids, reply.slice(0, -1));
  assertEquals([done[0]!.end, done[0]!.generatedTokens, done[0]!.promptTokens], ["stop", reply.length, GREEDY.length]);
  assert(done[0]!.logProbability! < 0 && done[0]!.logProbability! > -20);
});

Deno.test("completeAll() gives the same replies one by one, a few or all at once", async () => {
  const alone = await complete({ slots: 1, maxTokens: 128 });
  assertEquals(alone.order, [0, 1, 2, 3, 4, 5]);
  assertEquals(alone.done.length, PROMPTS.length);
  const others = [[2, 5], [9, 7], [3, 64], [6, 128]] as const;
  for (const [slots, maxTokens] of others.slice(0, dose(2, 4))) {
    const { done, tokens } = await complete({ slots, maxTokens });
    assertEquals(done, alone.done, `${slots} slots, batches of ${maxTokens}`);
    assertEquals(tokens, alone.tokens, "no token is computed twice");
  }
});

Deno.test("completeAll() computes a shared beginning once", async () => {
  const prompts = PROMPTS.slice(1), prefix = TWO_TURNS.slice(0, commonPrefix(prompts));
  assertEquals(prefix.length, 19);
  const apart = await complete({ slots: 3, maxTokens: 32, prompts });
  const shared = await complete({ slots: slotsNeeded(3, prefix.length), maxTokens: 32, prompts, prefix });
  assertEquals(shared.done, apart.done);
  assertEquals(apart.tokens - shared.tokens, (prompts.length - 1) * prefix.length);
});

Deno.test("completeAll() ends replies at a text, at the limit and on a signal", async () => {
  const session = await openTiny(2, 32);
  const done: Completion[] = [];
  const options = {
    session,
    requests: [0, 1, 2, 3].map((index) => ({ index, prompt: GREEDY })),
    prefix: new Int32Array(0),
    stopIds: new Set<number>(),
    onDone: (completion: Completion) => done.push(completion),
  };
  await completeAll({ ...options, maxTokens: 3 });
  assertEquals(done.map(({ end, ids }) => [end, ids.length]), Array(4).fill(["length", 3]));

  done.length = 0;
  await completeAll({ ...options, maxTokens: 9, watch: () => ({ push: (id) => id === 1022 }) });
  assertEquals(done.map(({ end, ids }) => [end, ids.at(-1)]), Array(4).fill(["text", 1022]));

  done.length = 0;
  const controller = new AbortController();
  await completeAll({
    ...options,
    maxTokens: 5,
    signal: controller.signal,
    onDone: (completion) => {
      done.push(completion);
      controller.abort();
    },
  });
  assertEquals(done.length, 1);
  await session.close();
});

/** Whether log probabilities are wanted; and the same in words. */
const SCORED = [[true, ""], [false, ", without log probabilities"]] as const;

for (const [scored, without] of SCORED) {
  Deno.test(`completeAll() lets an engine generate until some replies have ended, prompts apart${without}`, () =>
    generating(scored));
}

/** Replies that an engine generates by itself; one that tells no probabilities where none are wanted. */
async function generating(scores: boolean): Promise<void> {
  const slots = 33, prefix = Int32Array.from({ length: 9 }, (_, i) => i + 1), vocab = 1000;
  // The token after a position; a sequence's own number is what its prompt ends with.
  const batches: { readonly rows: number; readonly decoded: boolean }[] = [];
  const engine: Engine = {
    info: { description: "", weightBytes: 0, loadMilliseconds: 0 },
    compute: (_batch, rows) => Promise.resolve(assertEquals(rows.length, 0)),
    copySlot: () => {},
    scores,
    canPick: (rows) => rows < slots,
    canDecode: () => true,
    pick: ({ ids, positions }, rows) => {
      assert(positions.every((position) => position < 10), "a reply's token beside prompts");
      batches.push({ rows: ids.length, decoded: false });
      return Promise.resolve({
        ids: rows.map((row) => ids[row]! + 1),
        logProbabilities: Float64Array.from(rows, () => -1),
      });
    },
    decode: async ({ batch, steps, scored, onTokens }) => {
      assertEquals(scored, scores);
      let done = 0;
      for (let end = steps; done < end; done++) {
        batches.push({ rows: batch.ids.length, decoded: true });
        const ids = batch.ids.map((id) => id + done + 1);
        // What had begun when the answer was no is handed out.
        const sums = scores ? Float64Array.from(ids, () => -2) : undefined;
        if (!await onTokens(ids, done, sums)) end = Math.min(end, done + 3);
      }
      return { steps: done, hostMilliseconds: 0 };
    },
    close: () => Promise.resolve(),
  };
  const session = new Session(engine, { slots, context: 64, maxTokens: 40, vocab });
  const requests = Array.from({ length: 100 }, (_, index) => ({ index, prompt: Int32Array.of(...prefix, 8 * index) }));
  const done: Completion[] = [];
  const lengths = requests.map(({ index }) => 5 + index * 7 % 30);
  let started = 0, tokens = 0;
  const watch = () => {
    let left = lengths[started++]!;
    return { push: () => --left === 0 };
  };
  const onBatch = (count: number) => void (tokens += count);
  const options = { maxTokens: 31, stopIds: new Set<number>(), watch, onBatch, logProbabilities: scores };
  await completeAll({ session, requests, prefix, ...options, onDone: (one) => done.push(one) });
  for (const { index, ids, end, logProbability } of done) {
    const length = Math.min(31, lengths[index]!);
    assertEquals(ids, Array.from({ length }, (_, i) => 8 * index + i + 1));
    const sum = scores ? -1 - 2 * (length - 1) : null;
    assertEquals([end, logProbability], [lengths[index]! <= 31 ? "text" : "length", sum]);
  }
  const replies = lengths.reduce((sum, length) => sum + Math.min(31, length), 0);
  assertEquals([done.length, tokens], [100, prefix.length + requests.length + replies - requests.length]);
  const computed = batches.filter(({ decoded }) => decoded).reduce((sum, { rows }) => sum + rows, 0);
  assert(computed < 1.25 * replies, `${computed} rows for ${replies} tokens`);
}

Deno.test("completeAll() without log probabilities gives the same replies and hands out no logits", async () => {
  const requests = Array.from({ length: 30 }, (_, index) => ({ index, prompt: TWO_TURNS.slice(0, 12 + index) }));
  const run = async (logProbabilities: boolean, setting: Partial<SessionOptions>) => {
    const session = await openTinyOf({ dtype: "bf16", context: 160, maxTokens: 200, ...setting });
    let handedOut = 0;
    const compute = session.run.bind(session);
    session.run = (feeds, onLogits, tap) =>
      compute(feeds, (...row) => {
        handedOut++;
        onLogits?.(...row);
      }, tap);
    const done: Completion[] = [], onDone = (completion: Completion) => void done.push(completion);
    const options = { prefix: TWO_TURNS.slice(0, 10), maxTokens: dose(8, 40), stopIds: new Set([STOP]) };
    await completeAll({ session, requests, ...options, logProbabilities, onDone });
    await session.close();
    return { replies: done.toSorted((a, b) => a.index - b.index), handedOut };
  };
  const { replies: scored, handedOut: all } = await run(true, { slots: 31, threads: 1 });
  assert(scored.every(({ logProbability }) => logProbability! < 0));
  assertEquals(all, scored.reduce((sum, { generatedTokens }) => sum + generatedTokens, 0));
  const expected = scored.map((reply) => ({ ...reply, logProbability: null }));
  // One slot has what all begin with; 12 sequences are the fewest that are picked by bytes.
  for (const [slots, threads] of [[2, 1], [12, 2], [13, 1], [13, 3], [31, 1], [31, 2]] as const) {
    const { replies, handedOut } = await run(false, { slots, threads });
    assertEquals([replies, handedOut], [expected, 0], `${slots} slots, ${threads} threads`);
  }
  // An engine with a thread of its own generates by itself.
  assertEquals(await run(false, { slots: 31, threads: 2, apart: true }), { replies: expected, handedOut: 0 });
  // Ranks add in another order, and give all logits.
  const ranks = { slots: 31, threads: 2, tp: 2 }, ofRanks = await run(false, ranks);
  assertEquals(ofRanks.replies, (await run(true, ranks)).replies.map((reply) => ({ ...reply, logProbability: null })));
  assertEquals(ofRanks.handedOut, ofRanks.replies.reduce((sum, { generatedTokens }) => sum + generatedTokens, 0));
});
