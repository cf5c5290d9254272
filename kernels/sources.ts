/**
 * What is compiled from the kernel sources: one object per operation, and per weight format where an operation depends
 * on it.
 */

/**
 * Architectures with committed code objects. `sm_90` is PTX, which the driver compiles for other NVIDIA GPUs as well,
 * and gfx1200 runs the code of gfx1201: see src/backends/gpu/code.ts. `sm_90a` has what GPUs of sm_90 run besides, and
 * no other one does.
 */
export const ARCHITECTURES = [
  "gfx90a",
  "gfx942",
  "gfx950",
  "gfx1030",
  "gfx1100",
  "gfx1151",
  "gfx1201",
  "sm_90",
  "sm_90a",
] as const;
/** One of {@linkcode ARCHITECTURES}. */
export type Architecture = (typeof ARCHITECTURES)[number];

/** Names of weight formats in entry points; `_t` is stored [inputs][outputs]. */
export const KERNEL_FORMATS = [
  "bf16",
  "f32",
  "f16",
  "mxfp4",
  "mxfp6_e3m2",
  "mxfp6_e2m3",
  "fp8",
  "bf16_t",
  "f32_t",
  "f16_t",
] as const;

/** One object to compile. */
export interface Unit {
  /** File name without extension, in the architecture's folder. */
  readonly name: string;
  /** Source, relative to kernels/. */
  readonly source: string;
  readonly defines: readonly string[];
}

/** Operations without a weight format. */
const PLAIN = [
  "add",
  "advance",
  "attention",
  "attention_split",
  "attention_tile",
  "combine",
  "embed",
  "expert_sort",
  "pick",
  "qdq",
  "quantize",
  "rms_norm",
  "rotate",
  "round_rows",
  "route",
  "sample_split",
  "store",
  "sum_ranks",
  "swiglu",
];

/** Operations on a matrix, with their formats. */
const BY_FORMAT: Readonly<Record<string, readonly string[]>> = {
  linear: KERNEL_FORMATS,
  expert: KERNEL_FORMATS,
  gemm: KERNEL_FORMATS,
  // Weights whose numbers bf16 holds exactly.
  gemm_mma: ["bf16", "mxfp4", "mxfp6_e3m2", "mxfp6_e2m3", "fp8", "bf16_t"],
  norm_route: ["bf16", "f32"],
};

/** Weights whose numbers bf16 holds exactly, as stored [outputs][inputs]. */
const BATCH_FORMATS = ["bf16", "mxfp4", "mxfp6_e3m2", "mxfp6_e2m3", "fp8"];

const batchUnits = (source: string): Unit[] =>
  BATCH_FORMATS.map((format) => ({ name: `gemm_batch.${format}`, source, defines: [`-DMX_FORMAT=${format}`] }));

const AMD_BATCHES = batchUnits("gemm_batch_amd.hip");

/** Objects that only some architectures have. */
const SPECIAL: Readonly<Partial<Record<Architecture, readonly Unit[]>>> = {
  gfx90a: AMD_BATCHES,
  gfx942: AMD_BATCHES,
  gfx950: [
    ...AMD_BATCHES,
    { name: "gemm_scaled.mxfp4_e2m1", source: "gemm_scaled.hip", defines: ["-DMX_INPUT=1"] },
    { name: "gemm_scaled.mxfp4_fp8", source: "gemm_scaled.hip", defines: ["-DMX_INPUT=6"] },
  ],
  gfx1100: AMD_BATCHES,
  gfx1151: AMD_BATCHES,
  gfx1201: AMD_BATCHES,
  sm_90: [
    { name: "attention_batch", source: "attention_batch.hip", defines: [] },
    { name: "attention_mma", source: "attention_mma.hip", defines: [] },
    // Between AMD devices memory would have to be allocated otherwise, which nobody here could try.
    { name: "exchange_given", source: "exchange_given.hip", defines: [] },
    { name: "exchange_sum", source: "exchange_sum.hip", defines: [] },
    { name: "exchange_pick", source: "exchange_pick.hip", defines: [] },
    { name: "exchange_ranks", source: "exchange_ranks.hip", defines: [] },
    { name: "exchange_columns", source: "exchange_columns.hip", defines: [] },
    { name: "expert_mma", source: "expert_mma.hip", defines: [] },
    ...batchUnits("gemm_batch.hip"),
    { name: "gemm_few", source: "gemm_few.hip", defines: [] },
    { name: "gemm_few_rows", source: "gemm_few.hip", defines: ["-DMX_ROWS"] },
  ],
  sm_90a: [
    { name: "expert_mlp", source: "expert_mlp.hip", defines: [] },
    { name: "expert_mlp_ranks", source: "expert_mlp.hip", defines: ["-DMX_RANKS"] },
    { name: "expert_one", source: "expert_one.hip", defines: [] },
    { name: "expert_walk", source: "expert_walk.hip", defines: [] },
    ...["bf16", "mxfp4"].map((format) => ({
      name: `gemm_wgmma.${format}`,
      source: "gemm_wgmma.hip",
      defines: [`-DMX_FORMAT=${format}`],
    })),
    { name: "gemm_wgmma_give.bf16", source: "gemm_wgmma.hip", defines: ["-DMX_FORMAT=bf16", "-DMX_TO_RANKS"] },
    ...BY_FORMAT["norm_route"]!.map((format) => ({
      name: `norm_route_cluster.${format}`,
      source: "norm_route.hip",
      defines: [`-DMX_FORMAT=${format}`, "-DMX_CLUSTER"],
    })),
  ],
};

