/** Questions for which only this process's ranks are waited for: what the others say comes later, and is not lost. */
import { FailureError } from "../../src/errors.ts";
import type { RankReply } from "../../src/parallel/messages.ts";
import type { RankListener } from "../../src/parallel/rank_ports.ts";
import { Ranks } from "../../src/parallel/ranks.ts";
import { assert, assertEquals, assertRejects } from "../assert.ts";

const LOGITS = { kind: "logits", rows: new Int32Array(1) } as const;

/** Two ranks here and two elsewhere, of which each answers when it is told to. */
function fourRanks() {
  const listeners: RankListener[] = [], told: string[] = [];
  const ranks = new Ranks(4, {
    start: (rank, listener) => {
      listeners[rank] = listener;
      return { postMessage: ({ kind }) => told.push(`${rank} ${kind}`) };
    },
    abort: () => {},
    own: 2,
  });
  const answer = (rank: number, tokens: number) => listeners[rank]!.reply({ kind: "exchanges", tokens });
  return { ranks, listeners, told, answer };
}

async function settled(question: Promise<readonly RankReply[]>): Promise<boolean> {
  const open = Symbol();
  return await Promise.race([question, Promise.resolve(open)]) !== open;
}

const tokensOf = (replies: readonly RankReply[]) => replies.map((r) => r.kind === "exchanges" ? r.tokens : null);

Deno.test("an answer that comes late is no answer to the next question", async () => {
  const { ranks, told, answer } = fourRanks();
  const first = ranks.own(LOGITS);
  assertEquals(told, ["3 logits", "2 logits", "1 logits", "0 logits"], "those elsewhere are told first");
  answer(2, 12);
  answer(1, 11);
  assert(!await settled(first), "one that is here has not answered");
  answer(0, 10);
  // Rank 2 was quick.
  assertEquals(tokensOf(await first), [10, 11, 12]);
  const second = ranks.own(LOGITS);
  answer(1, 21);
  answer(0, 20);
  assertEquals(tokensOf(await second), [20, 21]);
  const third = ranks.all(() => LOGITS);
  for (const rank of [0, 1]) answer(rank, 30 + rank);
  // What they owe: rank 3 two answers, rank 2 one.
  answer(3, 13);
  answer(3, 23);
  answer(2, 22);
  assert(!await settled(third), "those elsewhere have answered earlier questions only");
  answer(3, 33);
  assert(!await settled(third));
  answer(2, 32);
  assertEquals(tokensOf(await third), [30, 31, 32, 33]);
});

Deno.test("a rank that fails after its question was answered fails the next one, and is named", async () => {
  for (const asked of [false, true]) {
    const { ranks, listeners, answer } = fourRanks();
    const first = ranks.own(LOGITS);
    for (const rank of [0, 1]) answer(rank, rank);
    await first;
    const fail = () => listeners[3]!.reply({ kind: "failed", text: "it broke", mistake: null, dragged: false });
    if (!asked) fail();
    const second = ranks.own(LOGITS);
    if (asked) fail();
    await assertRejects(() => second, FailureError, "rank 3: it broke");
    assertEquals(ranks.failure?.message, "rank 3: it broke");
  }
});
