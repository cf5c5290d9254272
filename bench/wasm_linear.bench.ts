/**
 * Times the WASM kernel `linear` on one thread, with weights that stay in cache; prints multiply-accumulates (for one
 * token: weights) per second of the best run.
 *
 *     deno bench --allow-read bench/wasm_linear.bench.ts
 */
import { BLOCK, bytesOf, SCALE_NUMBER, STORED_FORMATS } from "../src/formats/format.ts";
import { compileKernels, instantiate } from "../src/wasm.ts";
const ROWS = 2880, COLS = 2880;

/** Storages: format, and whether [cols, rows] is stored. */
const STORAGES = {
  mxfp4: ["mxfp4", 0],
  mxfp6_e3m2: ["mxfp6_e3m2", 0],
  fp8: ["fp8_e4m3", 0],
  bf16: ["bf16", 0],
  "bf16 transposed": ["bf16", 1],
  f32: ["f32", 0],
} as const;

const memory = new WebAssembly.Memory({ initial: 2048, maximum: 65536, shared: true });
const bytes = new Uint8Array(memory.buffer), words = new Uint32Array(memory.buffer);
const MIB = 2 ** 20;
const linear = instantiate(await compileKernels(), memory, MIB)("linear");
const DESCRIPTOR = 1 * MIB, SCRATCH = 2 * MIB, SCALES = 4 * MIB, X = 8 * MIB, OUT = 16 * MIB, WEIGHTS = 32 * MIB;
const best = new Map<string, number>();

for (const tokens of [1, 2, 4, 16, 64]) {
  for (const [name, [format, transposed]] of Object.entries(STORAGES)) {
    const stride = bytesOf(format, transposed ? ROWS : COLS), { wasm, mx: scaled } = STORED_FORMATS[format];
    const label = `${name}, ${tokens} token${tokens === 1 ? "" : "s"}`;
    Deno.bench({ name: label, group: `${tokens}` }, (b) => {
      // Finite numbers in every format: the bytes of 1.0 and its like.
      bytes.fill(0x33, WEIGHTS, WEIGHTS + stride * ROWS);
      bytes.fill(127, SCALES, SCALES + ROWS * COLS / BLOCK);
      new Float32Array(memory.buffer, X, tokens * COLS).fill(1);
      const record = [wasm, transposed, ROWS, COLS, WEIGHTS, stride];
      record.push(
        ...(scaled ? [SCALES, COLS / BLOCK, SCALE_NUMBER.e8m0] : [0, 0, 0]),
        0,
        0,
        X,
        COLS,
        OUT,
        ROWS,
        tokens,
        0,
        0,
        0,
        0,
        0,
      );
      words.set([1, ...record, 0, 0, 0], DESCRIPTOR / 4);
      b.start();
      const start = performance.now();
      linear(DESCRIPTOR, 0, ROWS / 8, SCRATCH);
      const milliseconds = performance.now() - start;
      b.end();
      const rate = ROWS * COLS * tokens / milliseconds / 1e6;
      best.set(label, Math.max(best.get(label) ?? 0, rate));
    });
  }
}

globalThis.addEventListener("unload", () => {
  for (const [label, rate] of best) console.log(`${label.padEnd(28)} ${rate.toFixed(1).padStart(6)} GMAC/s`);
});