/** Architectures that have their special objects only. */
const BESIDE: readonly Architecture[] = ["sm_90a"];

/** Operations that need instructions which an architecture lacks: RDNA 2 multiplies no matrices. */
const LACKING: Readonly<Partial<Record<Architecture, readonly string[]>>> = { gfx1030: ["gemm_mma"] };

/** The objects of an architecture, in order of name. */
export function unitsOf(arch: Architecture): Unit[] {
  if (BESIDE.includes(arch)) return [...SPECIAL[arch]!];
  const units: Unit[] = [
    ...SPECIAL[arch] ?? [],
    ...PLAIN.map((name) => ({ name, source: `${name}.hip`, defines: [] })),
  ];
  for (const [stem, formats] of Object.entries(BY_FORMAT)) {
    if (LACKING[arch]?.includes(stem)) continue;
    for (const format of formats) {
      const transposed = format.endsWith("_t");
      units.push({
        name: `${stem}.${format}`,
        source: `${stem}.hip`,
        defines: [
          `-DMX_FORMAT=${transposed ? format.slice(0, -2) : format}`,
          ...(transposed ? ["-DMX_TRANSPOSED"] : []),
        ],
      });
    }
  }
  return units.sort((a, b) => a.name < b.name ? -1 : 1);
}

/** Extension of an architecture's objects. */
export function extensionOf(arch: Architecture): "co" | "ptx" {
  return arch.startsWith("sm_") ? "ptx" : "co";
}

/** Arguments of clang for one object. */
export function compileArguments(arch: Architecture, unit: Unit, output: string): string[] {
  // No contraction: fma only where the source says so, so that every machine computes the same bits. No vectorization:
  // packed float32 on CDNA made the kernels for four tokens spill, and bytes were loaded as unaligned pairs.
  const common = [
    "-std=c++20",
    "-O3",
    "-ffp-contract=off",
    "-fno-slp-vectorize",
    "-fno-vectorize",
    "-Wall",
    "-Wextra",
    "-Werror",
    ...unit.defines,
  ];
  return extensionOf(arch) === "ptx"
    ? [
      "-x",
      "cuda",
      `--cuda-gpu-arch=${arch}`,
      "--cuda-feature=+ptx80",
      "--cuda-device-only",
      "-nocudainc",
      "-nocudalib",
      "-S",
      ...common,
      unit.source,
      "-o",
      output,
    ]
    // No cuid, ident or symbol table: their bytes depend on the path, or are not needed.
    : [
      "-x",
      "hip",
      "--cuda-device-only",
      "--no-gpu-bundle-output",
      `--offload-arch=${arch}`,
      "-nogpulib",
      "-nogpuinc",
      "-fuse-cuid=none",
      "-Qn",
      "-Xoffload-linker",
      "-s",
      "-Rpass-analysis=kernel-resource-usage",
      ...common,
      unit.source,
      "-o",
      output,
    ];
}
