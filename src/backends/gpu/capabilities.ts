/**
 * What a device does in hardware: the one table of architectures, and which scheme therefore runs natively and which is
 * emulated.
 *
 * "Emulated" means: the input is quantized and dequantized exactly as the scheme says, and the product is computed with
 * bf16 or float32 arithmetic. It gives the scheme's numbers on any device; "native" means that the matrix instruction
 * takes the codes and the scales themselves.
 */
import { onGpus } from "../../formats/input.ts";
import { type Scheme, SCHEMES } from "../../plan/scheme.ts";

/** What an architecture's matrix instructions take. */
export interface Capability {
  /** "CDNA 3 (MI300)"; null where nobody has told. */
  readonly family: string | null;
  /** Instructions for bf16 products, as the vendor calls them; null where there are none that are used. */
  readonly bf16: string | null;
  /** Whether matrix instructions take MX blocks with their scales. */
  readonly mx: boolean;
}

const CAPABILITIES: Readonly<Record<string, Capability>> = {
  gfx90a: { family: "CDNA 2 (MI200)", bf16: "MFMA", mx: false },
  gfx942: { family: "CDNA 3 (MI300)", bf16: "MFMA", mx: false },
  gfx950: { family: "CDNA 4 (MI350)", bf16: "MFMA", mx: true },
  gfx1030: { family: "RDNA 2", bf16: null, mx: false },
  gfx1100: { family: "RDNA 3", bf16: "WMMA", mx: false },
  gfx1151: { family: "RDNA 3.5", bf16: "WMMA", mx: false },
  gfx1200: { family: "RDNA 4", bf16: "WMMA", mx: false },
  gfx1201: { family: "RDNA 4", bf16: "WMMA", mx: false },
  // One PTX for all: the instructions that it keeps to are those of Ampere.
  sm_80: { family: "Ampere", bf16: "mma", mx: false },
  sm_86: { family: "Ampere", bf16: "mma", mx: false },
  sm_89: { family: "Ada", bf16: "mma", mx: false },
  sm_90: { family: "Hopper", bf16: "mma", mx: false },
  // What only GPUs of sm_90 run, neither earlier nor later ones: its PTX is not compiled for others.
  sm_90a: { family: "Hopper", bf16: "mma and wgmma", mx: false },
  sm_100: { family: "Blackwell", bf16: "mma", mx: false },
  sm_120: { family: "Blackwell", bf16: "mma", mx: false },
};

/** What a device of an architecture can do; an unknown one is taken to have no matrix instructions. */
export function capabilityOf(arch: string): Capability {
  return CAPABILITIES[arch] ?? { family: null, bf16: null, mx: false };
}

/** How a scheme runs on a device, and why. */
export interface Choice {
  readonly scheme: string;
  readonly native: boolean;
  readonly how: string;
}

/** Which matrix kernels were compiled for an architecture. */
export interface CompiledKernels {
  /** bf16 products by matrix instructions. */
  readonly matrix: boolean;
  /** The scaled matrix instructions for a scheme. */
  readonly scaled: (scheme: Scheme) => boolean;
}

/**
 * How each scheme runs in the code object of an architecture. A capability that no compiled kernel uses is not counted.
 */
export function choices(arch: string, compiled: CompiledKernels): readonly Choice[] {
  const { bf16, mx } = capabilityOf(arch);
  const matrix = bf16 !== null && compiled.matrix;
  const product = matrix ? `bf16 ${bf16}` : "float32 products";
  return SCHEMES.filter(({ input }) => onGpus(input)).map((scheme) => {
    const { name, weight, input, element } = scheme;
    if (weight === "bf16") return { scheme: name, native: matrix, how: product };
    // What the kernels with scaled instructions take: FP4 weights with FP4 blocks, or FP8 codes without blocks' scales.
    const fits = weight === "mxfp4" && (element === "e2m1" || input === "fp8_static");
    if (fits && mx && compiled.scaled(scheme)) return { scheme: name, native: true, how: "scaled MFMA" };
    const quantized = input === "none"
      ? "weights dequantized on the fly"
      : "inputs through QDQ, weights dequantized on the fly";
    return { scheme: name, native: false, how: `${quantized}, ${product}` };
  });
}
