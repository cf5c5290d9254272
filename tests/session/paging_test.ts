/** Sequences that share pages: who has which, and what they compute. */
import { fewestPages, ownPages } from "../../src/model/pages.ts";
import { completeAll, slotsNeeded } from "../../src/eval/batcher.ts";
import type { Completion } from "../../src/eval/completion.ts";
import { Paging } from "../../src/session/paging.ts";
import type { Session } from "../../src/session/session.ts";
import { Slots } from "../../src/session/slots.ts";
import type { Batch } from "../../src/model/backend.ts";
import { argmax } from "../../src/session/likelihood.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { KINDS, nextOf, openPaged, replyTo, VOCAB } from "./paged_engine.ts";

const tokens = (seed: number, length: number) =>
  Int32Array.from({ length }, (_, i) => (seed * 13 + i * i * 7 + i) % VOCAB);

/** Feeds tokens to a sequence; gives the one that follows. */
async function feed(session: Session, slot: number, some: ArrayLike<number>): Promise<number> {
  let next = -1;
  await session.feed({ slot, tokens: some, logits: "last" }, (_position, logits) => next = argmax(logits));
  return next;
}

Deno.test("a sequence takes pages as it grows, and sliding layers give back what they no longer see", async () => {
  const { session } = openPaged({ slots: 2, context: 640, maxTokens: 64, pages: 40 }), used = [];
  const all = tokens(1, 500);
  for (let at = 0; at < 500; at += 50) {
    assertEquals(await feed(session, 0, all.subarray(at, at + 50)), nextOf(all.subarray(0, at + 50)));
    used.push(session.paging.use!.used);
  }
  // Of the full layers 1, 2, 3, 4, 4, .. 8; of the others those that 20 positions before a batch and itself lie in.
  assertEquals(used, [2, 4, 5, 6, 6, 7, 8, 9, 11, 10]);
  session.reset(0);
  assertEquals(session.paging.use, { pages: 40, used: 0 });
});

Deno.test("sequences with the same beginning share its pages, and each writes to pages of its own", async () => {
  const { session } = openPaged({ slots: 3, context: 640, maxTokens: 64, pages: 60 }), beginning = tokens(2, 300);
  await feed(session, 0, beginning);
  const before = session.paging.use!.used;
  session.fork(0, 1);
  session.fork(0, 2);
  assertEquals(session.paging.use!.used, before);
  const others = [tokens(3, 30), tokens(4, 100)];
  for (const [i, other] of others.entries()) {
    assertEquals(await feed(session, i + 1, other), nextOf([...beginning, ...other]));
  }
  assertEquals(await feed(session, 0, [5, 6]), nextOf([...beginning, 5, 6]));
  // Taken back into what it shares, and on another way.
  assertEquals(session.rewind(1, [...beginning.subarray(0, 290), 9]), 290);
  assertEquals(await feed(session, 1, [9, 8, 7]), nextOf([...beginning.subarray(0, 290), 9, 8, 7]));
  assertEquals(await feed(session, 2, [1]), nextOf([...beginning, ...others[1]!, 1]));
  for (const slot of [0, 1, 2]) session.reset(slot);
  assertEquals(session.paging.use!.used, 0);
});

Deno.test("a sliding layer's page is kept until its last position is out of sight, and no longer", async () => {
  for (const [length, kept] of [[82, 4], [83, 3]] as const) {
    const { session } = openPaged({ slots: 2, context: 640, maxTokens: 70, pages: 20 });
    const one = tokens(8, length + 1), other = tokens(9, 64), next: number[] = [];
    await feed(session, 0, one.subarray(0, length));
    // Position 63 is the first that the token at 82 sees. The other one takes the page that was given back last.
    const feeds = [{ slot: 0, tokens: one.subarray(length), logits: "last" }, {
      slot: 1,
      tokens: other,
      logits: "last",
    }] as const;
    await session.run(feeds, (_index, _position, logits) => next.push(argmax(logits)));
    assertEquals(next, [nextOf(one), nextOf(other)]);
    session.reset(1);
    assertEquals(session.paging.use!.used, kept);
  }
});

