/**
 * Models that AMD Quark itself exported, with the logits of its own forward pass (tests/goldens/quark/make_exports.py),
 * unpacked to where a checkpoint can be opened.
 */
import { gunzipSync } from "node:zlib";
import { asset } from "../../src/assets.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { openSession, type SessionOptions } from "../session/open_session.ts";
import { planModel } from "../../src/plan/planned.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { floats, integers, readGolden } from "../golden.ts";
import { logitsOf } from "./tiny.ts";

/** Names of all exports. */
export const EXPORTS = [...Deno.readDirSync(asset("tests/goldens/quark/exports/"))].map(({ name }) => name).sort();

/** The checkpoint of an export, in a directory of its own. */
export function unpack(name: string): TemporaryDirectory {
  const dir = new TemporaryDirectory(), from = asset(`tests/goldens/quark/exports/${name}/`);
  Deno.copyFileSync(new URL("config.json", from), `${dir.path}/config.json`);
  const packed = Deno.readFileSync(new URL("model.safetensors.gz", from));
  Deno.writeFileSync(`${dir.path}/model.safetensors`, gunzipSync(packed));
  return dir;
}

/** Quark's logits [tokens, vocab]; `variant` as the script names it: "logits", "logits.per_token". */
export function quarkLogits(name: string, variant = "logits"): Float32Array {
  return floats(readGolden(`quark/exports/${name}/logits.safetensors`), variant);
}

/**
 * The program's logits [tokens, vocab] of the same tokens, the plan, and what it and the checkpoint warned of.
 *
 * @param change What is done to config.json before.
 */
export async function ourLogits(
  name: string,
  options: Partial<SessionOptions> = {},
  change?: (config: string) => string,
): Promise<{ logits: Float32Array; plan: Plan; warnings: readonly string[] }> {
  using dir = unpack(name);
  const config = `${dir.path}/config.json`;
  if (change) Deno.writeTextFileSync(config, change(Deno.readTextFileSync(config)));
  const ids = integers(readGolden(`quark/exports/${name}/logits.safetensors`), "ids");
  const checkpoint = openCheckpoint(dir.path);
  const how: SessionOptions = {
    ...{ backend: "reference", dtype: "f32", kvCacheDtype: "auto", context: ids.length, threads: 1 },
    ...options,
  };
  const planned = planModel(checkpoint, how), { plan } = planned;
  const session = await openSession(checkpoint, { ...how, planned });
  try {
    return { logits: await logitsOf(session, ids), plan, warnings: [...checkpoint.warnings, ...plan.warnings] };
  } finally {
    await session.close();
  }
}

/** Sum of squared differences over the golden's variance around its mean: no offset of all logits makes it smaller. */
export function nmse(got: Float32Array, golden: Float32Array): number {
  const mean = golden.reduce((sum, x) => sum + x, 0) / golden.length;
  let difference = 0, power = 0;
  golden.forEach((x, i) => {
    difference += (got[i]! - x) ** 2;
    power += (x - mean) ** 2;
  });
  return difference / power;
}
