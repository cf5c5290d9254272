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
import { kernelsWith } from "../src/backends/gpu/kernels.ts";
import { VerifyResults } from "../src/verify/results.ts";
import { type IsaResults, objectOf, type Ran } from "../tests/kernels/isa_results.ts";

interface GpuResults {
  readonly device: string;
  readonly driver: string | null;
  readonly entries: Readonly<Record<string, Ran>>;
}

const read = <T>(path: string): T => JSON.parse(Deno.readTextFileSync(new URL(`../${path}`, import.meta.url)));
/** Where what a GPU gave is kept. */
const GPU_RESULTS = "tests/kernels/gpu_results.json";
const manifest = read<Manifest>("kernels/build/manifest.json");

/** What a file of `mxoss devices --verify` says of each kernel, of the committed ones. */
function kept({ device, kernels, cases, filter }: VerifyResults): GpuResults {
  const files = {
    architectures: Object.keys(manifest.architectures),
    architecture: (a: string) => manifest.architectures[a],
  };
  const own = kernelsWith(files, { arch: "sm_90", kind: "own" });
  // As `KernelSet.hash` has it.
  const hash = createHash("sha256").update(JSON.stringify(own)).digest("hex");
  if (filter !== null || kernels.how !== "own" || kernels.sha256 !== hash) {
    throw new Error("expected all kernels of sm_90 as they are committed, on a device of that architecture");
  }
  const entries: Record<string, { -readonly [K in keyof Ran]: Ran[K] }> = {};
  for (const { kernel, agrees, error } of cases) {
    const sum = entries[kernel] ??= { cases: 0, agree: 0, worst: 0, object: objectOf(own, kernel)! };
    sum.cases++;
    if (agrees) sum.agree++;
    sum.worst = error === null ? -1 : Math.max(sum.worst, Number(error.toPrecision(2)));
  }
  return { device: device.name, driver: device.driver_version, entries };
}

if (import.meta.main && Deno.args[0] !== undefined) {
  const results = kept(VerifyResults.parse(JSON.parse(Deno.readTextFileSync(Deno.args[0]))));
  Deno.writeTextFileSync(new URL(`../${GPU_RESULTS}`, import.meta.url), `${JSON.stringify(results, null, 2)}\n`);
}

const isa = read<IsaResults>("tests/kernels/isa_results.json");
const gpu = read<GpuResults>(GPU_RESULTS);

const architectures = Object.keys(manifest.architectures);
const kernels = [...new Set(architectures.flatMap((a) => Object.keys(manifest.architectures[a]!.entries)))].sort();
/** What ran of a kernel: of its object as it is now, or as it was. */
function ran(of: Ran | undefined, where: string, architecture: string, kernel: string): string {
  if (of === undefined) return "";
  const now = objectOf(manifest.architectures[architecture]!, kernel);
  return `, ${of.object === now ? "" : "before its last change "}${where} ${of.agree}/${of.cases}`;
}

function cell(architecture: string, kernel: string): string {
  if (manifest.architectures[architecture]!.entries[kernel] === undefined) return "-";
  const silicon = ["sm_90", "sm_90a"].includes(architecture) ? gpu.entries[kernel] : undefined;
  const emulated = isa.architectures[architecture]?.[kernel];
  return `compiled${ran(emulated, "emulated", architecture, kernel)}${ran(silicon, "silicon", architecture, kernel)}`;
}

/** The page, but for the widths of its columns and its line breaks, which `deno fmt` makes. */
export function kernelTable(): string {
  const lines = [
    "# GPU kernels: what was run where",
    "",
    "Written by `tools/kernel_table.ts`. _compiled_: by clang-22, reproduced in CI. _emulated n/m_: the compiled code",
    `object itself agreed with plain arithmetic in n of m cases on an ISA emulator (${isa.emulator}),`,
    `\`tests/kernels/isa_test.ts\`. _silicon n/m_: the same on an ${gpu.device},`,
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
