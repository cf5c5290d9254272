/**
 * What AMD Quark itself exported (tests/goldens/quark/schemes.py) against the logits of its own forward pass: every
 * export is computed, or differs by as much as docs/schemes.md says, or is refused by name.
 */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { InputError } from "../../src/errors.ts";
import { planModel } from "../../src/plan/planned.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { EXPORTS, nmse, ourLogits, quarkLogits, unpack } from "./quark_exports.ts";

/**
 * Sums in another order bring some 1e-12 at most; one number rounded to another step of its format brings 1e-6 and
 * more.
 */
const TOLERANCE = 1e-10;

/** Exports whose logits are Quark's, and the scheme of their experts. */
const COMPUTED: Readonly<Record<string, string>> = {
  mxfp4: "w_mxfp4_a_mxfp4",
  mxfp4_weight_only: "w_mxfp4",
  mxfp6_e3m2: "w_mxfp6_e3m2_a_mxfp6_e3m2",
  mxfp6_e2m3: "w_mxfp6_e2m3_a_mxfp6_e2m3",
  mxfp4_mxfp6_e2m3: "w_mxfp4_a_mxfp6_e2m3",
  mxfp4_mxfp6_e3m2: "w_mxfp4_a_mxfp6_e3m2",
  mxfp4_mxfp8: "w_mxfp4_a_mxfp8",
  mxfp4_mxfp8_floor: "w_mxfp4_a_mxfp8",
  mxfp4_floor: "w_mxfp4_a_mxfp4",
  mxfp4_fp8: "w_mxfp4_a_fp8 with own scales",
  fp8: "fp8 with own scales",
  // Of models that were loaded as bfloat16: so are their scales.
  mxfp4_fp8_bfloat16: "w_mxfp4_a_fp8 with own scales",
  fp8_bfloat16: "fp8 with own scales",
  fp8_weight_only: "fp8_e4m3 weights, bf16 inputs",
  mixed: "w_mxfp4_a_mxfp4 + w_mxfp6_e3m2_a_mxfp6_e3m2",
  kv_fp8_post_rope: "w_mxfp4",
  smoothquant: "w_mxfp4_a_mxfp4",
  awq: "w_mxfp4_a_mxfp4",
  gptq: "w_mxfp4_a_mxfp4",
  rotation_offline: "w_mxfp4_a_mxfp4",
  rotation_online_32: "w_mxfp4_a_mxfp4 rotated by 32 + w_mxfp4_a_mxfp4",
  rotation_online_16: "w_mxfp4_a_fp8 rotated by 16 with own scales",
  rotation_online_full: "w_mxfp4_a_mxfp4 rotated by 64 + w_mxfp4_a_mxfp4",
  rotation_prescale: "w_mxfp4_a_mxfp4 rotated by 32 + w_mxfp4_a_mxfp4",
  rotation_trained: "w_mxfp4_a_mxfp4 + w_mxfp4_a_mxfp4 rotated by 16",
  rotation_shared: "w_mxfp4_a_mxfp4 rotated by 16",
  fake_mxfp4: "fake-quantized w_mxfp4_a_mxfp4",
  fake_fp8: "fake-quantized fp8 with own scales",
  fake_rotation: "fake-quantized w_mxfp4_a_mxfp4 rotated by 32 + fake-quantized w_mxfp4_a_mxfp4",
};

/** Exports that Quark computes otherwise, and the NMSE between both that docs/schemes.md has. */
const DIFFERENT: Readonly<Record<string, number>> = {
  ptpc_fp8: 0.0228,
  ptpc_fp8_bfloat16: 0.0146,
  kv_fp8: 0.0357,
  attention_fp8: 0.0413,
};

const TENSOR = "model.safetensors: tensor model.layers.0.self_attn.q_proj";
const REFUSED: Readonly<Record<string, string>> = {
  int8: `${TENSOR}.weight: expected U8, F8_E4M3, BF16, F16 or F32, got I8 [32, 64]`,
  uint4: `${TENSOR}.weight: expected U8, F8_E4M3, BF16, F16 or F32, got I32 [64, 4]`,
  int4_fp8: `${TENSOR}.weight: expected U8, F8_E4M3, BF16, F16 or F32, got I32 [32, 8]`,
  nvfp4: `${TENSOR}.weight_scale: expected U8 or F8_E8M0 [32, 2], got F8_E4M3 [32, 4]`,
  amdfp4: 'config.json: quantization_config.global_quant_config.weight.scale_format: expected e8m0, got "e5m3"',
};

Deno.test("every export of Quark's is computed, known to differ, or refused", () => {
  assertEquals(EXPORTS, [COMPUTED, DIFFERENT, REFUSED].flatMap((some) => Object.keys(some)).sort());
});

for (const [name, scheme] of Object.entries(COMPUTED)) {
  Deno.test(`Quark's export ${name} gives Quark's logits within NMSE ${TOLERANCE} in both backends`, async () => {
    const golden = quarkLogits(name);
    for (const backend of ["reference", "emulate"] as const) {
      const { logits, warnings, plan } = await ourLogits(name, { backend, fp8Scales: "own" });
      assertEquals([plan.scheme, warnings], [scheme, []]);
      const error = nmse(logits, golden);
      assert(error <= TOLERANCE, `${backend}: NMSE ${error}`);
    }
  });
}

