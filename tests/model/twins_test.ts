/**
 * Schemes whose weights hold the very numbers of an MXFP4 checkpoint are twins of those with MXFP4 weights: the same
 * bits with every cache format and on any number of ranks, so that a table needs to measure one of them.
 */
import { type Checkpoint, openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { assert, assertEquals } from "../assert.ts";
import { floats, integers, readGolden } from "../golden.ts";
import { openSession, type SessionOptions } from "../session/open_session.ts";
import { dose } from "../soak.ts";
import { logitsOf, TINY } from "./tiny.ts";

const goldens = readGolden("logits.safetensors");
const ids = integers(goldens, "two_turns.ids").slice(0, dose(6, 16));
const embedded: Checkpoint = openCheckpoint(TINY);

/** Calibrated scales by module, the same for all experts of a layer: [layer][gate_up, down] in the goldens. */
const inputScales = new Map(
  embedded.source.tree.layers.flatMap(({ gateUp, down }, layer) =>
    [gateUp, down].flatMap((linears, gemm) =>
      linears.map(({ module }): [string, number] => [module!, floats(goldens, "static_input_scale")[2 * layer + gemm]!])
    )
  ),
);

type Scheme = NonNullable<SessionOptions["scheme"]>;

const TWINS: readonly [scheme: Scheme, of: Scheme][] = [
  ["w_mxfp6_e2m3_a_fp8", "w_mxfp4_a_fp8"],
  ["w_mxfp6_e3m2_a_fp8", "w_mxfp4_a_fp8"],
  ["bf16", "w_mxfp4"],
  ["w_mxfp6_e2m3", "w_mxfp4"],
  ["w_mxfp6_e3m2", "w_mxfp4"],
  ["w_mxfp6_e2m3_a_mxfp6_e2m3", "w_mxfp4_a_mxfp6_e2m3"],
  ["w_mxfp6_e3m2_a_mxfp6_e3m2", "w_mxfp4_a_mxfp6_e3m2"],
];

/** Bits of the logits. */
async function bitsOf(scheme: Scheme, kvCacheDtype: "bf16" | "fp8", tp: number): Promise<string> {
  const session = await openSession(embedded, {
    ...{ backend: "emulate", dtype: "bf16", kvCacheDtype, scheme, tp, threads: 1, context: ids.length },
    ...(scheme.endsWith("_a_fp8") ? { inputScales } : {}),
  });
  try {
    const logits = await logitsOf(session, ids);
    assert(logits.every(Number.isFinite) && logits.some((x) => x !== 0));
    return new Uint32Array(logits.buffer).join();
  } finally {
    await session.close();
  }
}

const known = new Map<string, Promise<string>>();

for (const [scheme, of] of dose(TWINS.slice(0, 1), TWINS)) {
  for (const kv of dose(["fp8"] as const, ["bf16", "fp8"] as const)) {
    for (const tp of dose([2], [1, 2, 8])) {
      Deno.test(`${scheme} gives the bits of ${of} with ${kv} keys and values on ${tp} ranks`, async () => {
        const key = `${of} ${kv} ${tp}`;
        if (!known.has(key)) known.set(key, bitsOf(of, kv, tp));
        assert(await bitsOf(scheme, kv, tp) === await known.get(key)!, "other bits");
      });
    }
  }
}

Deno.test("schemes that are no twins give other bits", async () => {
  const all = new Set([...await Promise.all(known.values())]);
  assertEquals(all.size, known.size);
  assert(await bitsOf("w_mxfp4_a_mxfp4", "fp8", 2) !== await known.get("w_mxfp4_a_fp8 fp8 2"));
});
