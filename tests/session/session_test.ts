/** What a session tells an engine, what it hands out of the answer, and what it remembers of both. */
import { FailureError } from "../../src/errors.ts";
import type { Batch } from "../../src/model/backend.ts";
import type { DecodeRequest, Engine, OnRow } from "../../src/model/engine.ts";
import { Session } from "../../src/session/session.ts";
import { assertEquals, assertRejects } from "../assert.ts";
import { nextOf, openPaged } from "./paged_engine.ts";

const VOCAB = 50, LIMITS = { slots: 4, context: 12, maxTokens: 4, vocab: VOCAB };
const GREEDY = { temperature: 0, topP: 1, topK: 0, uniforms: new Float32Array(0) };

/** Tokens of a batch, each as [slot, position, id]. */
type Rows = number[][];

/** An engine that notes what it is asked: the token after id is id + 1, and where `spoiled` says so it is none. */
class Noted implements Engine {
  readonly info = { description: "noted", weightBytes: 0, loadMilliseconds: 0 };
  readonly asked: Rows[] = [];
  /** Ids after which logits are no numbers, once. */
  spoiled = new Set<number>();

  note({ ids, slots, positions }: Batch): void {
    this.asked.push(Array.from(ids, (id, row) => [slots[row]!, positions[row]!, id]));
  }

  compute(batch: Batch, rows: Int32Array, onRow: OnRow): Promise<void> {
    this.note(batch);
    for (const row of rows) onRow(row, this.logitsAfter(batch.ids[row]!));
    return Promise.resolve();
  }

  logitsAfter(id: number): Float32Array {
    return new Float32Array(VOCAB).fill(this.spoiled.delete(id) ? NaN : id + 1, id, id + 1);
  }

  copySlot(): void {}

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** One that picks by itself: ~9 instead of a token where logits are none. */
class Picking extends Noted {
  scores = true;
  /** Steps that have begun. */
  begun = 0;
  /** Steps that it hands out after it was told to stop. */
  drained = 0;

  after = (ids: Int32Array) => ids.map((id) => this.spoiled.delete(id) ? ~9 : id - 1);

  canPick = (rows: number) => rows <= 2;

  canDecode = ({ ids }: Batch) => ids.length !== 3;

  pick(batch: Batch, rows: Int32Array) {
    this.note(batch);
    const ids = this.after(rows.map((row) => batch.ids[row]!));
    return Promise.resolve({ ids, logProbabilities: Float64Array.from(ids, (id) => -id) });
  }

