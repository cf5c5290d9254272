/** What a caller changes after a call began changes nothing of what it computes. */
import { openCheckpoint } from "../../src/library/checkpoint.ts";
import { InputError } from "../../src/library/errors.ts";
import { openSession } from "../../src/library/session.ts";
import { assert, assertEquals, assertRejects } from "../assert.ts";
import { TINY } from "../text/goldens.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { writeRandomCheckpoint } from "../../tools/random_checkpoint.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";

const IDS = Array.from({ length: 24 }, (_, i) => i * 7);
/** The bytes of logits, row after row, in few characters. */
const bytesOf = (rows: readonly Float32Array[]) =>
  rows.map((row) => new Uint8Array(row.slice().buffer).toBase64()).join();

for (const backend of ["emulate", "reference"] as const) {
  Deno.test(`library: ${backend} computes the tokens that it was given, whatever becomes of their array`, async () => {
    using dir = new TemporaryDirectory();
    writeRandomCheckpoint(dir.path, { shape: SHAPES.tiny, layout: "hf_mxfp4", seed: 3 });
    await using session = await openSession(openCheckpoint(dir.path), { context: 32, chunk: 4, backend });
    const expected = bytesOf(await session.logits(IDS));
    const firstOf = async (ids: ArrayLike<number>, change: () => void) => {
      const reply = session.generate(ids, { maxTokens: 1 }), first = reply.next();
      change();
      const { value } = await first;
      await reply.return(undefined as never);
      return value;
    };
    const token = await firstOf(IDS, () => {});
    const shared = new Int32Array(new SharedArrayBuffer(4 * IDS.length));
    for (const ids of [Int32Array.from(IDS), shared, [...IDS]]) {
      ids instanceof Int32Array && ids.set(IDS);
      const logits = session.logits(ids);
      ids.fill(9);
      assert(bytesOf(await logits) === expected);
      IDS.forEach((id, i) => ids[i] = id);
      assertEquals(await firstOf(ids, () => ids.fill(9)), token);
    }
    const shorter = [...IDS], logits = session.logits(shorter);
    shorter.length = 3;
    assert(bytesOf(await logits) === expected);
  });
}

Deno.test("library: a bias that is changed while a reply is generated stays what it was", async () => {
  await using session = await openSession(openCheckpoint(TINY), { context: 32 });
  const replyTo = async (logitBias: Map<number, number>, change: () => void) => {
    const ids: number[] = [];
    for await (const id of session.generate(IDS, { logitBias, stopIds: [], maxTokens: 5 })) {
      ids.push(id);
      change();
    }
    return ids;
  };
  const expected = await replyTo(new Map([[5, 0.5]]), () => {}), bias = new Map([[5, 0.5]]);
  assertEquals(await replyTo(bias, () => bias.set(7, 1000).set(8, NaN)), expected);
});

Deno.test("library: a sequence without room is refused before any of it is computed", async () => {
  await using session = await openSession(openCheckpoint(TINY), { context: 16, chunk: 4, backend: "reference" });
  const long = new Array(17).fill(1), stray = [...new Array(15).fill(1), 5000];
  for (const ids of [long, stray]) {
    // Nothing is waited for but the refusal.
    const refused = session.logits(ids).then(() => "computed", (thrown) => thrown instanceof InputError);
    let turns = 0;
    const counted = (async () => {
      while (turns < 5) await Promise.resolve(turns++);
      return "later";
    })();
    assertEquals(await Promise.race([refused, counted]), true);
    await assertRejects(() => session.generate(ids).next(), InputError);
  }
});

Deno.test("library: what a caller changes in a checkpoint's config is not what is computed", async () => {
  const checkpoint = openCheckpoint(TINY), { vocab } = checkpoint.config;
  const config = checkpoint.config as { -readonly [Name in keyof typeof checkpoint.config]: unknown };
  config.vocab = 5;
  (config.sliding as boolean[]).fill(false);
  (checkpoint.warnings as string[]).push("mine");
  await using changed = await openSession(checkpoint, { context: 256, threads: 1 });
  await using expected = await openSession(openCheckpoint(TINY), { context: 256, threads: 1 });
  const ids = Array.from({ length: 200 }, (_, i) => (37 * i) % vocab);
  assertEquals(bytesOf(await changed.logits(ids)), bytesOf(await expected.logits(ids)));
});
