/** The one rank of a session with a thread of its own, which chooses tokens and computes on meanwhile. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { planModel } from "../../src/plan/planned.ts";
import { generate } from "../../src/session/generate.ts";
import { argmax } from "../../src/session/likelihood.ts";
import { Sampler } from "../../src/session/sampler.ts";
import type { Session } from "../../src/session/session.ts";
import { assert, assertEquals, assertRejects } from "../assert.ts";
import { openSession, type SessionOptions } from "../session/open_session.ts";
import { TINY } from "../model/tiny.ts";

const PLAN = { dtype: "bf16", kvCacheDtype: "auto" } as const;
const GREEDY = { temperature: 0, topP: 1, topK: 0, uniforms: new Float32Array(0) };
const SLOTS = [0, 1, 2], FIRST = [5, 600, 7], sampling = SLOTS.map(() => GREEDY);
const last = SLOTS.map((slot) => ({ slot, token: FIRST[slot]! }));

const open = (apart: boolean, dir: string = TINY, room: Partial<SessionOptions> = {}) =>
  openSession(openCheckpoint(dir), { ...PLAN, backend: "emulate", threads: 1, slots: 3, context: 64, apart, ...room });

/** Tokens of each sequence, by logits. */
async function byLogits(session: Session, steps: number): Promise<number[][]> {
  let entries = last;
  const all: number[][] = [];
  for (let step = 0; step < steps; step++) {
    const next: number[] = [];
    await session.step(entries, (_i, logits) => next.push(argmax(logits)));
    all.push(next);
    entries = SLOTS.map((slot) => ({ slot, token: next[slot]! }));
  }
  return all;
}

/** Copies the embedded model with NaN in the embedding of a token. */
function spoil(token: number): string {
  const dir = Deno.makeTempDirSync({ prefix: "mxoss-test-" });
  for (const name of ["config.json", "model.safetensors", "tokenizer.json"]) {
    Deno.copyFileSync(`${TINY}/${name}`, `${dir}/${name}`);
  }
  const { source } = planModel(openCheckpoint(dir), PLAN);
  const { offset, rowStride } = source.tree.embedding;
  using file = Deno.openSync(`${dir}/model.safetensors`, { write: true });
  file.seekSync(offset + token * rowStride, Deno.SeekMode.Start);
  file.writeSync(Uint8Array.of(0xc0, 0x7f));
  return dir;
}

Deno.test("a rank that chooses tokens chooses the likeliest, and stops where it is told", async () => {
  const plain = await open(false), expected = await byLogits(plain, 12);
  await plain.close();
  const session = await open(true), got: number[][] = [];
  const onTokens = (stop: () => boolean) => async (ids: Int32Array) => {
    got.push([...ids]);
    if (!stop()) return true;
    // The step that it may begin meanwhile is done by then.
    await new Promise((resolve) => setTimeout(resolve, 100));
    return false;
  };
  // What it had begun is dropped, handed out, or handed out because of a signal.
  assertEquals(await session.decode(last, { steps: 12, sampling, onTokens: onTokens(() => got.length === 3) }), 3);
  const goOn = () => SLOTS.map((slot) => ({ slot, token: got.at(-1)![slot]! }));
  const drained = await session.decode(goOn(), {
    ...{ steps: 9, sampling, drains: true },
    onTokens: onTokens(() => got.length === 5),
  });
  assert(drained >= 2 && drained <= 4, `${drained} steps`);
  const stop = new AbortController();
  const stopped = await session.decode(goOn(), {
    ...{ steps: 12 - got.length, sampling, drains: true, signal: stop.signal },
    onTokens: onTokens(() => {
      stop.abort();
      return false;
    }),
  });
  assert(stopped >= 1 && stopped <= 3, `${stopped} steps`);
  if (got.length < 12) {
    await session.decode(goOn(), {
      steps: 12 - got.length,
      sampling,
      onTokens: onTokens(() => false),
    });
  }
  assertEquals(got, expected.slice(0, got.length));
  assertEquals(session.length(0), got.length);
  await session.close();
});

Deno.test("a rank that chooses tokens says whose logits are no numbers, and goes on with the others", async () => {
  const plain = await open(false), expected = await byLogits(plain, 1);
  await plain.close();
  const dir = spoil(FIRST[1]!), session = await open(true, dir), got: number[][] = [];
  const onTokens = (ids: Int32Array) => got.push([...ids]) > 0;
  await assertRejects(
    () => session.decode(last, { steps: 4, sampling, onTokens }),
    Error,
    "logits of position 0, token 0: expected numbers",
  );
  assertEquals(got[0]!.map((id) => Math.max(-1, id)), expected[0]!.with(1, -1));
  await session.close();
  Deno.removeSync(dir, { recursive: true });
});