  async decode({ batch, steps, onTokens }: DecodeRequest) {
    this.note(batch);
    // The array is the same for every step, as it is only valid during the call.
    let { ids } = batch, goesOn = true, done = 0;
    const given = new Int32Array(ids.length);
    for (let more = this.drained; done < steps && (goesOn || more-- > 0); done++) {
      given.set(this.after(ids));
      ids = given.map((id) => Math.max(0, id));
      goesOn = await onTokens(given, done);
      given.fill(-77);
    }
    this.begun = done;
    return { steps: done, hostMilliseconds: 0 };
  }
}

const sequence = (slot: number, first: number, ids: readonly number[]): Rows =>
  ids.map((id, i) => [slot, first + i, id]);

Deno.test("Session.feed tells after each part how many of the tokens are done", async () => {
  const engine = new Noted(), session = new Session(engine, LIMITS), done: number[] = [], seen: number[][] = [];
  const see = (position: number, logits: Float32Array) => seen.push([position, Math.max(...logits)]);
  const note = (tokens: number) => done.push(tokens);
  await session.feed({ slot: 1, tokens: [3, 4, 5, 6, 7, 8, 9, 1, 2], logits: "last" }, see, undefined, note);
  assertEquals([done, seen], [[4, 8, 9], [[8, 3]]]);
  assertEquals(engine.asked, [
    ...[sequence(1, 0, [3, 4, 5, 6]), sequence(1, 4, [7, 8, 9, 1]), sequence(1, 8, [2])],
  ]);
});

Deno.test("Session.run names the first of the rows whose logits are no numbers, and hands out others", async () => {
  const engine = new Noted(), session = new Session(engine, LIMITS), seen: number[][] = [];
  await session.run([{ slot: 2, tokens: [1, 2, 3], logits: "none" }]);
  engine.spoiled = new Set([6, 7]);
  const feeds = [{ slot: 0, tokens: [5], logits: "all" }, { slot: 2, tokens: [6, 7, 8], logits: "all" }] as const;
  const failure = await assertRejects(
    () => session.run(feeds, (index, position) => seen.push([index, position])),
    FailureError,
  );
  assertEquals(
    failure.message,
    "logits of position 3, token 6: expected numbers, got NaN; computed once more, all are numbers: " +
      "memory or files changed meanwhile",
  );
  // The batch is in the cache; it was computed once more, and then the sequence up to that row from its beginning.
  assertEquals([seen, session.length(0), session.tokens(2)], [[[0, 0], [1, 5]], 1, [1, 2, 3, 6, 7, 8]]);
  const batch = [...sequence(0, 0, [5]), ...sequence(2, 3, [6, 7, 8])];
  assertEquals(engine.asked.slice(1), [batch, batch, sequence(2, 0, [1, 2, 3, 6])]);
});

Deno.test("Session.run takes an engine's word for where logits are no numbers", async () => {
  const engine = new Noted(), session = new Session(engine, LIMITS), seen: unknown[] = [];
  const compute = engine.compute.bind(engine);
  engine.compute = (batch, rows, onRow) => {
    // What explains is computed as ever.
    engine.compute = compute;
    return compute(batch, rows, (row, logits) => onRow(row, logits, batch.ids[row] === 6 ? ~11 : batch.ids[row]! - 5));
  };
  const failure = await assertRejects(
    () =>
      session.run(
        [{ slot: 0, tokens: [5, 6, 7], logits: "all" }],
        (_index, position, _logits, likeliest) => seen.push([position, likeliest]),
      ),
    FailureError,
  );
  assertEquals(failure.message.split(";")[0], "logits of position 1, token 11: expected numbers, got 0");
  assertEquals(seen, [[0, 0], [2, 2]]);
});

Deno.test("Session.refuse has the last token of a sequence computed once more where it is", async () => {
  const engine = new Noted(), session = new Session(engine, LIMITS);
  await session.feed({ slot: 3, tokens: [4, 5, 6, 7, 8], logits: "none" });
  engine.asked.length = 0;
  const failure = await assertRejects(() => session.refuse(3, "sums"), FailureError);
  assertEquals(failure.message.split(";")[0], "sums: expected numbers, got NaN or Infinity");
  assertEquals(engine.asked, [sequence(3, 4, [8]), sequence(3, 0, [4, 5, 6, 7]), sequence(3, 4, [8])]);
});

Deno.test("Session.pick hands out every pick, token 0 as well, and names the first that is none", async () => {
  const engine = new Picking(), session = new Session(engine, LIMITS), picked: number[][] = [];
  const feeds = [
    ...[{ slot: 1, tokens: [1], logits: "last" }, { slot: 0, tokens: [40], logits: "none" }] as const,
    { slot: 2, tokens: [30, 20], logits: "last" } as const,
  ];
  await session.pick(feeds, (...pick) => picked.push(pick));
  assertEquals(picked, [[0, 0, -0], [2, 19, -19]]);
  picked.length = 0;
  engine.spoiled = new Set([20, 30]);
  const ask = (batch: Batch, rows: Int32Array) =>
    Promise.resolve({ ids: engine.after(rows.map((row) => batch.ids[row]!)) });
  const more = [10, 20, 30].map((id, slot) => ({ slot, tokens: [id], logits: "last" }) as const);
  const failure = await assertRejects(() => session.pick(more, (...pick) => picked.push(pick), ask), FailureError);
  assertEquals(failure.message.split(";")[0], "logits of position 1, token 9: expected numbers, got NaN or Infinity");
  assertEquals([picked, [0, 1, 2].map((slot) => session.tokens(slot))], [[[0, 9, NaN]], [[40, 10], [1, 20], [
    ...[30, 20, 30],
  ]]]);
  assertEquals([engine.asked.at(-2)!.length, engine.asked.at(-1)], [3, sequence(1, 0, [1, 20])]);
});

Deno.test("Session.decode leaves what was handed out in the cache, also where who takes it throws", async () => {
  const engine = new Picking(),
    session = new Session(engine, LIMITS),
    entries = [{ slot: 0, token: 31 }, {
      slot: 2,
      token: 41,
    }];
  await session.feed({ slot: 2, tokens: [1, 2], logits: "none" });
  const sampling = entries.map(() => GREEDY), seen: number[][] = [];
  const onTokens = (ids: Int32Array, step: number) => {
    seen.push([step, ...ids]);
    return true;
  };
  assertEquals(await session.decode(entries, { steps: 3, sampling, onTokens }), 3);
  assertEquals(seen, [[0, 30, 40], [1, 29, 39], [2, 28, 38]]);
  assertEquals([session.tokens(0), session.tokens(2)], [[31, 30, 29], [1, 2, 41, 40, 39]]);
  const on = [{ slot: 0, token: 28 }, { slot: 2, token: 38 }], stop = new Error("enough");
  // A step that the engine had begun by then is in the cache, but nobody's any more.
  engine.drained = 1;
  let calls = 0;
  const thrower = () => {
    if (++calls === 2) throw stop;
    return Promise.resolve(true);
  };
  const thrown = await assertRejects(() => session.decode(on, { steps: 4, sampling, onTokens: thrower }), Error);
  assertEquals([thrown === stop, calls, engine.begun], [true, 2, 3]);
  assertEquals([session.tokens(0), session.tokens(2)], [[31, 30, 29, 28, 27, 26], [1, 2, 41, 40, 39, 38, 37, 36]]);
});

Deno.test("Session.decode begins no step after logits that are no numbers, and says where they were", async () => {
  const engine = new Picking(), session = new Session(engine, LIMITS), seen: number[][] = [];
  await session.feed({ slot: 1, tokens: [1, 2, 3], logits: "none" });
  engine.spoiled = new Set([39]);
  const entries = [{ slot: 0, token: 31 }, { slot: 1, token: 41 }], sampling = entries.map(() => GREEDY);
  const onTokens = (ids: Int32Array) => seen.push([...ids]) > 0;
  engine.asked.length = 0;
  const failure = await assertRejects(() => session.decode(entries, { steps: 5, sampling, onTokens }), FailureError);
  assertEquals(failure.message.split(";")[0], "logits of position 5, token 9: expected numbers, got NaN or Infinity");
  assertEquals([engine.begun, seen], [3, [[30, 40], [29, 39], [28, ~9]]]);
  assertEquals([session.tokens(0), session.tokens(1)], [[31, 30, 29], [1, 2, 3, 41, 40, 39]]);
  // The step that gave them, and then that sequence from its beginning.
  const step = [...sequence(0, 2, [29]), ...sequence(1, 5, [39])];
  assertEquals(engine.asked.slice(1), [step, sequence(1, 0, [1, 2, 3, 41]), sequence(1, 4, [40, 39])]);
});

Deno.test("Session has an engine pick, generate and score what it can and what has room", async () => {
  const engine = new Picking(), session = new Session(engine, LIMITS), plain = new Session(new Noted(), LIMITS);
  const last = (...slots: number[]) => slots.map((slot) => ({ slot, token: 1 }));
  const can = (
    session: Session,
    slots: number[],
  ) => [session.canDecode(last(...slots)), session.canScore(last(...slots))];
  assertEquals([can(session, [0]), can(session, [0, 1, 2]), can(session, [0, 1, 2, 3])], [
    ...[[true, true], [false, false], [true, true]],
  ]);
  assertEquals(new Session(engine, { ...LIMITS, maxTokens: 1 }).canDecode(last(0, 1)), false);
  engine.scores = false;
  assertEquals([can(session, [0]), can(plain, [0])], [[true, false], [false, false]]);
  assertEquals([session.canPick(2), session.canPick(3), plain.canPick(1)], [true, false, false]);
  await session.feed({ slot: 1, tokens: Array(11).fill(1), logits: "none" });
  assertEquals(can(session, [0, 1]), [true, false]);
  await session.feed({ slot: 1, tokens: [1], logits: "none" });
  assertEquals([session.canDecode(last(0, 1)), session.canDecode(last(0))], [false, true]);
});

Deno.test("Session.pretend makes a sequence just so long, by parts of a batch, and never shorter", async () => {
  for (const pretends of [false, true]) {
    const engine: Noted & Pick<Engine, "pretend"> = new Noted(), session = new Session(engine, LIMITS);
    if (pretends) engine.pretend = (batch) => engine.note(batch);
    await session.feed({ slot: 2, tokens: [7], logits: "none" });
    await session.pretend(2, 11);
    assertEquals([session.length(2), session.length(0)], [11, 0]);
    await session.pretend(2, 11);
    await session.pretend(2, 5);
    // What was made up is known like all else: a sequence is compared with it, and copied.
    assertEquals(session.tokens(2), [7, ...Array(10).fill(0)]);
    const zeros = (first: number, count: number) => sequence(2, first, Array(count).fill(0));
    assertEquals(engine.asked, [sequence(2, 0, [7]), zeros(1, 4), zeros(5, 4), zeros(9, 2)]);
  }
});

Deno.test("Session takes no batch without tokens, nor one of more than it has room for", async () => {
  const engine = new Picking(), session = new Session(engine, LIMITS), one = { slot: 0, tokens: [1, 2] };
  const refuses = async (feeds: Parameters<Session["run"]>[0], tokens: number) => {
    const line = `a batch has ${tokens} tokens, expected 1 to 4`;
    await assertRejects(() => session.run(feeds), RangeError, line);
    await assertRejects(() => session.pick(feeds, () => {}), RangeError, line);
  };
  await refuses([], 0);
  await refuses([{ ...one, tokens: [], logits: "all" }], 0);
  await refuses([{ ...one, logits: "none" }, { slot: 1, tokens: [1, 2, 3], logits: "last" }], 5);
  assertEquals([engine.asked, session.length(0)], [[], 0]);
});

Deno.test("logits that are no numbers are traced though a sequence gave its first pages back", async () => {
  const { session, engine } = openPaged({ slots: 2, context: 640, maxTokens: 64, pages: 20 });
  const tokens = Array.from({ length: 84 }, (_, i) => i % 7), compute = engine.compute.bind(engine);
  await session.feed({ slot: 1, tokens, logits: "none" });
  // The token at 84 no longer sees the first 64, and another sequence has that page next.
  await session.step([{ slot: 1, token: 4 }], () => {});
  tokens.push(4);
  const other = Array.from({ length: 130 }, (_, i) => i % 5);
  await session.feed({ slot: 0, tokens: other, logits: "none" });
  engine.compute = (batch, rows, onRow) => {
    engine.compute = compute;
    return compute(batch, rows, (row) => onRow(row, Float32Array.of(0, NaN)));
  };
  const before = engine.computed;
  const failure = await assertRejects(() => session.feed({ slot: 1, tokens: [5], logits: "last" }), FailureError);
  assertEquals(failure.message.split(";")[0], "logits of position 85, token 1: expected numbers, got NaN");
  assertEquals([engine.computed - before, session.tokens(1)], [1 + 1 + 86, [...tokens, 5]]);
  const next: number[] = [];
  for (const slot of [0, 1]) {
    await session.step([{ slot, token: 9 }], (_index, logits) => next.push(logits.indexOf(8)));
  }
  assertEquals(next, [nextOf([...other, 9]), nextOf([...tokens, 5, 9])]);
});

Deno.test("pages that were reserved for steps are given back where these end sooner", async () => {
  const { session } = openPaged({ slots: 2, context: 640, maxTokens: 64, pages: 20 }, true), used: number[] = [];
  const onTokens = (_ids: Int32Array, step: number) => {
    used.push(session.paging.use!.used);
    return step < 2;
  };
  await session.decode([{ slot: 0, token: 1 }], { steps: 500, sampling: [GREEDY], onTokens });
  assertEquals([used, session.paging.use!.used, session.length(0)], [[16, 16, 16], 2, 3]);
});

Deno.test("a sequence that is taken back gives pages back at once", async () => {
  const { session } = openPaged({ slots: 2, context: 640, maxTokens: 64, pages: 20, rewind: 200 });
  await session.feed({ slot: 0, tokens: Array(200).fill(1), logits: "none" });
  assertEquals([session.paging.use!.used, session.rewind(0, [...Array(60).fill(1), 2])], [8, 60]);
  assertEquals(session.paging.use!.used, 2);
});
