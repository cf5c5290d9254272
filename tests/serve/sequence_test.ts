/** What a sequence counts and scores on its way, by numbers that are computed here. */
import { ApiError } from "../../src/serve/api_error.ts";
import type { Job, ScoredToken } from "../../src/serve/engine/job.ts";
import { NOBODY, type Observer } from "../../src/serve/engine/observer.ts";
import { Sequence } from "../../src/serve/engine/sequence.ts";
import { assert, assertEquals } from "../assert.ts";
import { SetClock } from "../timers.ts";
import { jobOf } from "./serving.ts";

const sequenceOf = (prompt: readonly number[], more: Partial<Job> = {}, observer: Observer = NOBODY) =>
  new Sequence(jobOf(Int32Array.from(prompt), more), observer, () => {});

/** Logits of four tokens, by which token `best` is the likeliest and `best + 1` the next. */
const logitsFor = (best: number) => Float32Array.from({ length: 4 }, (_, i) => [3, 1, 0.5, -2][(i - best + 4) % 4]!);
/** Its log probabilities, by the formula. */
const LOG = [3, 1, 0.5, -2].map((x) => x - Math.log(Math.exp(3) + Math.exp(1) + Math.exp(0.5) + Math.exp(-2)));

/** Whether a token is this one, with the likeliest beside it. */
function assertScored({ id, logProbability, top }: ScoredToken, wanted: number, rank: number, best: number, n: number) {
  assertEquals([id, top.map(([one]) => one)], [wanted, [0, 1, 2, 3].slice(0, n).map((i) => (best + i) % 4)]);
  for (const [got, log] of [[logProbability!, LOG[rank]!], ...top.map(([, own], i) => [own, LOG[i]!])]) {
    assert(Math.abs(got! - log!) < 1e-6, `${got}, expected ${log}`);
  }
}

Deno.test("its times are those of waiting, of the prompt and of the reply, and every token is heard of", async () => {
  using clock = new SetClock(1000);
  const first: number[] = [], next: number[] = [];
  const observer = { ...NOBODY, firstToken: (ms: number) => first.push(ms), nextToken: (ms: number) => next.push(ms) };
  const sequence = sequenceOf([1, 2, 3], { maxTokens: 3 }, observer);
  clock.milliseconds = 1010;
  sequence.start();
  sequence.begin(1, null);
  assertEquals([sequence.fed, sequence.cached, sequence.promptLeft, sequence.decodes], [1, 1, 2, false]);
  clock.milliseconds = 1025;
  assertEquals([sequence.computed(1), sequence.decodes, sequence.promptLeft], [null, false, 1]);
  assertEquals([sequence.take(2, logitsFor(2)), sequence.computed(1), sequence.decodes], [null, null, true]);
  assertEquals([sequence.last, sequence.tokensLeft, sequence.length], [2, 2, 4]);
  assertEquals(sequence.feed(5, 9), { slot: 5, tokens: [2], logits: "last" });
  clock.milliseconds = 1065;
  // A sequence that starts again has waited no longer.
  sequence.start();
  assertEquals([sequence.picked(0), sequence.computed(1)], [null, null]);
  clock.milliseconds = 1145;
  assertEquals([sequence.picked(3), sequence.computed(1), sequence.tokensLeft], ["length", null, 0]);
  const { timings, ...counts } = sequence.outcome("length");
  assertEquals(counts, { reason: "length", promptTokens: 3, cachedTokens: 1, generatedTokens: 3 });
  assertEquals([timings, first, next], [{ queued: 10, prefill: 15, decode: 120 }, [25], [40, 80]]);
  sequence.stream.end(sequence.outcome("length"));
  assertEquals((await Array.fromAsync(sequence.stream)).map(({ id }) => id), [2, 0, 3]);
  // One that never had a slot waited all the time.
  const never = sequenceOf([1, 2]);
  clock.milliseconds = 1150;
  assertEquals(never.outcome("cancelled"), {
    ...{ reason: "cancelled", promptTokens: 2, cachedTokens: 0, generatedTokens: 0 },
    timings: { queued: 5, prefill: 0, decode: 0 },
  });
});

