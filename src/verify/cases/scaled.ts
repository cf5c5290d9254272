/** Cases of the experts' GEMMs by scaled matrix instructions (gfx950): codes and block scales in, no dequantization. */
import { decodeElements } from "../../formats/decode.ts";
import { encodeMxRow } from "../../formats/encode.ts";
import { decodeE8m0 } from "../../formats/scales.ts";
import { type KernelCase, near } from "./check.ts";
import { f32, floats, i32, input, output, pointer } from "./job.ts";
import { ALPHA, expertArray, LIMIT, swigluOf } from "./expert.ts";
import { sortByExpert } from "./expert_sort.ts";
import { product, Random, randomLinear } from "./random.ts";
import { traitsOf } from "./traits.ts";

interface ScaledSpec {
  /** Tokens, rows of each expert, columns. */
  readonly n: number;
  readonly rows: number;
  readonly cols: number;
  /** 1: SwiGLU of the rounded rows, in pairs; 0: the rows as they are. */
  readonly swiglu: number;
}

function scaledCase(seed: number, kind: "e2m1" | "fp8", { n, rows, cols, swiglu }: ScaledSpec): KernelCase {
  const r = new Random(seed), entry = `expert_gemm_mxfp4_${kind}_mma`, traits = traitsOf(entry);
  const topK = 2,
    outputs = swiglu ? rows / 2 : rows,
    slots = n * topK,
    experts = [0, 1, 2].map(() => randomLinear(r, "mxfp4", rows, cols));
  const ids = Int32Array.from({ length: slots }, () => r.below(3)),
    order = sortByExpert(ids, 0, 3, traits.tokensPerBlock);
  const width = kind === "e2m1" ? cols / 2 : cols,
    codes = new Uint8Array(n * width),
    scales = new Uint8Array(n * (cols / 32));
  const factors = r.row(n, false).map(Math.abs);
  const xs = Array.from({ length: n }, (_, t) => {
    if (kind === "fp8") {
      const own = Uint8Array.from({ length: cols }, () => (r.below(2) << 7) | (0x20 + r.below(0x38)));
      codes.set(own, t * width);
      return decodeElements("fp8_e4m3", own, cols);
    }
    const row = encodeMxRow(r.row(cols, true), "e2m1", "even");
    codes.set(row.codes, t * width);
    scales.set(row.scales, t * (cols / 32));
    return decodeElements("mxfp4", row.codes, cols).map((v, c) => v * decodeE8m0(row.scales[Math.floor(c / 32)]!));
  });
  const out = output(4 * slots * outputs), fp8 = kind === "fp8";
  return {
    name: `${entry} ${rows}x${cols} n ${n}${swiglu ? " swiglu" : ""}`,
    job: {
      entry,
      grid: [Math.ceil(rows / traits.rowsPerBlock), Math.ceil(slots / traits.tokensPerBlock) + 3, 1],
      threads: traits.threads,
      lds: 0,
      arguments: [
        ...[
          pointer(expertArray(experts)),
          pointer(input(codes)),
          i32(width),
          pointer(fp8 ? null : input(scales)),
          i32(cols / 32),
        ],
        ...[
          pointer(fp8 ? input(factors) : null),
          i32(topK),
          pointer(input(order.sorted)),
          pointer(input(order.offsets)),
        ],
        ...[
          pointer(input(order.tiles)),
          pointer(input(Int32Array.of(order.tiles.length / 2))),
          pointer(out),
          i32(outputs),
        ],
        ...[i32(swiglu), i32(swiglu), f32(ALPHA), f32(LIMIT), i32(rows), i32(cols)],
      ],
    },
    check: () => {
      const exact = Array.from(ids, (id, slot) => {
        const t = Math.floor(slot / topK);
        const z = product(experts[id]!, xs[t]!, fp8 ? factors[t] : 1);
        return [...(swiglu ? swigluOf(z, 1) : z)];
      });
      return swiglu ? near(floats(out), exact.flat(), 1, 8e-3) : near(floats(out), exact.flat(), 0);
    },
  };
}

export function* scaledCases(): Generator<KernelCase> {
  for (const [i, kind] of (["e2m1", "fp8"] as const).entries()) {
    yield scaledCase(1000 + i, kind, { n: 40, rows: 70, cols: 160, swiglu: 0 });
    // Fewer columns than one instruction takes; tiles of rows and of tokens that are not full, and one block beyond.
    yield scaledCase(1010 + i, kind, { n: 3, rows: 18, cols: 32, swiglu: 0 });
    yield scaledCase(1020 + i, kind, { n: 3, rows: 18, cols: 96, swiglu: 1 });
    yield scaledCase(1030 + i, kind, { n: 210, rows: 132, cols: 128, swiglu: 1 });
  }
}
