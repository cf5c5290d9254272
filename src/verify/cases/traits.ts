/** Launch traits of the committed kernels. */
import type { LaunchTraits, Manifest } from "../../../kernels/manifest.ts";
import { ownPath } from "../../own_files.ts";
import { readStored } from "../../stored_files.ts";

let manifest: Manifest | undefined;

/** Traits are the same for all architectures that have the entry point, but for the LDS of matrix kernels. */
export function traitsOf(entry: string): LaunchTraits {
  manifest ??= JSON.parse(new TextDecoder().decode(readStored(ownPath("kernels/build/manifest.json")))) as Manifest;
  for (const { entries } of Object.values(manifest.architectures)) {
    if (entries[entry]) return entries[entry];
  }
  throw new Error(`${entry}: not in kernels/build/manifest.json`);
}

/** Dynamic LDS of a kernel for inputs of `cols` columns. */
export function ldsOf(entry: string, cols: number): number {
  const { ldsFixed, ldsPerColumn } = traitsOf(entry);
  return ldsFixed + ldsPerColumn * Math.ceil(cols / 32) * 32;
}