Deno.test("tokens of prompt and reply are scored by the logits before them, the first by none", async () => {
  for (const logprobs of [0, 1, 3]) {
    const sequence = sequenceOf([3, 1, 2], { maxTokens: 2, logprobs, echo: true });
    sequence.begin(0, null);
    assertEquals(sequence.feed(0, 2), { slot: 0, tokens: Int32Array.of(3, 1), logits: "all" });
    assertEquals([sequence.take(0, logitsFor(1)), sequence.take(1, logitsFor(1))], [null, null]);
    sequence.computed(2);
    assertEquals([sequence.take(2, logitsFor(0)), sequence.computed(1)], [null, null]);
    assertEquals(sequence.take(3, logitsFor(3)), "length");
    const [start, second, third, ...more] = await sequence.stream.prompt;
    assertEquals([start, more], [{ id: 3, logProbability: null, top: [] }, []]);
    assertScored(second!, 1, 0, 1, logprobs);
    assertScored(third!, 2, 1, 1, logprobs);
    sequence.stream.end(sequence.outcome("length"));
    const reply = await Array.fromAsync(sequence.stream);
    assertEquals(reply.length, 2);
    assertScored(reply[0]!, 0, 0, 0, logprobs);
    assertScored(reply[1]!, 3, 0, 3, logprobs);
  }
});

Deno.test("scores are the model's own, before a mask and before what may not end the reply", () => {
  const pushed: number[] = [], got: ScoredToken[] = [];
  const mask = { apply: (logits: Float32Array) => logits[2] = -Infinity, push: (id: number) => pushed.push(id) };
  const sequence = sequenceOf([1], { mask, logprobs: 1, stopIds: new Set([3, 9]), minTokens: 1, maxTokens: 3 });
  sequence.stream.push = (token) => void got.push(token);
  sequence.begin(0, null);
  // 2 is masked, and 3 would end it before it has a token; then it may.
  assertEquals([sequence.drawable, sequence.take(0, logitsFor(2)), sequence.computed(1)], [false, null, null]);
  assertEquals(sequence.take(1, logitsFor(2)), "stop");
  assertEquals([pushed, sequence.outcome("stop").generatedTokens], [[0, 3], 2]);
  assertScored(got[0]!, 0, 2, 2, 1);
  assertScored(got[1]!, 3, 1, 2, 1);
  // Where nobody says how many tokens there are at least, the first one may end it.
  const ended = sequenceOf([1], { logprobs: 0, stopIds: new Set([2]) });
  ended.begin(0, null);
  assertEquals([ended.take(0, logitsFor(2)), ended.last], ["stop", 2]);
  // Where a mask leaves nothing but an end, that is said.
  const only = { apply: (logits: Float32Array) => logits.fill(-Infinity, 0, 3), push: () => {} };
  const held = sequenceOf([1], { mask: only, stopIds: new Set([3]), minTokens: 5 });
  held.begin(0, null);
  assertEquals(held.take(0, logitsFor(0)), "stop");
});