Deno.test("a sequence goes back as far as its sliding layers see, further while there is room", async () => {
  const { session } = openPaged({ slots: 2, context: 640, maxTokens: 32, pages: 18, rewind: 200 });
  const all = tokens(5, 400), asked = (length: number) => Int32Array.from([...all.subarray(0, length), 96]);
  await feed(session, 0, all);
  assertEquals([session.shared(0, asked(230)), session.shared(0, asked(120))], [230, 0]);
  // Another one needs what it keeps for that.
  await feed(session, 1, tokens(6, 380));
  assertEquals([session.shared(0, asked(390)), session.shared(0, asked(230))], [390, 0]);
  assertEquals(session.rewind(0, asked(390)), 390);
  assertEquals(await feed(session, 0, [96]), nextOf(asked(390)));
  assertThrows(() => session.paging.place({} as never, [{ slot: 1, tokens: tokens(0, 250) }]), RangeError, "no pages");
});

Deno.test("the fewest pages of a pool hold one sequence of the whole context, whatever its chunks", async () => {
  for (const [context, maxTokens] of [[640, 64], [130, 7], [500, 200], [64, 64], [65, 1]] as const) {
    const config = { sliding: [true, false], slidingWindow: KINDS.window };
    const pages = fewestPages({ config, context, maxTokens });
    const { session } = openPaged({ slots: 2, context, maxTokens, pages }), all = tokens(7, context);
    assertEquals(await feed(session, 1, all), nextOf(all));
  }
  const config = { sliding: [true, true], slidingWindow: 128 };
  const sizes = { context: 4096, maxTokens: 512 };
  assertEquals(ownPages({ config, ...sizes, rewind: 0 }), { full: 0, ring: 11 });
  assertEquals(ownPages({ config: { ...config, sliding: [false] }, ...sizes }), { full: 64, ring: 0 });
});

/** Tokens of every reply. */
const MOST = 190;

/** Completes prompts in few pages. */
async function complete(pages: number, decodes: boolean, slots: number, prefix = new Int32Array(0)) {
  const { session, engine } = openPaged({
    slots: slotsNeeded(slots, prefix.length),
    context: 640,
    maxTokens: 64,
    pages,
  }, decodes);
  const prompts = Array.from({ length: 11 }, (_, i) => Int32Array.from([...prefix, ...tokens(i, 10 + (i * 37) % 150)]));
  const done: Completion[] = [];
  let preempted = 0;
  await completeAll({
    session,
    requests: prompts.map((prompt, index) => ({ index, prompt })),
    prefix,
    maxTokens: MOST,
    stopIds: new Set(),
    onDone: (completion) => done.push(completion),
    onPreempted: () => preempted++,
  });
  const expected = prompts.map((prompt) => replyTo(prompt, MOST));
  assertEquals(done.toSorted((a, b) => a.index - b.index).map(({ ids }) => [...ids]), expected);
  for (let slot = 0; slot < slots; slot++) assertEquals(session.length(slot), 0, "a sequence that ended has no pages");
  if (prefix.length > 0) session.reset(slots);
  return { preempted, used: session.paging.use!.used, computed: engine.computed, steps: engine.steps };
}

Deno.test("completeAll() gives the same replies in a pool too small for its slots, and preempts for it", async () => {
  for (const decodes of [false, true]) {
    const enough = await complete(400, decodes, 24), few = await complete(30, decodes, 24);
    assertEquals([enough.preempted, enough.used, few.used], [0, 0, 0]);
    assert(few.preempted > 0 && few.computed > enough.computed, `${few.preempted} preempted`);
    // Where all is common but the end, many share what few could have of their own.
    const common = await complete(60, decodes, 24, tokens(50, 200)),
      alone = await complete(16, decodes, 24, tokens(50, 200));
    assertEquals([common.used, alone.used], [0, 0]);
    if (decodes) assert(enough.steps > 64 && few.steps >= 1);
  }
});

