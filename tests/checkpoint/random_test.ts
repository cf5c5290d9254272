import { randomCheckpoint } from "../../src/checkpoint/random/checkpoint.ts";
import { type RandomContents, randomFileBytes, readRandom } from "../../src/checkpoint/random/contents.ts";
import { type QuarkOptions, SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { assert, assertEquals } from "../assert.ts";
import { openSession } from "../session/open_session.ts";

Deno.test("readRandom() gives the same bytes however they are asked for", () => {
  const { source: { files: [file] } } = randomCheckpoint({ shape: SHAPES.tiny, layout: "hf_mxfp4" });
  const contents = file!.random!, whole = new Uint8Array(file!.bytes);
  assertEquals(randomFileBytes(contents), whole.length);
  readRandom(contents, 0, whole);
  // Data of a thread that got the contents by message.
  const copy: RandomContents = structuredClone(contents);
  for (let at = 0, step = 1; at < whole.length; at += step, step = (step * 5 + 3) % 70_001) {
    const part = new Uint8Array(Math.min(step, whole.length - at)).fill(0xaa);
    readRandom(copy, at, part);
    assertEquals(part, whole.subarray(at, at + part.length), `bytes from ${at} on`);
  }
  // Other tensors first: threads take ranges as they come.
  const last: RandomContents = structuredClone(contents), step = 50_000;
  for (let at = Math.floor(whole.length / step) * step; at >= 0; at -= step) {
    const part = new Uint8Array(Math.min(step, whole.length - at));
    readRandom(last, at, part);
    assertEquals(part, whole.subarray(at, at + part.length), `bytes from ${at} on, from the end`);
  }
  const different = new Set(whole.subarray(0, 4096));
  assert(different.size > 100, "random bytes are no pattern");
});

/** Everything that `mxoss bench` makes weights of. */
const MODELS: Readonly<
  Record<string, { layout: "hf_mxfp4" | "hf_bf16" | "quark"; quark?: QuarkOptions; scheme: string }>
> = {
  mxfp4: { layout: "hf_mxfp4", scheme: "w_mxfp4_a_mxfp4" },
  bf16: { layout: "hf_bf16", scheme: "bf16" },
  mxfp6: { layout: "quark", quark: { weights: "mxfp6_e2m3", experts: "fused" }, scheme: "w_mxfp6_e2m3" },
  fp8: { layout: "quark", quark: { weights: "fp8", experts: "fused", inputScales: true }, scheme: "fp8" },
  "fp8 by row": { layout: "quark", quark: { weights: "fp8_channel", experts: "fused" }, scheme: "ptpc_fp8" },
};

for (const [name, { scheme, ...model }] of Object.entries(MODELS)) {
  Deno.test(`random weights of ${name} are read by emulate and reference alike`, async () => {
    const checkpoint = randomCheckpoint({ shape: { ...SHAPES.tiny, layers: 1 }, ...model });
    const logits: Float32Array[] = [];
    for (const backend of ["emulate", "reference"] as const) {
      const session = await openSession(checkpoint, {
        ...{ backend, scheme, dtype: "f32", kvCacheDtype: "auto", context: 4 },
        ...(backend === "emulate" ? { threads: 1 } : {}),
      });
      await session.feed({ slot: 0, tokens: [1, 2, 3], logits: "last" }, (_, row) => logits.push(row.slice()));
      await session.close();
    }
    const [a, b] = logits as [Float32Array, Float32Array];
    const power = b.reduce((sum, v) => sum + v * v, 0), error = a.reduce((sum, v, i) => sum + (v - b[i]!) ** 2, 0);
    assert(power > 0 && error / power < 1e-6, `NMSE ${error / power}`);
  });
}
