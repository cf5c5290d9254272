/** The project's kernels compiled for the CPU, as code objects of the test library. */
import type { Manifest, ManifestEntry } from "../../kernels/manifest.ts";
import type { KernelFiles } from "../../src/backends/gpu/kernels.ts";
import { hasClang, hostLibrary } from "../kernels/host_machine.ts";
import { buildShared, codeObject } from "./build.ts";

const HERE = new URL("./", import.meta.url);
const MANIFEST = new URL("../../kernels/build/manifest.json", import.meta.url);

/** For `ignore` of tests: true, with a word, where the kernels cannot be compiled for the CPU. */
export async function withoutKernelCompiler(): Promise<boolean> {
  if (await hasClang()) return false;
  console.warn("skipped: tests of the GPU backend need clang-22");
  return true;
}

/** Kernels for batches whose matrix instructions kernels/common/mma.h has for the host. */
const HOST_BATCHES: readonly string[] = ["attention_batch", "batch_bf16_x8", "batch_bf16_x8_rows"];

/** What the host kernels pretend to be. */
export interface HostKernelOptions {
  /** Architecture that the test library says its device has. */
  readonly arch?: string;
  /** Stand-ins for some matrix kernels (see matrix.cpp): right, or with two rows of every pair exchanged. */
  readonly matrix?: "right" | "wrong";
  /** Whether NVIDIA's kernels for batches are among them, as far as the host knows their instructions. */
  readonly batches?: boolean;
  /** Whether kernels that ranks exchange rows by are among them, and a matrix kernel that gives its rows. */
  readonly ranks?: boolean;
  /** Which of the experts' kernels for one token are among them, which only sm_90a has. */
  readonly oneToken?: RegExp;
}

/**
 * The generic kernels under the name of a real architecture, with its launch traits. Matrix instructions have no twin
 * on a CPU.
 */
export async function hostKernels(
  { arch = "gfx942", matrix, batches = false, ranks = false, oneToken = /^$/ }: HostKernelOptions = {},
): Promise<KernelFiles> {
  const manifest = JSON.parse(Deno.readTextFileSync(MANIFEST)) as Manifest;
  const entries: Record<string, ManifestEntry> = {};
  // The library has those that only NVIDIA's have among the generic ones as well.
  for (const [name, entry] of [arch, "sm_90"].flatMap((own) => Object.entries(manifest.architectures[own]!.entries))) {
    const taken = !/_mma$|batch|^exchange/.test(name) || batches && HOST_BATCHES.includes(name) ||
      ranks && name.startsWith("exchange_");
    if (taken) entries[name] ??= { ...entry, file: "generic" };
  }
  for (const [name, entry] of Object.entries(manifest.architectures["sm_90a"]!.entries)) {
    if (name.endsWith("_one") && oneToken.test(name)) entries[name] = { ...entry, file: "generic" };
    // Whose stand-in has its sums elsewhere.
    if (ranks && name === "gemm_bf16_wgmma_give") entries[name] = { ...entry, ldsFixed: 0, file: "generic" };
  }
  const libraries = new Map([["generic", await hostLibrary()]]);
  if (matrix) {
    const traits = { threads: 256, rowsPerBlock: 128, tokensPerBlock: 128, ldsPerColumn: 0, ldsFixed: 0 };
    const scaled = arch === "gfx950" ? ["expert_gemm_mxfp4_e2m1_mma", "expert_gemm_mxfp4_fp8_mma"] : [];
    for (const entry of ["gemm_bf16_mma", ...(ranks ? ["gemm_bf16_wgmma"] : []), ...scaled]) {
      entries[entry] = { ...traits, file: "matrix" };
    }
    const flags = ["-std=c++17", "-O2", ...(matrix === "wrong" ? ["-DWRONG"] : [])];
    const sources = [new URL("matrix.cpp", HERE)];
    libraries.set("matrix", buildShared("libmatrix.so", sources, [new URL("hip_host.h", HERE)], flags));
  }
  return {
    architectures: [arch],
    architecture: (asked) => asked === arch ? { files: {}, entries } : undefined,
    read: (_arch, file) => codeObject(libraries.get(file)!),
  };
}
