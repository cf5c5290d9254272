/**
 * The program's data as JSON modules: what a registry serves cannot be read as files, and Deno imports no bytes without
 * a flag, but it imports JSON.
 */
import type { Buffer } from "node:buffer";
import { brotliCompressSync, constants } from "node:zlib";
import { toBase85 } from "../../src/base85.ts";
import { OWN_MODEL, type PackName } from "../../src/own_files.ts";
import { halves, type Pack } from "../../src/packs.ts";
import { GOLDENS_PATH } from "../../src/verify/goldens.ts";
import { dataFiles, inRepository } from "./files.ts";
import { concat } from "./tar.ts";

/** Folder of the modules, which no checkout has before they are written. */
export const PACKS = "packs";

/** How a module is made. */
interface Group {
  /** What goes into it: paths that begin so, and as none before. */
  readonly begins: string;
  readonly name: PackName;
  /**
   * Brotli's, of 11: 9 takes a second or two. Ten times as slow, 10 makes 25% less of NVIDIA's kernels, which are
   * texts, 9% of AMD's and 1% of the model, the largest; 11, twice as slow again, another 4% of AMD's and
   * 6% of NVIDIA's.
   */
  readonly quality: number;
  /** Whether numbers of 16 bits go in halves: 2 to 5% less of weights, 9% more of kernels. */
  readonly halved: boolean;
}

const GROUPS: readonly Group[] = [
  { begins: OWN_MODEL, name: "model", quality: 10, halved: true },
  { begins: "kernels/build/manifest.json", name: "kernels", quality: 11, halved: false },
  { begins: "kernels/build/sm_", name: "kernels_cuda", quality: 11, halved: false },
  { begins: "kernels/build/gfx", name: "kernels_hip", quality: 11, halved: false },
  { begins: GOLDENS_PATH, name: "goldens", quality: 10, halved: true },
];

/** The modules: their texts by their paths in the package. */
export function packs(): Map<string, string> {
  const groups = Map.groupBy(dataFiles(), (path) => GROUPS.find(({ begins }) => path.startsWith(begins)));
  return new Map(
    GROUPS.map((group) => {
      const made = pack(groups.get(group)!, group);
      return [`${PACKS}/${group.name}.json`, `${JSON.stringify(made)}\n`] as const;
    }),
  );
}

/** Files as one: kernels of several architectures have much in common, which a window over all of them shows. */
function pack(paths: readonly string[], { quality, halved }: Group): Pack {
  const parts = paths.map((path) => Deno.readFileSync(inRepository(path)));
  const whole = concat(parts);
  return {
    files: Object.fromEntries(paths.map((path, i) => [path, parts[i]!.length])),
    bytes: toBase85(compressed(halved ? halves(whole) : whole, quality)),
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