Deno.test("a rank that chooses tokens draws what a sampler draws, also at the ends of what may be asked", async () => {
  const options = [
    { temperature: 0.8, topP: 0.9, topK: 20 },
    { temperature: 1, topP: 1e-50 },
    { temperature: 1e39 },
    { temperature: 1e-46 },
    { temperature: 1, topP: 1 - 1e-12, topK: Number.MAX_SAFE_INTEGER },
  ];
  const drawn = async (apart: boolean) => {
    const session = await open(apart), all: number[][] = [];
    for (const one of options) {
      session.reset(0);
      const picker = new Sampler({ ...one, seed: 5 });
      const run = generate({ session, slot: 0, prompt: FIRST, picker, stopIds: new Set(), maxTokens: 8 });
      all.push(await Array.fromAsync(run));
    }
    await session.close();
    return all;
  };
  assertEquals(await drawn(true), await drawn(false));
});

Deno.test("a rank draws for more sequences than have logits at once", async () => {
  const slots = Array.from({ length: 40 }, (_, slot) => slot), steps = 3;
  // Some of them greedily, among others that draw.
  const pickers = () => slots.map((slot) => new Sampler({ temperature: slot % 3 / 2, seed: slot }));
  const entries = slots.map((slot) => ({ slot, token: 5 + slot })), room = { slots: slots.length };
  const plain = await open(false, TINY, room), samplers = pickers(), expected: number[][] = [];
  for (let now = entries; expected.length < steps;) {
    const next: number[] = [];
    await plain.step(now, (i, logits) => next[i] = samplers[i]!.sample(logits));
    expected.push(next);
    now = slots.map((slot) => ({ slot, token: next[slot]! }));
  }
  await plain.close();
  const session = await open(true, TINY, room), got: number[][] = [];
  const sampling = pickers().map((picker) => picker.sampling!(steps));
  await session.decode(entries, { steps, sampling, onTokens: (ids) => got.push([...ids]) > 0 });
  assertEquals(got, expected);
  await session.close();
});

Deno.test("generate() ends at a stop token that a rank chose, or where nobody wants more, and goes on", async () => {
  const said = async (apart: boolean, stops: readonly number[], wanted: number) => {
    const session = await open(apart), picker = new Sampler({ temperature: 0.8, seed: 7 }), all: unknown[] = [];
    const run = (prompt: number[], maxTokens: number) =>
      generate({ session, slot: 0, prompt, picker, stopIds: new Set(stops), maxTokens });
    const first = run(FIRST, 30), ids: number[] = [];
    for (let next = await first.next();; next = await first.next()) {
      if (next.done) {
        all.push(next.value.reason, next.value.timings.generatedTokens);
        break;
      }
      if (ids.push(next.value) === wanted) {
        await first.return(undefined as never);
        break;
      }
    }
    all.push(ids, session.tokens(0));
    // The numbers that it draws next are those after the last token's.
    all.push(await Array.fromAsync(run([9], 5)), session.tokens(0));
    await session.close();
    return all;
  };
  const [, , ids] = await said(false, [], Infinity) as [unknown, unknown, number[]];
  const stop = ids.findIndex((id, i) => i >= 3 && !ids.slice(0, i).includes(id));
  assert(stop > 0 && stop < 20, `${ids}`);
  for (const [stops, wanted] of [[[ids[stop]!], Infinity], [[], 4], [[], 1]] as const) {
    const alone = await said(false, stops, wanted), engine = await said(true, stops, wanted);
    if (wanted === Infinity) assertEquals(alone.slice(0, 3), ["stop", stop + 1, ids.slice(0, stop + 1)]);
    assertEquals(engine, alone, `${wanted}`);
  }
});

Deno.test("a sequence goes on from what was generated when whoever takes its tokens throws", async () => {
  // Small batches, and more steps than the ring of a sliding layer holds: what it had before is gone.
  const session = await open(true, TINY, { slots: 1, context: 320, maxTokens: 2 });
  const plain = await open(false, TINY, { slots: 1, context: 320 });
  await session.feed({ slot: 0, tokens: FIRST, logits: "none" });
  const onTokens = (_ids: Int32Array, step: number) => {
    if (step === 199) throw new Error("enough");
    return true;
  };
  const run = () => session.decode([last[0]!], { steps: 300, sampling: [GREEDY], drains: true, onTokens });
  await assertRejects(run, Error, "enough");
  const tokens = session.tokens(0), logits: Float32Array[] = [];
  assert(tokens.length >= FIRST.length + 200);
  assertEquals(tokens.slice(0, FIRST.length + 1), [...FIRST, FIRST[0]!]);
  const keep = (_position: number, row: Float32Array) => logits.push(row.slice());
  await session.feed({ slot: 0, tokens: [9, 8, 7], logits: "last" }, keep);
  await plain.feed({ slot: 0, tokens: [...tokens, 9, 8, 7], logits: "last" }, keep);
  assertEquals(logits[0], logits[1]);
  await session.close();
  await plain.close();
});