Deno.test("a sequence whose slot was taken away computes what it had once more, and goes on where it was", async () => {
  const sequence = sequenceOf([3, 1, 2], { maxTokens: 4, logprobs: 1, echo: true });
  sequence.begin(0, null);
  for (const [position, best] of [[0, 1], [1, 2], [2, 0]] as const) sequence.take(position, logitsFor(best));
  sequence.computed(3);
  sequence.take(3, logitsFor(2));
  sequence.computed(1);
  // In the cache are the prompt and the first token of the reply.
  sequence.preempt([3, 1, 2, 0]);
  assertEquals([sequence.begun, sequence.decodes, sequence.promptLeft, sequence.length], [false, false, 4, 5]);
  assertEquals([...sequence.reusable(null)], [3, 1, 2, 0]);
  sequence.begin(1, null);
  assertEquals([sequence.begun, sequence.promptLeft, sequence.cached], [true, 3, 0]);
  assertEquals(sequence.feed(7, 2), { slot: 7, tokens: Int32Array.of(1, 2), logits: "none" });
  assertEquals([sequence.computed(2), sequence.promptLeft, sequence.decodes], [null, 1, false]);
  // It is taken away once more meanwhile.
  sequence.preempt([3, 1, 2]);
  assertEquals([sequence.promptLeft, [...sequence.reusable(null)]], [4, [3, 1, 2, 0]]);
  sequence.begin(3, null);
  assertEquals(sequence.feed(7, 9), { slot: 7, tokens: Int32Array.of(0), logits: "none" });
  assertEquals([sequence.computed(1), sequence.decodes], [null, true]);
  assertEquals(sequence.feed(7, 9), { slot: 7, tokens: [2], logits: "last" });
  assertEquals([sequence.take(4, logitsFor(1)), sequence.computed(1)], [null, null]);
  assertEquals([sequence.take(5, logitsFor(3)), sequence.computed(1)], ["length", null]);
  sequence.stream.end(sequence.outcome("length"));
  assertEquals((await Array.fromAsync(sequence.stream)).map(({ id }) => id), [0, 2, 1, 3]);
  assertEquals((await sequence.stream.prompt).map(({ id }) => id), [3, 1, 2]);
  const { cachedTokens, generatedTokens } = sequence.outcome("length");
  assertEquals([cachedTokens, generatedTokens], [0, 4]);
  // One that had computed a single token has its score already.
  const scored = sequenceOf([3, 1, 2], { maxTokens: 0, logprobs: 1, echo: true });
  scored.begin(0, null);
  assertEquals([scored.take(0, logitsFor(1)), scored.computed(1)], [null, null]);
  scored.preempt([3]);
  scored.begin(0, null);
  assertEquals(scored.feed(0, 9), { slot: 0, tokens: Int32Array.of(3), logits: "none" });
  assertEquals([scored.computed(1), scored.feed(0, 9).logits, scored.take(1, logitsFor(2))], [null, "all", null]);
  assertEquals(scored.computed(2), "length");
  assertEquals((await scored.stream.prompt).map(({ id }) => id), [3, 1, 2]);
  // One that had computed nothing begins as if it were new.
  const fresh = sequenceOf([1, 2]);
  fresh.preempt([]);
  fresh.begin(1, null);
  assertEquals([fresh.cached, fresh.promptLeft], [1, 1]);
});

Deno.test("what another has computed is used up to where both begin alike, scored alike, and salted alike", () => {
  const scored = { logprobs: 1, echo: true, maxTokens: 1 };
  const holder = sequenceOf([1, 2, 3, 0], scored);
  holder.begin(0, null);
  for (let i = 0; i < 2; i++) holder.take(i, logitsFor(i));
  const reusable = (
    prompt: number[],
    more: Partial<Job>,
    from: Sequence | null = holder,
  ) => [...sequenceOf(prompt, more).reusable(from)];
  const overlap = (prompt: number[], more: Partial<Job>) => sequenceOf(prompt, more).overlap(holder);
  // Of its prompt three tokens are scored.
  assertEquals(reusable([1, 2, 3, 0], scored), [1, 2, 3]);
  assertEquals(reusable([1, 2, 0, 0], scored), [1, 2]);
  assertEquals([reusable([1, 2, 3, 0], scored, null), reusable([1, 2], { ...scored, logprobs: 2 })], [[], []]);
  assertEquals([reusable([1, 2, 3], {}), reusable([1, 2, 3], {}, null)], [[1, 2, 3], [1, 2, 3]]);
  assertEquals([reusable([1, 2, 3], { salt: "a" }), reusable([1, 2, 3], { salt: "a" }, null)], [[], [1, 2, 3]]);
  assertEquals(reusable([1, 2, 3], { probe: { from: 1 } }), [1, 2]);
  assertEquals([overlap([1, 2, 0], scored), overlap([1, 2, 3, 0, 1], {}), overlap([1, 2, 3], { salt: "a" })], [
    2,
    4,
    0,
  ]);
  assertEquals([overlap([1, 2], { ...scored, logprobs: 2 }), overlap([1, 2, 3], { probe: { from: 1 } })], [0, 2]);
  assertEquals([overlap([1, 2, 3, 0], {}), overlap([1], {}), overlap([2, 2, 3, 0], {})], [4, 1, 0]);
  assertEquals(sequenceOf([1, 2, 3], scored).overlap(sequenceOf([1, 2, 3], { logprobs: 1 })), 0);
});

