/** Who waits, who is let in, what is told of it, and which slot a sequence gets. */
import { pause } from "../../src/breath.ts";
import { ApiError } from "../../src/serve/api_error.ts";
import type { Job } from "../../src/serve/engine/job.ts";
import { Scheduler } from "../../src/serve/engine/scheduler.ts";
import { Turns } from "../../src/serve/engine/turns.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "../assert.ts";
import { openPaged, replyTo, VOCAB } from "../session/paged_engine.ts";
import { HeldTimers, SetClock } from "../timers.ts";
import { jobOf } from "./serving.ts";

const tokens = (seed: number, length: number) =>
  Int32Array.from({ length }, (_, i) => (seed * 17 + i * i * 5 + i) % VOCAB);

/** A scheduler with so many slots, of which no sequence has to give way where there are 400 pages. */
function open(slots: number, queue: number, pages = 400) {
  const { session } = openPaged({ slots, context: 512, maxTokens: 64, pages, rewind: 300 }, false);
  const scheduler = new Scheduler(session, new Turns(), { queue, milliseconds: 60_000 });
  const submit = (prompt: Int32Array, more: Partial<Job> = {}) => scheduler.submit(jobOf(prompt, more));
  return { session, scheduler, submit };
}

Deno.test("slots and positions that are in use are told to the number, and who waits beside them", async () => {
  const { scheduler, submit } = open(2, 10), all = [0, 1, 2].map((i) => submit(tokens(i, 30 + i), { maxTokens: 4 }));
  assertEquals([scheduler.running, scheduler.waiting, scheduler.positions], [0, 3, 0]);
  const seen = new Set<string>();
  for await (const _ of all[0]!) seen.add(`${scheduler.running} ${scheduler.waiting} ${scheduler.positions}`);
  // Both prompts and the tokens that were chosen before the last ones.
  assert(seen.has("2 1 63"), [...seen].join(", "));
  await Promise.all(all.map(({ outcome }) => outcome));
  assertEquals([scheduler.running, scheduler.waiting, scheduler.positions], [0, 0, 0]);
});

Deno.test("without a queue as many are let in as there are slots, and the next is told when to ask again", async () => {
  const { submit } = open(2, 0), all = [0, 1].map((i) => submit(tokens(i, 9), { client: "a" }));
  const refused = assertThrows(() => submit(tokens(2, 9), { client: "a" }), ApiError);
  assertEquals([refused.status, refused.code, refused.retryAfter], [429, "queue_full", 1]);
  assertEquals(refused.message, "the queue is full: 2 requests wait");
  await Promise.all(all.map(({ outcome }) => outcome));
  assertEquals((await submit(tokens(2, 9)).outcome).generatedTokens, 8);
});

Deno.test("the time to ask again is that of the last sequences, a minute at most, whoever left before", async () => {
  const { submit } = open(2, 0), seconds = 1000;
  using clock = new SetClock();
  /** Two run for so long, and a third one is told when to ask again. */
  const toldAfter = async (milliseconds: number) => {
    const first = submit(tokens(0, 9)), other = submit(tokens(1, 9));
    for await (const _ of first) clock.milliseconds += milliseconds / 8;
    await other.outcome;
    const all = [0, 1].map((i) => submit(tokens(i, 9)));
    const { retryAfter } = assertThrows(() => submit(tokens(2, 9)), ApiError);
    for (const generation of all) generation.cancel();
    await Promise.all(all.map(({ outcome }) => outcome));
    return retryAfter!;
  };
  const soon = await toldAfter(160 * seconds);
  assert(soon > 3 && soon < 30, `${soon} s`);
  assertEquals(await toldAfter(1e6 * seconds), 60);
  // Those above left as they waited, and so do these.
  for (let i = 0; i < 400; i++) {
    const left = submit(tokens(2, 9));
    left.cancel();
    assertEquals((await left.outcome).generatedTokens, 0);
  }
  assertEquals(await toldAfter(0), 60);
});

