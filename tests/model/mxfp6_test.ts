/**
 * Storing MXFP4 weights in MXFP6 loses nothing (tests/quantize/lossless_test.ts), so the embedded model must give the
 * very same logits from either, whatever happens to the inputs.
 */
import { type Checkpoint, openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import type { Dtype } from "../../src/formats/format.ts";
import { openSession } from "../session/open_session.ts";
import type { BackendName } from "../../src/session/setting.ts";
import { planModel } from "../../src/plan/planned.ts";
import type { TargetScheme } from "../../src/quantize/targets.ts";
import { assert, assertEquals } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { floats, integers, readGolden } from "../golden.ts";
import { run } from "../quantize/run.ts";
import { dose } from "../soak.ts";
import { logitsOf, TINY } from "./tiny.ts";

const goldens = readGolden("logits.safetensors");
const ids = integers(goldens, "two_turns.ids").slice(0, dose(24, Infinity));
const embedded = openCheckpoint(TINY);

/** Calibrated scales by module, the same for all experts of a layer: [layer][gate_up, down] in the goldens. */
const scales = new Map(
  embedded.source.tree.layers.flatMap(({ gateUp, down }, layer) =>
    [gateUp, down].flatMap((linears, gemm) =>
      linears.map(({ module }): [string, number] => [
        module!,
        floats(goldens, "static_input_scale")[2 * layer + gemm]!,
      ])
    )
  ),
);

const SETTINGS: readonly [BackendName, Dtype, tokens: number][] = [
  ["emulate", "bf16", ids.length],
  ["emulate", "f32", ids.length],
  ["reference", "bf16", dose(2, 4)],
];

/** With MXFP6 weights, and with MXFP4 weights. */
const PAIRS: readonly [six: TargetScheme, four: TargetScheme][] = [
  ["w_mxfp6_e3m2", "w_mxfp4"],
  ["w_mxfp6_e3m2_a_mxfp6_e3m2", "w_mxfp4_a_mxfp6_e3m2"],
  ["w_mxfp6_e3m2_a_fp8", "w_mxfp4_a_fp8"],
  ["w_mxfp6_e2m3", "w_mxfp4"],
  ["w_mxfp6_e2m3_a_mxfp6_e2m3", "w_mxfp4_a_mxfp6_e2m3"],
  ["w_mxfp6_e2m3_a_fp8", "w_mxfp4_a_fp8"],
];

/** Bits of the logits in each of the settings. */
async function computed(checkpoint: Checkpoint, scheme: TargetScheme): Promise<Uint32Array[]> {
  const all: Uint32Array[] = [];
  for (const [backend, dtype, tokens] of SETTINGS) {
    const formats = { dtype, kvCacheDtype: "auto" } as const;
    // A written checkpoint says by itself what it is; its own scales count.
    const planned = checkpoint === embedded
      ? planModel(checkpoint, { ...formats, scheme, inputScales: scales })
      : planModel(checkpoint, formats);
    assertEquals([planned.plan.scheme, planned.plan.warnings], [scheme, []]);
    const session = await openSession(checkpoint, { ...formats, planned, backend, context: tokens, threads: 2 });
    const logits = await logitsOf(session, ids.slice(0, tokens));
    await session.close();
    assert(logits.every(Number.isFinite) && logits.some((x) => x !== 0));
    all.push(new Uint32Array(logits.buffer));
  }
  return all;
}

const withMxfp4 = new Map<TargetScheme, Promise<Uint32Array[]>>();

for (const [six, four] of PAIRS) {
  Deno.test(`the embedded model in ${six} gives the very logits of ${four}`, async () => {
    if (!withMxfp4.has(four)) withMxfp4.set(four, computed(embedded, four));
    const expected = await withMxfp4.get(four)!;
    using dir = new TemporaryDirectory();
    await run(embedded, dir.path, six, { scales });
    const got = await computed(openCheckpoint(dir.path), six);
    SETTINGS.forEach(([backend, dtype], i) => {
      const at = got[i]!.findIndex((bits, j) => bits !== expected[i]![j]);
      assertEquals([at, got[i]!.length], [-1, expected[i]!.length], `${backend} in ${dtype}`);
    });
  });
}

Deno.test("the embedded model's schemes with different inputs give different logits", async () => {
  const all = await Promise.all([...withMxfp4.values()]);
  assertEquals(all.length, 4);
  SETTINGS.forEach((_, i) => {
    const different = new Set(all.map((settings) => settings[i]!.join()));
    assertEquals(different.size, all.length);
  });
});
