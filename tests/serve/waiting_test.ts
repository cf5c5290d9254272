/** Who waits and in which turn, how long a reply may be, and what becomes of tokens on their way. */
import { ApiError } from "../../src/serve/api_error.ts";
import { roomFor } from "../../src/serve/chat/plan.ts";
import { CHAT } from "../../src/serve/endpoints/chat.ts";
import { Stream } from "../../src/serve/engine/generation.ts";
import type { Job, Outcome, ScoredToken } from "../../src/serve/engine/job.ts";
import type { Sequence } from "../../src/serve/engine/sequence.ts";
import type { ServedModel } from "../../src/serve/engine/service.ts";
import { Turns } from "../../src/serve/engine/turns.ts";
import { WaitingRoom } from "../../src/serve/engine/waiting.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "../assert.ts";
import { scripted } from "./scripted.ts";

/** A sequence of a client's request, as far as the queue looks at it. */
const waiter = (client: string, requestId: string) => ({ job: { client, requestId } }) as unknown as Sequence;
const nameOf = (one: Sequence | undefined) => one === undefined ? null : `${one.job.client} ${one.job.requestId}`;

Deno.test("clients that wait take turns, each in the order in which it asked", () => {
  const room = new WaitingRoom(8);
  for (const [client, id] of [["a", "1"], ["a", "1"], ["a", "2"], ["b", "3"], ["c", "4"], ["b", "5"]] as const) {
    room.add(waiter(client, id));
  }
  assertEquals([room.size, room.requests], [6, 5]);
  const order: (string | null)[] = [];
  while (room.size > 0) {
    const next = nameOf(room.next);
    order.push(nameOf(room.take()));
    assertEquals(order.at(-1), next);
  }
  assertEquals(order, ["a 1", "b 3", "c 4", "a 1", "b 5", "a 2"]);
  assertEquals([room.size, room.requests, room.take(), room.next], [0, 0, undefined, undefined]);
});

Deno.test("a request has one place of the queue, and who has none there gets one of as many again", () => {
  const room = new WaitingRoom(2), job = (client: string, requestId: string) => ({ client, requestId }) as Job;
  const admits = (client: string, id: string, more = 0) => room.admits(job(client, id), more);
  assert(!new WaitingRoom(0).admits(job("a", "1"), 0), "no place at all");
  assert(new WaitingRoom(0).admits(job("a", "1"), 1), "one that need not wait");
  room.add(waiter("a", "1"));
  assert(admits("a", "2"));
  room.add(waiter("a", "2"));
  // Full for a, but for more of what it asked, and for as many as get a slot at once.
  assertEquals([admits("a", "3"), admits("a", "2"), admits("a", "3", 1)], [false, true, true]);
  room.add(waiter("a", "2"));
  assertEquals([room.requests, admits("b", "4")], [2, true]);
  room.add(waiter("b", "4"));
  assertEquals([admits("b", "5"), admits("c", "5")], [false, true]);
  room.add(waiter("c", "5"));
  assertEquals([admits("d", "6"), admits("d", "6", 1)], [false, true]);
  // A place is free when the last job of a request has gone.
  const names = () => [nameOf(room.take()), room.requests];
  assertEquals([names(), names(), names()], [["a 1", 3], ["b 4", 2], ["c 5", 1]]);
  assertEquals(names(), ["a 2", 1]);
  assertEquals(names(), ["a 2", 0]);
});

Deno.test("those that are to end leave the queue, and nobody else does, nor is looked at", () => {
  const room = new WaitingRoom(8), looked: number[] = [];
  const all = ["a1", "a2", "b3", "a4"].map((name, i) =>
    new Proxy(waiter(name[0]!, name[1]!), { get: (one, key) => (looked.push(i), Reflect.get(one, key)) })
  );
  for (const one of all) room.add(one);
  looked.length = 0;
  assertEquals([all[1]!, all[2]!, all[1]!].map((one) => room.leave(one)), [true, true, false]);
  assertEquals(new Set(looked), new Set([1, 2]));
  assertEquals([room.size, room.requests], [2, 2]);
  assertEquals([room.take(), room.take(), room.take()].map(nameOf), ["a 1", "a 4", null]);
});

const TOKENS: readonly ScoredToken[] = [1, 2, 3].map((id) => ({ id, logProbability: null, top: [] }));
const OUTCOME = { reason: "stop", generatedTokens: 3 } as Outcome;

