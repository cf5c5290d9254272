/**
 * Exports of AMD Quark's whose config is changed in one place (tests/goldens/quark/make_changes.py): what is not
 * refused has the effect on the logits that it has in Quark. A change that is read otherwise, or passed
 * over, would be found.
 */
import { asset } from "../../src/assets.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { InputError } from "../../src/errors.ts";
import { planModel } from "../../src/plan/planned.ts";
import { assert, assertEquals } from "../assert.ts";
import { integers, readGolden } from "../golden.ts";
import { openSession } from "../session/open_session.ts";
import { nmse, unpack } from "./quark_exports.ts";
import { logitsOf } from "./tiny.ts";

type Json = Record<string, unknown>;
type Change = readonly [name: string, path: readonly string[], value: unknown, got: number | "not finite" | "refused"];

const DIRECTORY = "tests/goldens/quark/";
const CHANGES = Deno.readTextFileSync(asset(`${DIRECTORY}changes.jsonl`)).trim().split("\n")
  .map((line): Change => JSON.parse(line));

/** Changes that are computed otherwise than in Quark, as docs/schemes.md says. */
const isKnown = ([name, [key, place], value]: Change): boolean =>
  // Scales of experts' inputs along their columns.
  key === "global_quant_config" && place === "input_tensors" && value === "$ptpc_fp8.input_tensors" ||
  name === "ptpc_fp8" && place === "input_tensors";

const configOf = (name: string): Json =>
  JSON.parse(Deno.readTextFileSync(asset(`${DIRECTORY}exports/${name}/config.json`)));

/** A value with the specs that it names. */
function resolved(value: unknown): unknown {
  if (typeof value === "string" && value.startsWith("$")) {
    const [name, key] = value.slice(1).split(".");
    return ((configOf(name!)["quantization_config"] as Json)["global_quant_config"] as Json)[key!];
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, resolved(inner)]));
}

function changed(config: Json, path: readonly string[], value: unknown): Json {
  const [key, ...rest] = path;
  const inner = rest.length === 0 ? resolved(value) : changed(config[key!] as Json, rest, value);
  return { ...config, [key!]: inner };
}

const IDS = integers(readGolden("quark/exports/mxfp4/logits.safetensors"), "ids");

/** Logits of a checkpoint, and its plan; null where it is refused. */
async function computed(dir: string, known?: { plan: string; logits: Float32Array }) {
  const how = { backend: "emulate", dtype: "f32", kvCacheDtype: "auto", context: IDS.length, threads: 1 } as const;
  const own = { ...how, fp8Scales: "own" } as const;
  try {
    const checkpoint = openCheckpoint(dir), planned = planModel(checkpoint, own);
    const plan = JSON.stringify(planned.plan.linears.map(({ decidedBy: _, ...linear }) => linear)) +
      planned.plan.kvFormat;
    if (plan === known?.plan) return known;
    const session = await openSession(checkpoint, { ...own, planned });
    try {
      return { plan, logits: await logitsOf(session, IDS) };
    } finally {
      await session.close();
    }
  } catch (thrown) {
    if (thrown instanceof InputError && !/[\n\r]/.test(thrown.message)) return null;
    throw thrown;
  }
}

for (const [name, changes] of Map.groupBy(CHANGES, ([name]) => name)) {
  Deno.test(`changes of the config of Quark's export ${name} are refused or do what they do in Quark`, async () => {
    using dir = unpack(name);
    const base = await computed(dir.path), config = configOf(name), counts = { same: 0, other: 0, refused: 0 };
    assert(base !== null);
    const wrong: string[] = [];
    for (const change of changes) {
      const [, path, value, got] = change;
      const quantization_config = changed(config["quantization_config"] as Json, path, value);
      dir.write("config.json", { ...config, quantization_config });
      const ours = await computed(dir.path, base);
      if (ours === null) counts.refused++;
      // What Quark's loader refuses says nothing of another reading.
      if (ours === null || got === "refused") continue;
      const difference = ours === base ? 0 : nmse(ours.logits, base.logits);
      counts[difference === 0 ? "same" : "other"]++;
      if (isKnown(change)) continue;
      const agrees = got === "not finite"
        ? false
        : got < 1e-9
        ? difference < 1e-9
        : Math.abs(difference / got - 1) < 0.01;
      if (!agrees) wrong.push(`${path.join(".")} = ${JSON.stringify(value)}: NMSE ${difference}, to Quark ${got}`);
    }
    assertEquals(wrong, []);
    // Were all refused, or none, nothing would have been tried.
    assert(counts.same > 10 && counts.refused > 10, JSON.stringify(counts));
  });
}