Deno.test("the time that a sequence waited for its slot is told apart from the time that it had it", async () => {
  using clock = new SetClock();
  const { submit } = open(1, 1), all = [0, 1].map((i) => submit(tokens(i, 9), { maxTokens: 4 }));
  for await (const _ of all[0]!) clock.milliseconds += 100;
  for await (const _ of all[1]!) clock.milliseconds += 1;
  const [first, second] = await Promise.all(all.map(async ({ outcome }) => (await outcome).timings));
  assertEquals(first!.queued, 0);
  assert(first!.decode >= 200 && second!.queued >= 200, JSON.stringify([first, second]));
  assert(second!.prefill + second!.decode < 200, JSON.stringify(second));
});

Deno.test("a sequence takes over the longest beginning there is, and leaves it where another will do", async () => {
  const { session, submit } = open(3, 10), lengths = () => [0, 1, 2].map((slot) => session.length(slot));
  const ask = async (prompt: Int32Array) => {
    const generation = submit(prompt, { maxTokens: 5 }), ids = (await Array.fromAsync(generation)).map(({ id }) => id);
    assertEquals(ids, replyTo(prompt, 5));
    return (await generation.outcome).cachedTokens;
  };
  const text = tokens(1, 100),
    begin = (end: number, more: Int32Array) => Int32Array.from([...text.subarray(0, end), ...more]);
  assertEquals([await ask(text), lengths()], [0, [104, 0, 0]]);
  // What another begins with alike is copied into a slot that is empty.
  assertEquals([await ask(begin(60, tokens(2, 20))), lengths()], [60, [104, 84, 0]]);
  assertEquals([await ask(begin(40, tokens(3, 10))), lengths()], [40, [104, 84, 54]]);
  // What goes on where another ended stays in its slot.
  const whole = Int32Array.from([...text, ...replyTo(text, 5), 7, 8]);
  assertEquals([await ask(whole), lengths()], [104, [111, 84, 54]]);
  // The oldest one that was left gives way: the second.
  assertEquals([await ask(begin(80, tokens(4, 6))), lengths()], [80, [111, 90, 54]]);
  // Where nothing is alike, too: the third.
  assertEquals([await ask(tokens(5, 12)), lengths()], [0, [111, 90, 16]]);
  // Seven tokens in common are not copied, eight are.
  const beginning = (end: number) => Int32Array.from([...tokens(5, 12).subarray(0, end), ...tokens(6, 9)]);
  assertEquals([await ask(beginning(7)), lengths()], [0, [20, 90, 16]]);
  assertEquals([await ask(beginning(8)), lengths()], [8, [20, 21, 16]]);
  // What holds nothing is taken before what was left longest ago, whoever had it last.
  session.reset(1);
  assertEquals([await ask(tokens(9, 9)), lengths()], [0, [20, 13, 16]]);
});

Deno.test("where there is one slot, or one other that is free, prompts share as well", async () => {
  const text = tokens(1, 60), other = Int32Array.from([...text.subarray(0, 40), ...tokens(2, 9)]);
  for (const [slots, lengths] of [[1, [56]], [2, [67, 56]]] as const) {
    const { session, submit } = open(slots, 10);
    for (const [prompt, cached] of [[text, 0], [other, 40]] as const) {
      const generation = submit(prompt, { maxTokens: 8 });
      assertEquals((await Array.fromAsync(generation)).map(({ id }) => id), replyTo(prompt, 8));
      assertEquals((await generation.outcome).cachedTokens, cached);
    }
    assertEquals(Array.from(lengths, (_, slot) => session.length(slot)), [...lengths]);
  }
});