for (const [name, expected] of Object.entries(DIFFERENT)) {
  Deno.test(`Quark's export ${name} differs from Quark's logits by the docs' NMSE, ${expected}`, async () => {
    // FP8 queries and probabilities are left out only where the cache's format is asked for.
    const { logits } = await ourLogits(name, name === "attention_fp8" ? { kvCacheDtype: "fp8" } : {});
    const error = nmse(logits, quarkLogits(name));
    assert(Math.abs(error / expected - 1) < 0.01, `NMSE ${error}`);
  });
}

Deno.test("a bf16 cache gives Quark's logits without a cache, whatever scales an FP8 one would have", async () => {
  // The same weights, exported with an FP8 cache and without.
  const golden = quarkLogits("mxfp4_weight_only"), errors: number[] = [];
  for (const backend of ["reference", "emulate"] as const) {
    const { logits } = await ourLogits("kv_fp8", { backend, kvCacheDtype: "bf16" });
    errors.push(nmse(logits, golden));
  }
  // Keys and values are rounded to bfloat16.
  assert(errors.every((error) => error < 1e-4), `NMSE ${errors}`);
});

for (const [name, expected] of [["mxfp4_fp8", 0.00218], ["fp8", 0.00404]] as const) {
  Deno.test(`--fp8-scales merged differs from Quark's logits of ${name} by the docs' NMSE, ${expected}`, async () => {
    for (const backend of ["reference", "emulate"] as const) {
      const { logits } = await ourLogits(name, { backend, fp8Scales: "merged" });
      const error = nmse(logits, quarkLogits(name));
      assert(Math.abs(error / expected - 1) < 0.01, `${backend}: NMSE ${error}`);
    }
  });
}

for (const name of ["ptpc_fp8", "ptpc_fp8_bfloat16"]) {
  Deno.test(`${name} gives Quark's logits where its experts' inputs have a scale per token`, async () => {
    for (const backend of ["reference", "emulate"] as const) {
      const error = nmse((await ourLogits(name, { backend })).logits, quarkLogits(name, "logits.per_token"));
      assert(error <= TOLERANCE, `${backend}: NMSE ${error}`);
    }
  });
}

Deno.test("experts' own scales and rotations give Quark's logits on several ranks", async () => {
  const cases = [["fp8", { tp: 2 }], ["mxfp4_fp8", { ep: 2 }], ["fp8", { tp: 2, ep: 2 }], ["rotation_prescale", {
    ep: 2,
  }]] as const;
  for (const [name, ranks] of cases) {
    const { logits } = await ourLogits(name, { backend: "emulate", fp8Scales: "own", ...ranks });
    const error = nmse(logits, quarkLogits(name));
    assert(error <= TOLERANCE, `${name}, ${JSON.stringify(ranks)}: NMSE ${error}`);
  }
});

Deno.test("both backends round alike in bf16 with rotated, fake-quantized and separately scaled inputs", async () => {
  for (const name of ["rotation_prescale", "rotation_online_16", "fake_fp8", "fp8"]) {
    const options = { dtype: "bf16", fp8Scales: "own" } as const;
    const reference = (await ourLogits(name, { ...options, backend: "reference" })).logits;
    const emulate = (await ourLogits(name, { ...options, backend: "emulate" })).logits;
    const between = nmse(emulate, reference), rounding = nmse(reference, quarkLogits(name));
    assert(between <= 0.2 * rounding, `${name}: NMSE ${between} between them, ${rounding} from float32`);
  }
});

Deno.test("what Quark 0.12 excludes as a router's linear is the router", () => {
  for (const name of ["mxfp4", "fake_mxfp4"]) {
    using dir = unpack(name);
    const planned = () => {
      const checkpoint = openCheckpoint(dir.path),
        { plan } = planModel(checkpoint, { dtype: "f32", kvCacheDtype: "auto" });
      const linears = plan.linears.map(({ decidedBy: _, ...linear }) => linear);
      return { linears, warnings: [...checkpoint.warnings, ...plan.warnings] };
    };
    const whole = planned(), path = `${dir.path}/config.json`;
    Deno.writeTextFileSync(path, Deno.readTextFileSync(path).replaceAll('.mlp.router"', '.mlp.router.linear"'));
    assertEquals(planned(), whole);
  }
});

Deno.test("a fake-quantized export gives Quark's logits though exclude names no router", async () => {
  // Quark never quantizes routers: no scale lies beside theirs.
  for (const name of ["fake_mxfp4", "fake_fp8"]) {
    const changed = (config: string) => config.replaceAll(/\s*"model\.layers\.\d\.mlp\.router",/g, "");
    const { logits, warnings } = await ourLogits(name, { backend: "emulate", fp8Scales: "own" }, changed);
    const error = nmse(logits, quarkLogits(name));
    assert(error <= TOLERANCE, `${name}: NMSE ${error}`);
    const [line, ...others] = warnings;
    assert(line!.endsWith("mlp.router and 1 more, but the tensors are not quantized; the tensors count"), line);
    assertEquals(others, []);
  }
});

for (const [name, line] of Object.entries(REFUSED)) {
  Deno.test(`Quark's export ${name} is refused by name`, () => {
    using dir = unpack(name);
    const thrown = assertThrows(
      () => planModel(openCheckpoint(dir.path), { dtype: "f32", kvCacheDtype: "auto" }),
      InputError,
    );
    assertEquals(thrown.message.replaceAll(`${dir.path}/`, ""), line);
  });
}
