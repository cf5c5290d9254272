/**
 * Times the WASM kernel `linear` on one thread, with weights that stay in cache; prints multiply-accumulates (for one token: weights) per
 * second of the best run.
 *
 *     deno bench --allow-read bench/wasm_linear.bench.ts
 */
const ROWS = 2880, COLS = 2880;

/** Storages: format word, transposed, bytes of a row (of a stored column if transposed), whether it has block scales. */
const STORAGES = {
  mxfp4: [3, 0, COLS / 2, true],
  mxfp6_e3m2: [4, 0, COLS * 3 / 4, true],
  fp8: [6, 0, COLS, false],
  bf16: [0, 0, COLS * 2, false],
  "bf16 transposed": [0, 1, ROWS * 2, false],
  f32: [1, 0, COLS * 4, false],
} as const;

const memory = new WebAssembly.Memory({ initial: 2048, maximum: 65536, shared: true });
const bytes = new Uint8Array(memory.buffer), words = new Uint32Array(memory.buffer);
const module = new WebAssembly.Module(Deno.readFileSync(new URL("../wasm/pkg/mxoss_kernels_bg.wasm", import.meta.url)));
const { exports } = new WebAssembly.Instance(module, { env: { memory } });
const linear = exports["linear"] as (descriptor: number, start: number, end: number, scratch: number) => void;

const MIB = 2 ** 20;
const DESCRIPTOR = 1 * MIB, SCRATCH = 2 * MIB, SCALES = 4 * MIB, X = 8 * MIB, OUT = 16 * MIB, WEIGHTS = 32 * MIB;
const best = new Map<string, number>();

for (const tokens of [1, 2, 4, 16, 64]) {
  for (const [name, [format, transposed, stride, scaled]] of Object.entries(STORAGES)) {
    const label = `${name}, ${tokens} token${tokens === 1 ? "" : "s"}`;
    Deno.bench({ name: label, group: `${tokens}` }, (b) => {
      // Finite numbers in every format: the bytes of 1.0 and its like.
      bytes.fill(0x33, WEIGHTS, WEIGHTS + stride * ROWS);
      bytes.fill(127, SCALES, SCALES + ROWS * COLS / 32);
      new Float32Array(memory.buffer, X, tokens * COLS).fill(1);
      const record = [format, transposed, ROWS, COLS, WEIGHTS, stride];
      record.push(...(scaled ? [SCALES, COLS / 32, 1] : [0, 0, 0]), 0, 0, X, COLS, OUT, ROWS, tokens, 0, 0, 0, 0, 0);
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
