/** The project's kernels compiled for the CPU, as code objects of the test library. */
import type { Manifest, ManifestEntry } from "../../kernels/manifest.ts";
import type { KernelFiles } from "../../src/backends/gpu/kernels.ts";
import { hasClang, hostLibrary } from "../kernels/host_machine.ts";
import { codeObject } from "./build.ts";

const MANIFEST = new URL("../../kernels/build/manifest.json", import.meta.url);

/** For `ignore` of tests: true, with a word, where the kernels cannot be compiled for the CPU. */
export async function withoutKernelCompiler(): Promise<boolean> {
  if (await hasClang()) return false;
  console.warn("skipped: tests of the GPU backend need clang-22");
  return true;
}

/**
 * The generic kernels under the name of a real architecture, with its launch traits. Matrix instructions have no twin on a CPU.
 *
 * @param arch Architecture that the test library says its device has.
 */
export async function hostKernels(arch = "gfx942"): Promise<KernelFiles> {
  const manifest = JSON.parse(Deno.readTextFileSync(MANIFEST)) as Manifest;
  const entries: Record<string, ManifestEntry> = {};
  for (const [name, entry] of Object.entries(manifest.architectures[arch]!.entries)) {
    if (!name.endsWith("_mma")) entries[name] = { ...entry, file: "host" };
  }
  const library = await hostLibrary();
  return {
    architectures: [arch],
    architecture: (asked) => asked === arch ? { files: {}, entries } : undefined,
    read: () => codeObject(library),
  };
}
