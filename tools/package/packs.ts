/**
 * The program's data as JSON modules: what a registry serves cannot be read as files, and Deno imports no bytes without
 * a flag, but it imports JSON.
 */
import type { Buffer } from "node:buffer";
import { brotliCompressSync, constants } from "node:zlib";
import { OWN_MODEL, type PackName } from "../../src/own_files.ts";
import { halves, type Pack } from "../../src/packs.ts";
import { GOLDENS_PATH } from "../../src/verify/goldens.ts";
import { dataFiles, inRepository } from "./files.ts";

/** Folder of the modules, which no checkout has before they are written. */
export const PACKS = "packs";

/** What goes into which module: the first that a path begins as. */
const GROUPS: readonly (readonly [begins: string, name: PackName])[] = [
  [OWN_MODEL, "model"],
  ["kernels/build/manifest.json", "kernels"],
  ["kernels/build/sm_", "kernels_cuda"],
  ["kernels/build/gfx", "kernels_hip"],
  [GOLDENS_PATH, "goldens"],
];

/** One takes a second or two; the other, ten times as slow, makes 25% less of NVIDIA's kernels, which are texts. */
const QUALITY = 9, QUALITY_OF_TEXTS = 10;

/** The modules: their texts by their paths in the package. */
export function packs(): Map<string, string> {
  const groups = Map.groupBy(dataFiles(), (path) => GROUPS.find(([begins]) => path.startsWith(begins))?.[1]);
  return new Map(
    GROUPS.map(([, name]) => {
      const made = pack(groups.get(name)!, name === "kernels_cuda" ? QUALITY_OF_TEXTS : QUALITY);
      return [`${PACKS}/${name}.json`, `${JSON.stringify(made)}\n`] as const;
    }),
  );
}

/** Files as one: kernels of several architectures have much in common, which a window over all of them shows. */
function pack(paths: readonly string[], quality: number): Pack {
  const parts = paths.map((path) => Deno.readFileSync(inRepository(path)));
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  const plain = compressed(whole, quality);
  // Texts have no halves, and each try is long.
  const parted = quality === QUALITY ? compressed(halves(whole), quality) : plain,
    halved = parted.length < plain.length;
  return {
    files: Object.fromEntries(paths.map((path, i) => [path, parts[i]!.length])),
    bytes: (halved ? parted : plain).toString("base64"),
    halved,
  };
}

function compressed(bytes: Uint8Array, quality: number): Buffer {
  return brotliCompressSync(bytes, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: quality,
      [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  });
}