Deno.test("a sequence is computed again from its beginning on pages of its own, unless there are none", async () => {
  const { session, engine } = openPaged({ slots: 3, context: 640, maxTokens: 64, pages: 20 });
  const all = tokens(8, 100), { place } = session.paging.again(1);
  await feed(session, 0, all);
  session.fork(0, 1);
  const part = (from: number, to: number) => ({
    ids: all.slice(from, to),
    slots: new Int32Array(to - from).fill(1),
    positions: Int32Array.from({ length: to - from }, (_, i) => from + i),
  });
  for (const [from, to] of [[0, 64], [64, 100]] as const) {
    const batch = place!(part(from, to))!;
    await engine.compute(batch, new Int32Array(0), () => {});
    assertEquals(session.length(1), to);
  }
  for (const slot of [1, 0]) assertEquals(await feed(session, slot, [9, slot]), nextOf([...all, 9, slot]));
  session.reset(1);
  // The others have 8 and 9 pages of full layers, and one each of what sliding layers see: one is left, two are needed.
  await feed(session, 2, tokens(9, 500));
  await feed(session, 0, tokens(10, 460));
  assertEquals([place!(part(0, 64)), session.length(1)], [null, 0]);
});

Deno.test("steps of a batch are halved until their pages are there; where no batch has any, it has none", async () => {
  const { session } = openPaged({ slots: 3, context: 1280, maxTokens: 64, pages: 24 });
  const steps = (slots: number[], most: number) =>
    session.paging.stepsThatFit(slots.map((slot) => ({ slot, token: 1 })), most);
  // A page of either kind for each 64 positions that are to come: two times seven are too many for two sequences.
  assertEquals([steps([0], 640), steps([0, 1], 384), steps([0, 1], 800)], [640, 384, 200]);
  // Where the context ends no step has a page.
  const short = openPaged({ slots: 2, context: 128, maxTokens: 64, pages: 8 }).session.paging;
  assertEquals([0, 1].map((slot) => short.stepsThatFit([{ slot, token: 1 }], 999)), [999, 999]);
  await feed(session, 0, tokens(1, 640));
  await feed(session, 1, tokens(2, 320));
  await feed(session, 2, tokens(3, 192));
  // They need 10, 5 and 3 pages of full layers, and one each of sliding ones: three are left.
  assertEquals([steps([0], 64), steps([0], 65), steps([0, 1], 64), steps([0, 1, 2], 1)], [64, 32, 0, 0]);
});

Deno.test("where each sequence has a cache of its own nothing has to fit, nor goes back unasked", () => {
  const limits = { slots: 1, context: 64, maxTokens: 64, vocab: VOCAB }, batch = {} as Batch;
  const paging = new Paging(limits, new Slots(1)), feeds = [{ slot: 0, tokens: tokens(0, 999) }];
  assertEquals([paging.shares, paging.use, paging.share(0, 0), paging.again(0)], [false, null, false, {}]);
  assertEquals([paging.fits(feeds), paging.holds([{ length: 999, shared: 0 }])], [true, true]);
  assertEquals([paging.stepsThatFit([{ slot: 0, token: 1 }], 99), paging.reach(0)], [99, 0]);
  assertEquals(new Paging({ ...limits, rewind: 7 }, new Slots(1)).reach(0), 7);
  assert(paging.place(batch, feeds) === batch);
});

Deno.test("the ring of a sliding layer is no longer than the context, and than its window and a batch need", () => {
  const config = { sliding: [true, false], slidingWindow: 128 };
  const own = (context: number) => ownPages({ config, context, maxTokens: 64 });
  // 191 positions are seen or written at once, which may begin at the end of a page.
  assertEquals([own(64), own(100), own(256), own(4096)], [
    { full: 1, ring: 1 },
    { full: 2, ring: 2 },
    { full: 4, ring: 4 },
    { full: 64, ring: 4 },
  ]);
});
