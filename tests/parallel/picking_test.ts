/** The one rank of a session with a thread of its own, which chooses tokens and computes on meanwhile. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { planModel } from "../../src/plan/planned.ts";
import { argmax } from "../../src/session/likelihood.ts";
import type { Session } from "../../src/session/session.ts";
import { assert, assertEquals, assertRejects } from "../assert.ts";
import { openSession } from "../session/open_session.ts";
import { TINY } from "../model/tiny.ts";

const PLAN = { dtype: "bf16", kvCacheDtype: "auto" } as const;
const GREEDY = { temperature: 0, topP: 1, topK: 0, uniforms: new Float32Array(0) };
const SLOTS = [0, 1, 2], FIRST = [5, 600, 7], sampling = SLOTS.map(() => GREEDY);
const last = SLOTS.map((slot) => ({ slot, token: FIRST[slot]! }));

const open = (apart: boolean, dir: string = TINY) =>
  openSession(openCheckpoint(dir), { ...PLAN, backend: "emulate", threads: 1, slots: 3, context: 64, apart });

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
  const onTokens = (stop: () => boolean) => (ids: Int32Array) => {
    got.push([...ids]);
    return !stop();
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
