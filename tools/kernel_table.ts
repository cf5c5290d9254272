/**
 * Writes docs/measurements/kernels.md: for each kernel and architecture, whether it was compiled, run on an ISA
 * emulator, run on a GPU.
 *
 *     deno run --allow-read --allow-write=docs tools/kernel_table.ts && deno fmt --quiet docs
 *
 * From kernels/build/manifest.json, tests/kernels/isa_results.json (tests/kernels/isa_test.ts) and
 * tests/kernels/gpu_results.json (tests/kernels/gpu_check.ts --json, on the device that it names).
 */
import type { Manifest } from "../kernels/manifest.ts";

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
  readonly sourceHash: string;
  readonly entries: Readonly<Record<string, Verdict>>;
}

const read = <T>(path: string): T => JSON.parse(Deno.readTextFileSync(new URL(`../${path}`, import.meta.url)));
const manifest = read<Manifest>("kernels/build/manifest.json");
const isa = read<IsaResults>("tests/kernels/isa_results.json");
const gpu = read<GpuResults>("tests/kernels/gpu_results.json");

const architectures = Object.keys(manifest.architectures);
const kernels = [...new Set(architectures.flatMap((a) => Object.keys(manifest.architectures[a]!.entries)))].sort();
const ran = (verdict: Verdict | undefined, where: string) =>
  verdict === undefined ? "" : `, ${where} ${verdict.agree}/${verdict.cases}`;

function cell(architecture: string, kernel: string): string {
  if (manifest.architectures[architecture]!.entries[kernel] === undefined) return "-";
  const silicon = architecture === "sm_90" ? gpu.entries[kernel] : undefined;
  return `compiled${ran(isa.architectures[architecture]?.[kernel], "emulated")}${ran(silicon, "silicon")}`;
}

const stale = (hash: string) => hash === manifest.sourceHash ? "" : " (of an earlier state of the sources)";

/** The page, but for the widths of its columns and its line breaks, which `deno fmt` makes. */
export function kernelTable(): string {
  const lines = [
    "# GPU kernels: what was run where",
    "",
    "Written by `tools/kernel_table.ts`. _compiled_: by clang-22, reproduced in CI. _emulated n/m_: the compiled code",
    `object itself agreed with plain arithmetic in n of m cases on an ISA emulator (${isa.emulator})${
      stale(isa.sourceHash)
    },`,
    `\`tests/kernels/isa_test.ts\`. _silicon n/m_: the same on an ${gpu.device}${stale(gpu.sourceHash)},`,
    "`tests/kernels/gpu_check.ts`. What that means is in [docs/kernels.md](../kernels.md).",
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