Deno.test("tokens that were chosen come before the end, and before the failure", async () => {
  for (const fails of [false, true]) {
    let cancelled = 0;
    const stream = new Stream(() => cancelled++), got: number[] = [];
    const reading = (async () => {
      for await (const { id } of stream) got.push(id);
    })();
    stream.push(TOKENS[0]!);
    stream.deliver();
    await new Promise((resolve) => setTimeout(resolve, 0));
    assertEquals(got, [1]);
    for (const token of TOKENS.slice(1)) stream.push(token);
    if (fails) {
      stream.fail(new Error("the device is gone"));
      await assertRejects(() => reading, Error, "the device is gone");
      await assertRejects(() => stream.outcome, Error, "the device is gone");
      await assertRejects(() => stream.prompt, Error, "the device is gone");
    } else {
      stream.prompted(TOKENS);
      stream.end(OUTCOME);
      await reading;
      assertEquals([await stream.outcome, await stream.prompt], [OUTCOME, TOKENS]);
    }
    assertEquals(got, [1, 2, 3]);
    // What has ended is not cancelled any more.
    stream.cancel();
    assertEquals(cancelled, 0);
  }
});

Deno.test("who leaves the tokens cancels them, and a prompt that was not computed is none", async () => {
  let cancelled = 0;
  const stream = new Stream(() => cancelled++);
  for (const token of TOKENS) stream.push(token);
  for await (const { id } of stream) {
    assertEquals(id, 1);
    break;
  }
  assertEquals(cancelled, 1);
  stream.end({ ...OUTCOME, reason: "cancelled" });
  const { status, code } = await assertRejects(() => stream.prompt, ApiError);
  assertEquals([status, code], [499, "cancelled"]);
});

Deno.test("batches take turns, also after one that failed, and say whether another waits", async () => {
  const turns = new Turns(), log: string[] = [], open = Promise.withResolvers<void>();
  assert(!turns.wanted);
  const first = turns.take(async () => {
    log.push(`first, ${turns.wanted}`);
    await open.promise;
    throw new Error("no");
  });
  assert(turns.wanted);
  const second = turns.take(() => Promise.resolve(void log.push(`second, ${turns.wanted}`)));
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals([log, turns.wanted], [["first, true"], true]);
  open.resolve();
  await assertRejects(() => first, Error, "no");
  await second;
  assertEquals([log, turns.wanted], [["first, true", "second, false"], false]);
});

Deno.test("a prompt and a reply may be as long as there is room, to the last token", () => {
  const fields = { prompt: "messages", maxTokens: "max_tokens" };
  const room = (limits: [context: number, promptTokens: number, maxTokens: number], prompt: number, asked?: number) => {
    const [context, promptTokens, maxTokens] = limits;
    const model = { limits: { context, promptTokens, maxTokens } } as ServedModel;
    return roomFor(model, new Int32Array(prompt), asked, fields);
  };
  const refusal = (...args: Parameters<typeof room>) => assertThrows(() => room(...args), ApiError).message;
  const context = "; this model's maximum context length is 100 tokens";
  // What the conversation leaves.
  assertEquals([room([100, 100, 100], 60), room([100, 100, 100], 60, 40), room([100, 100, 100], 60, 39)], [40, 40, 39]);
  assertEquals(
    refusal([100, 100, 100], 60, 41),
    `max_tokens: expected at most 40, what a conversation of 60 tokens leaves, got 41${context}`,
  );
  // What a reply may have at most.
  assertEquals([room([100, 100, 30], 60), room([100, 100, 30], 60, 30)], [30, 30]);
  assertEquals(refusal([100, 100, 30], 60, 31), "max_tokens: expected at most 30, got 31");
  // A prompt leaves place for a token.
  assertEquals([room([100, 100, 100], 99), room([100, 70, 100], 70)], [1, 30]);
  const most = (tokens: number, got: number) =>
    `messages: expected a conversation of at most ${tokens} tokens, got ${got}${context}`;
  assertEquals(refusal([100, 100, 100], 100), most(99, 100));
  assertEquals(refusal([100, 70, 100], 71), most(70, 71));
});

Deno.test("one call at a time is kept of a single tool too, and without tools replies are free", async () => {
  const server = scripted([CHAT]), messages = [{ role: "user", content: "Hi" }];
  const tool = { type: "function", function: { name: "f", parameters: { type: "object" } } };
  const call = "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}<|call|>";
  const held = async (tools: unknown[], parallel_tool_calls: boolean | null) => {
    server.script(tools.length > 0 ? call : "<|channel|>final<|message|>Hi.<|return|>");
    const { status, json } = await server.post("/v1/chat/completions", { messages, tools, parallel_tool_calls });
    assertEquals(status, 200, JSON.stringify(json));
    return server.jobs.at(-1)!.mask !== undefined;
  };
  assertEquals([await held([], false), await held([], null), await held([], true)], [false, false, false]);
  assertEquals([await held([tool], false), await held([tool], null), await held([tool], true)], [true, false, false]);
});
