/**
 * The embedded model against Hugging Face's implementation in float32 and bf16 (tests/goldens/logits.safetensors,
 * written by models/tiny-gpt-oss/training/golden.py).
 */
import type { BackendName } from "../../src/session/setting.ts";
import { generate } from "../../src/session/generate.ts";
import { Sampler } from "../../src/session/sampler.ts";
import { assert, assertEquals } from "../assert.ts";
import { floats, integers, readGolden } from "../golden.ts";
import { SOAK } from "../soak.ts";
import { argmaxAgreement, argmaxRows, logitsOf, maxDifference, openTiny, rmsDistance } from "./tiny.ts";

const goldens = readGolden("logits.safetensors");
const backends: BackendName[] = ["emulate", "reference"];
const DTYPES = ["f32", "bf16"] as const;
/**
 * The scalar backend, which takes a minute for the whole, computes outside a soak only how the reply in f32 begins:
 * tests/cli has it compute logits and the reply in bf16, and schemes_test.ts one of the longer cases.
 */
const whole = (backend: BackendName) => backend === "emulate" || SOAK;

for (const backend of backends) {
  for (const dtype of whole(backend) ? DTYPES : DTYPES.slice(0, 1)) {
    Deno.test(`${backend} in ${dtype} generates Hugging Face's greedy reply token for token`, async () => {
      const session = await openTiny({ backend, dtype });
      try {
        const all = integers(goldens, "greedy.reply"), reply = whole(backend) ? all : all.slice(0, 12);
        const tokens: number[] = [];
        const run = generate({
          session,
          slot: 0,
          prompt: integers(goldens, "greedy.prompt"),
          picker: new Sampler({ temperature: 0 }),
          stopIds: new Set([all.at(-1)!]),
          maxTokens: whole(backend) ? 120 : reply.length,
        });
        for await (const token of run) tokens.push(token);
        assertEquals(tokens, reply);
      } finally {
        await session.close();
      }
    });
  }

  if (!whole(backend)) continue;

  Deno.test(`${backend} in float32 computes Hugging Face's logits within 1e-3`, async () => {
    const session = await openTiny({ backend, dtype: "f32" });
    try {
      for (const name of ["one_turn", "two_turns", "long"]) {
        const golden = floats(goldens, `${name}.w_mxfp4`);
        const ids = integers(goldens, `${name}.ids`);
        const { vocab } = session.limits;
        const logits = (await logitsOf(session, ids)).subarray(ids.length * vocab - golden.length);
        const most = maxDifference(logits, golden);
        assert(most <= 1e-3, `${name}: max |difference| is ${most}`);
        assertEquals(argmaxRows(logits, vocab), argmaxRows(golden, vocab), name);
      }
    } finally {
      await session.close();
    }
  });

  Deno.test(`${backend} in bf16 is as near to float32 as Hugging Face's bf16`, async () => {
    const session = await openTiny({ backend, dtype: "bf16" });
    try {
      const golden = floats(goldens, "two_turns.w_mxfp4"), theirs = floats(goldens, "two_turns.w_mxfp4.bf16");
      const ids = integers(goldens, "two_turns.ids");
      const { vocab } = session.limits;
      const ours = (await logitsOf(session, ids)).subarray(ids.length * vocab - golden.length);
      const distance = rmsDistance(ours, golden), theirDistance = rmsDistance(theirs, golden);
      assert(distance <= 1.5 * theirDistance, `our RMS distance is ${distance}, Hugging Face's ${theirDistance}`);
      assert(distance > 0, "bf16 must differ from float32");
      assert(argmaxAgreement(ours, golden, vocab) >= 0.95);
    } finally {
      await session.close();
    }
  });
}
