/** The embedded model gives the same logits bit for bit from whatever layout it is read. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import type { Dtype } from "../../src/formats/format.ts";
import { openSession } from "../session/open_session.ts";
import type { BackendName } from "../../src/session/setting.ts";
import { assert, assertEquals } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { integers, readGolden } from "../golden.ts";
import { dose } from "../soak.ts";
import { logitsOf, TINY } from "./tiny.ts";
import { TINY_LAYOUTS, writeTiny } from "./tiny_layouts.ts";

const ids = integers(readGolden("logits.safetensors"), "two_turns.ids").slice(0, dose(24, Infinity));
const SETTINGS: readonly [BackendName, Dtype, tokens: number][] = [
  ["emulate", "bf16", ids.length],
  ["emulate", "f32", ids.length],
  ["reference", "bf16", dose(2, 6)],
  ["reference", "f32", dose(2, 6)],
];

/** Bytes of the logits in each of the settings. */
async function computed(dir: string, layout: string): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  const checkpoint = openCheckpoint(dir);
  assertEquals([checkpoint.layout, checkpoint.warnings], [layout, []]);
  for (const [backend, dtype, tokens] of SETTINGS) {
    const session = await openSession(checkpoint, {
      ...{ backend, dtype, kvCacheDtype: "auto", context: tokens, threads: 2 },
    });
    const logits = await logitsOf(session, ids.slice(0, tokens));
    await session.close();
    assert(logits.every(Number.isFinite) && logits.some((x) => x !== 0));
    all.push(new Uint8Array(logits.buffer));
  }
  return all;
}

let embedded: Promise<Uint8Array[]> | undefined;

for (const layout of TINY_LAYOUTS) {
  Deno.test(`the embedded model stored as ${layout} gives its very logits in both backends and dtypes`, async () => {
    const expected = await (embedded ??= computed(TINY, "hf_mxfp4"));
    using dir = new TemporaryDirectory();
    writeTiny(dir, layout);
    const got = await computed(dir.path, layout.split(" ")[0]!);
    SETTINGS.forEach(([backend, dtype], i) => {
      const at = got[i]!.findIndex((byte, j) => byte !== expected[i]![j]);
      assertEquals([at, got[i]!.length], [-1, expected[i]!.length], `${backend} in ${dtype}`);
    });
  });
}
