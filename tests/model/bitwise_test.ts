/**
 * The emulate backend gives the same bits however a sequence is cut, however many threads work, and wherever the
 * weights lie.
 */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { openEmulate } from "../../src/backends/emulate/open.ts";
import { LocalEngine } from "../../src/model/engine.ts";
import { GptOss, workspace } from "../../src/model/gpt_oss.ts";
import { Session } from "../../src/session/session.ts";
import { assert, assertEquals } from "../assert.ts";
import { integers, readGolden } from "../golden.ts";
import { dose, SOAK } from "../soak.ts";
import { logitsOf, openTiny, TINY } from "./tiny.ts";

const ids = integers(readGolden("logits.safetensors"), "two_turns.ids");

/** Exact comparison: NaN payloads and signs of zero count. */
function assertSameBits(a: Float32Array, b: Float32Array, message: string): void {
  const left = new Uint32Array(a.buffer, a.byteOffset, a.length),
    right = new Uint32Array(b.buffer, b.byteOffset, b.length);
  const at = left.findIndex((x, i) => x !== right[i]);
  assertEquals(at, -1, `${message}: differs from element ${at} on`);
}

for (const dtype of ["bf16", "f32"] as const) {
  Deno.test(`emulate in ${dtype} gives the same bits in chunks of 1, 7, 128 and whole`, async () => {
    let first: Float32Array | undefined;
    const some = ids.slice(0, dose(140, Infinity));
    // Outside a soak single tokens in one dtype, pieces in the other.
    const sizes = SOAK ? [1, 7, 128] : dtype === "bf16" ? [1, 128] : [7];
    for (const maxTokens of [some.length, ...sizes]) {
      const session = await openTiny({ dtype, maxTokens });
      const logits = await logitsOf(session, some);
      await session.close();
      assert(logits.some((x) => x !== 0));
      if (first) assertSameBits(logits, first, `chunks of ${maxTokens}`);
      first ??= logits;
    }
  });

  Deno.test(`emulate in ${dtype} gives the same bits with 1, 2 and 5 threads, mapped and read`, async () => {
    let first: Float32Array | undefined;
    for (const threads of [1, 2, 5]) {
      // Outside a soak by turns.
      const ways = SOAK || threads === 1
        ? ["map", "read"] as const
        : threads === 2
        ? ["read"] as const
        : ["map"] as const;
      for (const weights of ways) {
        const session = await openTiny({ dtype, threads, weights });
        const logits = await logitsOf(session, ids.slice(0, dose(72, Infinity)));
        await session.close();
        if (first) assertSameBits(logits, first, `${threads} threads, ${weights}`);
        first ??= logits;
      }
    }
  });
}

Deno.test("emulate gives the same bits when the layers are spread over several memories", async () => {
  const { config, source } = await openCheckpoint(TINY, {});
  const limits = { slots: 1, context: 256, maxTokens: 16, vocab: config.vocab };
  const open = async (memoryCapacity?: number) => {
    const backend = await openEmulate(
      { source, config, dtype: "bf16", kvFormat: "bf16", ...limits, tensors: workspace(config, source) },
      { threads: 2, weights: "auto", ...(memoryCapacity ? { memoryCapacity } : {}) },
    );
    return new Session(new LocalEngine(new GptOss(backend, config), config.vocab), limits);
  };
  const one = await open(), many = await open(6 << 20);
  assert(/[2-9] memories/.test(many.engine.info.description), many.engine.info.description);
  assertSameBits(await logitsOf(many, ids), await logitsOf(one, ids), many.engine.info.description);
  await one.close();
  await many.close();
});

Deno.test("Session.run() gives the same bits for sequences that share batches as for one alone", async () => {
  const alone = await openTiny({ dtype: "bf16" });
  const expected = await logitsOf(alone, ids);
  await alone.close();
  const session = await openTiny({ dtype: "bf16", slots: 3, maxTokens: 24 });
  const { vocab } = session.limits;
  const got = [0, 1, 2].map(() => new Float32Array(expected.length));
  const at = [0, 0, 0];
  // Unequal pieces: one token of the first, up to 5 of the second, up to 18 of the third in each batch.
  while (at.some((a) => a < ids.length)) {
    const feeds = [1, 5, 18].flatMap((size, slot) => {
      const tokens = ids.slice(at[slot]!, at[slot]! + size);
      at[slot]! += tokens.length;
      return tokens.length ? [{ slot, tokens, logits: "all" as const }] : [];
    });
    await session.run(feeds, (index, position, logits) => got[feeds[index]!.slot]!.set(logits, position * vocab));
  }
  await session.close();
  got.forEach((logits, slot) => assertSameBits(logits, expected, `slot ${slot}`));
});

Deno.test("Session.fork() continues a copied sequence as the original", async () => {
  const session = await openTiny({ dtype: "bf16", slots: 2 });
  const { vocab } = session.limits;
  const expected = await logitsOf(session, ids);
  session.reset(0);
  await session.feed({ slot: 0, tokens: ids.slice(0, 170), logits: "none" });
  session.fork(0, 1);
  await session.feed({ slot: 0, tokens: [5, 6, 7], logits: "none" });
  const rest = new Float32Array((ids.length - 170) * vocab);
  await session.feed({ slot: 1, tokens: ids.slice(170), logits: "all" }, (position, logits) => {
    rest.set(logits, (position - 170) * vocab);
  });
  await session.close();
  assertSameBits(rest, expected.subarray(170 * vocab), "after the fork");
});

Deno.test("emulate holds no more weight bytes than the file has, within 10 %", async () => {
  const bytes = Deno.statSync(`${TINY}/model.safetensors`).size;
  for (const weights of ["map", "read"] as const) {
    const session = await openTiny({ weights });
    const held = session.engine.info.weightBytes;
    await session.close();
    assert(held <= 1.1 * bytes && held >= 0.9 * bytes, `${weights}: ${held} bytes held for a file of ${bytes}`);
  }
});

Deno.test("Session.rewind() goes on from what two sequences have in common with the same bits", async () => {
  // Enough for the ring of a sliding layer to come round, which holds its window, a batch and what is taken back.
  const sequence = ids.slice(0, dose(190, ids.length)),
    parts = 150,
    { vocab } = (await openCheckpoint(TINY, {})).config;
  const other = [...sequence.slice(0, parts), ...sequence.slice(parts).map((id) => (id + 1) % vocab)];
  const session = await openTiny({ maxTokens: 16, rewind: 50 });
  await session.feed({ slot: 0, tokens: other.slice(0, 199), logits: "none" });
  assertEquals(session.rewind(0, sequence), parts);
  const rest = new Float32Array((sequence.length - parts) * vocab);
  const onLogits = (position: number, logits: Float32Array) => rest.set(logits, (position - parts) * vocab);
  await session.feed({ slot: 0, tokens: sequence.slice(parts), logits: "all" }, onLogits);
  // What is computed last is computed again; further back than what was set aside is the beginning.
  assertEquals(session.rewind(0, sequence), sequence.length - 1);
  assertEquals(session.rewind(0, sequence.slice(0, 100)), 0);
  const whole = await logitsOf(session, sequence);
  assertEquals(session.rewind(0, [sequence[0]! + 1]), 0);
  await session.close();
  assertSameBits(rest, whole.subarray(parts * vocab), "after the rewind");
});
