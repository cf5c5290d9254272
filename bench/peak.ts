/**
 * Plain loops of one SIMD instruction each, as WebAssembly that is written here byte by byte: what a core can multiply
 * if nothing is loaded, decoded or stored. The limits that kernels are measured against.
 */

/** Opcodes that follow the SIMD prefix, and products of one instruction. */
const INSTRUCTIONS = {
  /** f32x4.relaxed_madd: float32. */
  madd: { opcode: 0x105, products: 4, accumulates: true },
  /** i32x4.dot_i16x8_s: pairs of 16-bit products. */
  dot16: { opcode: 0xba, products: 8, accumulates: false },
  /** i16x8.relaxed_dot_i8x16_i7x16_s: pairs of 8-bit products. */
  dot8: { opcode: 0x112, products: 16, accumulates: false },
  /** i32x4.relaxed_dot_i8x16_i7x16_add_s: sums of four 8-bit products. */
  dot8_add: { opcode: 0x113, products: 16, accumulates: true },
} as const;

/** An instruction with a peak. */
export type Instruction = keyof typeof INSTRUCTIONS;
export const PEAK_INSTRUCTIONS = Object.keys(INSTRUCTIONS) as Instruction[];

/** Chains of dependent instructions: latency times instructions a cycle is at most 8 to 10. */
const CHAINS = 12;

function leb(value: number): number[] {
  return value < 128 ? [value] : [value & 127 | 128, ...leb(value >>> 7)];
}
const counted = (bytes: readonly number[]): number[] => [...leb(bytes.length), ...bytes];
const section = (id: number, bytes: readonly number[]): number[] => [id, ...counted(bytes)];
const LOCAL_GET = 0x20, LOCAL_SET = 0x21, LOCAL_TEE = 0x22, SIMD = 0xfd, I32 = 0x7f, V128 = 0x7b;

/** Bytes of a module whose `run(n)` carries out `n * CHAINS` instructions. */
function moduleOf({ opcode, accumulates }: (typeof INSTRUCTIONS)[Instruction]): Uint8Array<ArrayBuffer> {
  // Local 0 counts down; 1 and 2 are the factors; the chains' sums follow. The second factor is a result of chain 0 of
  // the last round, lest the product leave the loop.
  const sum = (i: number) => 3 + i;
  const step = (i: number) => [
    ...[LOCAL_GET, accumulates ? 1 : sum(i), LOCAL_GET, 2, ...(accumulates ? [LOCAL_GET, sum(i)] : [])],
    ...[SIMD, ...leb(opcode), LOCAL_SET, sum(i)],
  ];
  const chains = Array.from({ length: CHAINS }, (_, i) => i);
  const countDown = [LOCAL_GET, 0, 0x41, 1, 0x6b, LOCAL_TEE, 0];
  const loop = [0x03, 0x40, ...chains.flatMap(step), ...countDown, 0x0d, 0, 0x0b];
  const fold = chains.slice(1).flatMap((i) => [LOCAL_GET, sum(i), SIMD, 0x51]);
  // All lanes 0.5: float32s that are not normal would make the loop a hundred times slower.
  const half = [0x43, ...new Uint8Array(Float32Array.of(0.5).buffer), SIMD, 0x13];
  const start = [1, 2, ...chains.map(sum)].flatMap((local) => [...half, LOCAL_SET, local]);
  const body = [1, CHAINS + 2, V128, ...start, ...loop, LOCAL_GET, sum(0), ...fold, SIMD, 0x1b, 0, 0x0b];
  return new Uint8Array([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 1, I32, 1, I32]),
    ...section(3, [1, 0]),
    ...section(7, [1, ...counted([...new TextEncoder().encode("run")]), 0, 0]),
    ...section(10, [1, ...counted(body)]),
  ]);
}

/** A loop of one instruction: carries out about `products` products, and returns how many. */
export function peakLoop(instruction: Instruction): (products: number) => number {
  const facts = INSTRUCTIONS[instruction];
  const instance = new WebAssembly.Instance(new WebAssembly.Module(moduleOf(facts)));
  const run = instance.exports["run"] as (rounds: number) => number;
  return (products) => {
    const rounds = Math.max(1, Math.round(products / (CHAINS * facts.products)));
    run(rounds);
    return rounds * CHAINS * facts.products;
  };
}