Deno.test("of two that come together the second waits for what they begin with, where that is worth it", async () => {
  const cases = [[50, 50, 2], [50, 50, 3], [9, 9, 2], [8, 0, 2], [3, 0, 3]] as const;
  for (const [common, cached, slots] of cases) {
    const { submit } = open(slots, 10), beginning = tokens(7, common);
    const all = [1, 2].map((i) => Int32Array.from([...beginning, 90 + i, ...tokens(i, 30)])).map((prompt) => ({
      prompt,
      generation: submit(prompt, { maxTokens: 3 }),
    }));
    for (const { prompt, generation } of all) {
      assertEquals((await Array.fromAsync(generation)).map(({ id }) => id), replyTo(prompt, 3));
    }
    const got = await Promise.all(all.map(async ({ generation }) => (await generation.outcome).cachedTokens));
    assertEquals(got, [0, cached], `${common} in common`);
  }
});

Deno.test("where pages run out, what was left longest ago is forgotten first, and no more than has to be", async () => {
  const { session, scheduler, submit } = open(3, 10, 12), texts = [100, 101, 300].map((length, i) => tokens(i, length));
  const lengths: number[][] = [];
  // The first one goes on, so that the second is the oldest.
  texts.splice(2, 0, Int32Array.from([...texts[0]!, ...replyTo(texts[0]!, 5), 7]));
  for (const text of texts) {
    assertEquals((await Array.fromAsync(submit(text, { maxTokens: 5 }))).map(({ id }) => id), replyTo(text, 5));
    lengths.push([0, 1, 2].map((slot) => session.length(slot)));
  }
  assertEquals(lengths, [[104, 0, 0], [104, 105, 0], [110, 105, 0], [110, 0, 304]]);
  assertEquals(scheduler.preemptions, 0);
});

Deno.test("after a batch that failed nothing that is left is used", async () => {
  const { session, submit } = open(2, 10), { engine } = session, compute = engine.compute.bind(engine);
  const cached = async (prompt: Int32Array) => (await submit(prompt, { maxTokens: 2 }).outcome).cachedTokens;
  const text = tokens(1, 50);
  assertEquals([await cached(text), await cached(text)], [0, 49]);
  engine.compute = () => Promise.reject(new Error("out of order"));
  await assertRejects(() => cached(tokens(2, 20)), Error, "out of order");
  engine.compute = compute;
  assertEquals([session.length(0), session.length(1)], [0, 0]);
  assertEquals([await cached(text), await cached(text)], [0, 49]);
});

Deno.test("who takes too long, waiting or running, is told so, and who has ended leaves no timer", async () => {
  using timers = new HeldTimers("timeout", 60_000);
  const { scheduler, submit } = open(1, 10), prompt = tokens(1, 20), quick = submit(prompt, { maxTokens: 2 });
  assertEquals([timers.count, (await quick.outcome).reason, timers.count], [1, "length", 0]);
  const gone = submit(prompt);
  gone.cancel();
  assertEquals([(await gone.outcome).reason, timers.count], ["cancelled", 0]);
  const left = submit(prompt, { signal: AbortSignal.abort() });
  assertEquals([(await left.outcome).reason, (await left.outcome).generatedTokens], ["cancelled", 0]);
  const late = [submit(prompt, { maxTokens: 400 }), submit(prompt)];
  for await (const _ of late[0]!) if (scheduler.running === 1) break;
  timers.goOff();
  const ends = await Promise.all(late.map(({ outcome }) => outcome.then(({ reason }) => reason, (thrown) => thrown)));
  // The first was left by its reader before.
  assertEquals(ends[0], "cancelled");
  assert(ends[1] instanceof ApiError);
  assertEquals([ends[1].status, ends[1].code, ends[1].message], [504, "timeout", "not done within 60 s"]);
  const running = submit(prompt, { maxTokens: 400 });
  while (scheduler.running === 0) await pause(0);
  timers.goOff();
  assertEquals((await assertRejects(() => running.outcome, ApiError)).status, 504);
  assertEquals([scheduler.running, scheduler.waiting, timers.count], [0, 0, 0]);
});
