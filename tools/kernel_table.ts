/**
 * Writes docs/measurements/kernels.md: for each kernel and architecture, whether it was compiled, run on an ISA
 * emulator, run on a GPU.
 *
 *     deno run --allow-read --allow-write=docs tools/kernel_table.ts && deno fmt --quiet docs
 *
 * From kernels/build/manifest.json, tests/kernels/isa_results.json (tests/kernels/isa_test.ts) and
 * tests/kernels/gpu_results.json, which is made anew of what `mxoss devices --verify --out FILE` wrote on a GPU:
 *
 *     deno run --allow-read --allow-write=docs,tests tools/kernel_table.ts FILE && deno fmt --quiet docs tests
 */
import { createHash } from "node:crypto";
import type { Manifest } from "../kernels/manifest.ts";
import { VerifyResults } from "../src/verify/results.ts";

interface Verdict {
  readonly cases: number;
  readonly agree: number;
}
interface IsaResults {
  readonly sourceHash: string;
  readonly emulator: string;
  readonly architectures: Readonly<Record<string, Readonly<Record<string, Verdict>>>>;
}
interface GpuResults {
  readonly device: string;
  readonly driver: string | null;
  /** Of the kernels, see `VerifiedKernels`. */
  readonly sha256: string;
  readonly entries: Readonly<Record<string, Verdict>>;
}

const read = <T>(path: string): T => JSON.parse(Deno.readTextFileSync(new URL(`../${path}`, import.meta.url)));
/** Where what a GPU gave is kept. */
const GPU_RESULTS = "tests/kernels/gpu_results.json";

/** What a file of `mxoss devices --verify` says of each kernel. */
function kept({ device, kernels, cases, filter }: VerifyResults): GpuResults {
  if (filter !== null || kernels.arch !== "sm_90" || kernels.how !== "own") {
    throw new Error("expected all kernels of sm_90 on a device of that architecture");
  }
  const entries: Record<string, { cases: number; agree: number; worst: number }> = {};
  for (const { kernel, agrees, error } of cases) {
    const sum = entries[kernel] ??= { cases: 0, agree: 0, worst: 0 };
    sum.cases++;
    if (agrees) sum.agree++;
    // -1: not finite.
    sum.worst = error === null ? -1 : Math.max(sum.worst, Number(error.toPrecision(2)));
  }
  return { device: device.name, driver: device.driver_version, sha256: kernels.sha256, entries };
}

if (import.meta.main && Deno.args[0] !== undefined) {
  const results = kept(VerifyResults.parse(JSON.parse(Deno.readTextFileSync(Deno.args[0]))));
  Deno.writeTextFileSync(new URL(`../${GPU_RESULTS}`, import.meta.url), `${JSON.stringify(results, null, 2)}\n`);
}

const manifest = read<Manifest>("kernels/build/manifest.json");
const isa = read<IsaResults>("tests/kernels/isa_results.json");
const gpu = read<GpuResults>(GPU_RESULTS);

const architectures = Object.keys(manifest.architectures);
const kernels = [...new Set(architectures.flatMap((a) => Object.keys(manifest.architectures[a]!.entries)))].sort();
const ran = (verdict: Verdict | undefined, where: string) =>
  verdict === undefined ? "" : `, ${where} ${verdict.agree}/${verdict.cases}`;

function cell(architecture: string, kernel: string): string {
  if (manifest.architectures[architecture]!.entries[kernel] === undefined) return "-";
  const silicon = architecture === "sm_90" ? gpu.entries[kernel] : undefined;
  return `compiled${ran(isa.architectures[architecture]?.[kernel], "emulated")}${ran(silicon, "silicon")}`;
}

const EARLIER = " (of an earlier state of the kernels)";
const stale = (hash: string) => hash === manifest.sourceHash ? "" : EARLIER;
/** As `KernelSet.hash` has it. */
const own = createHash("sha256").update(JSON.stringify(manifest.architectures["sm_90"])).digest("hex");

/** The page, but for the widths of its columns and its line breaks, which `deno fmt` makes. */
export function kernelTable(): string {
  const lines = [
    "# GPU kernels: what was run where",
    "",
    "Written by `tools/kernel_table.ts`. _compiled_: by clang-22, reproduced in CI. _emulated n/m_: the compiled code",
    `object itself agreed with plain arithmetic in n of m cases on an ISA emulator (${isa.emulator})${
      stale(isa.sourceHash)
    },`,
    `\`tests/kernels/isa_test.ts\`. _silicon n/m_: the same on an ${gpu.device}${gpu.sha256 === own ? "" : EARLIER},`,
    "`mxoss devices --verify`. What that means is in [docs/kernels.md](../kernels.md).",
    "",
    `| kernel | ${architectures.join(" | ")} |`,
    `| --- |${architectures.map(() => " --- |").join("")}`,
    ...kernels.map((kernel) => `| \`${kernel}\` | ${architectures.map((a) => cell(a, kernel)).join(" | ")} |`),
  ];
  return `${lines.join("\n")}\n`;
}

/** The page that holds the table. */
export const KERNEL_PAGE: URL = new URL("../docs/measurements/kernels.md", import.meta.url);

if (import.meta.main) Deno.writeTextFileSync(KERNEL_PAGE, kernelTable());