Deno.test("with what another has computed of a prompt come its scores, and no more of them", async () => {
  const scored = { logprobs: 1, echo: true, maxTokens: 0 }, holder = sequenceOf([1, 2, 3, 0], scored);
  holder.begin(0, null);
  for (let i = 0; i < 4; i++) holder.take(i, logitsFor(i));
  holder.computed(4);
  for (const cached of [0, 1, 2, 3]) {
    const sequence = sequenceOf([1, 2, 3, 0], scored);
    sequence.begin(cached, cached > 0 ? holder : null);
    assertEquals(sequence.feed(0, 9), { slot: 0, tokens: Int32Array.of(1, 2, 3, 0).subarray(cached), logits: "all" });
    for (let i = cached; i < 4; i++) sequence.take(i, logitsFor(i));
    sequence.computed(4 - cached);
    assertEquals(await sequence.stream.prompt, await holder.stream.prompt, `${cached} tokens`);
    assertEquals(sequence.outcome("length").cachedTokens, cached);
  }
});

Deno.test("the engine chooses only for who asks for nothing else, and picks only the likeliest", () => {
  const of = (more: Partial<Job>) => {
    const { drawable, pickable } = sequenceOf([1, 2], more);
    return [drawable, pickable];
  };
  assertEquals([of({}), of({ sampling: { temperature: 0 } })], [[true, true], [true, true]]);
  assertEquals(of({ sampling: { temperature: 0.5, seed: 1 } }), [true, false]);
  const mask = { apply: () => {}, push: () => {} };
  for (const more of [{ logprobs: 0 }, { mask }, { probe: { from: 1 } }, { minTokens: 1 }]) {
    assertEquals(of(more), [false, false]);
  }
});

Deno.test("a probe sees from its position on, and no batch is half seen", () => {
  const seen: number[] = [], tap = () => {};
  const probe = { from: 2, logits: (position: number) => void seen.push(position), tap };
  const sequence = sequenceOf([1, 2, 3, 0, 1], { probe, maxTokens: 1 });
  sequence.begin(0, null);
  assertEquals(sequence.tap, undefined);
  assertEquals(sequence.feed(0, 9), { slot: 0, tokens: Int32Array.of(1, 2), logits: "none" });
  sequence.computed(2);
  assertEquals(sequence.tap, tap);
  assertEquals(sequence.feed(0, 9), { slot: 0, tokens: Int32Array.of(3, 0, 1), logits: "all" });
  assertEquals(sequence.feed(0, 2), { slot: 0, tokens: Int32Array.of(3, 0), logits: "all" });
  for (let i = 1; i < 4; i++) assertEquals(sequence.take(i, logitsFor(0)), null);
  const later = sequenceOf([1, 2, 3, 0, 1], { probe, maxTokens: 1 });
  later.begin(1, null);
  assertEquals(later.feed(0, 9), { slot: 0, tokens: Int32Array.of(2), logits: "none" });
  assertEquals([sequence.take(4, logitsFor(0)), seen], ["length", [2, 3, 4]]);
});

Deno.test("a prompt alone ends with its last token, without a reply", async () => {
  const sequence = sequenceOf([1, 2], { maxTokens: 0 });
  sequence.begin(0, null);
  assertEquals(sequence.feed(0, 1), { slot: 0, tokens: Int32Array.of(1), logits: "none" });
  assertEquals(sequence.computed(1), null);
  assertEquals(sequence.feed(0, 9), { slot: 0, tokens: Int32Array.of(2), logits: "none" });
  assertEquals([sequence.take(1, logitsFor(0)), sequence.computed(1)], [null, "length"]);
  const one = sequenceOf([1, 2], { maxTokens: 1 });
  one.begin(0, null);
  assertEquals(one.feed(0, 9), { slot: 0, tokens: Int32Array.of(1, 2), logits: "last" });
  assertEquals([await sequence.stream.prompt, sequence.outcome("length").generatedTokens], [[], 0]);
});

Deno.test("what ends it first is what it ends by, and it ends as its signal says", () => {
  let changes = 0;
  const open = (more: Partial<Job> = {}) => new Sequence(jobOf(Int32Array.of(1), more), NOBODY, () => changes++);
  const stopping = new ApiError(503, "stopping"), late = new Error("late");
  const signal = (why?: unknown) => ({ signal: AbortSignal.abort(why) });
  const ended = (sequence: Sequence, first: Error | null) => {
    sequence.ending = first;
    sequence.cancel();
    return sequence.ending;
  };
  assertEquals([ended(open(), null), ended(open(), late)], ["cancelled", late]);
  assertEquals([ended(open(signal()), null), ended(open(signal(late)), null)], ["cancelled", "cancelled"]);
  assertEquals([ended(open(signal(stopping)), null), ended(open(signal(stopping)), late)], [stopping, late]);
  assertEquals(changes, 6);
});
