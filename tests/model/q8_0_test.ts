/**
 * The embedded model with Q8_0 inputs, against logits of another implementation (tests/goldens/logits.safetensors).
 *
 * Q8_0 changes logits by a quarter of what MXFP8 does, and a code by which two implementations differ, because a last
 * bit before it does, is a visible part of that for the token and those after it. So positions are held one by one, and
 * most of them must agree.
 */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { median } from "../../src/median.ts";
import type { BackendName } from "../../src/session/setting.ts";
import { assert } from "../assert.ts";
import { floats, integers, readGolden } from "../golden.ts";
import { openSession } from "../session/open_session.ts";
import { argmaxAgreement, logitsOf, rmsDistance, TINY } from "./tiny.ts";

const goldens = readGolden("logits.safetensors");
const ids = integers(goldens, "two_turns.ids"), golden = floats(goldens, "two_turns.w_mxfp4_a_q8_0");
const weightOnly = floats(goldens, "two_turns.w_mxfp4").subarray(-golden.length);

async function logitsUnder(scheme: string, backend: BackendName): Promise<Float32Array> {
  const options = { dtype: "f32", kvCacheDtype: "auto", scheme, context: 256, threads: 2, backend } as const;
  const session = await openSession(openCheckpoint(TINY), options);
  try {
    return (await logitsOf(session, ids)).subarray(-golden.length);
  } finally {
    await session.close();
  }
}

/** The distance of half of the positions, in parts of what the scheme itself changes there, is at most this. */
function typicalDistance(logits: Float32Array, vocab: number): number {
  const row = (values: Float32Array, i: number) => values.subarray(i * vocab, (i + 1) * vocab);
  return median(Array.from({ length: golden.length / vocab }, (_, i) => {
    return rmsDistance(row(logits, i), row(golden, i)) / rmsDistance(row(weightOnly, i), row(golden, i));
  }));
}

for (const backend of ["emulate", "reference"] as const) {
  Deno.test(`${backend} computes the golden logits of w_mxfp4_a_q8_0 at most positions`, async () => {
    const logits = await logitsUnder("w_mxfp4_a_q8_0", backend), vocab = openCheckpoint(TINY).config.vocab;
    const distance = typicalDistance(logits, vocab);
    assert(distance <= 0.05, `${distance} of the scheme's own effect at a typical position`);
    assert(argmaxAgreement(logits, golden, vocab) >= 0.98);
  });
}

Deno.test("the golden logits of w_mxfp4_a_q8_0 are not those of the next finer and coarser schemes", async () => {
  const { vocab } = openCheckpoint(TINY).config;
  for (const scheme of ["w_mxfp4", "w_mxfp4_a_mxfp8"]) {
    assert(typicalDistance(await logitsUnder(scheme, "emulate"), vocab) > 0.9, scheme);
  }
});
