import { importSharedMemory } from "../../tools/wasm_build.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { PROBES } from "../../src/bench/probe_messages.ts";
import { KERNELS } from "../../src/backends/emulate/control.ts";

const wasm = Deno.readFileSync(new URL("../../wasm/pkg/mxoss_kernels_bg.wasm", import.meta.url));

const HEADER = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
/** A section that imports "m" "memory", at least one page, with or without a maximum. */
const IMPORT = [2, 13, 1, 1, 0x6d, 6, ...new TextEncoder().encode("memory"), 2, 0, 1];
const IMPORT_LIMITED = [2, 14, 1, 1, 0x6d, 6, ...new TextEncoder().encode("memory"), 2, 1, 1, 9];
const SHARED = [2, 18, 1, 3, ...new TextEncoder().encode("env"), 6, ...new TextEncoder().encode("memory"), 2, 3, 1];
const CUSTOM = [0, 3, 1, 0x6e, 7];

Deno.test("importSharedMemory() replaces the import and nothing else", () => {
  for (const section of [IMPORT, IMPORT_LIMITED]) {
    const built = importSharedMemory(Uint8Array.from([...HEADER, ...section, ...CUSTOM]));
    assertEquals([...built], [...HEADER, ...SHARED, 0x80, 0x80, 4, ...CUSTOM]);
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true });
    new WebAssembly.Instance(new WebAssembly.Module(built), { env: { memory } });
  }
});

Deno.test("importSharedMemory() refuses what would run or be written once per thread", () => {
  const refuse = (sections: number[], message: string) =>
    assertThrows(() => importSharedMemory(Uint8Array.from([...HEADER, ...sections])), Error, message);
  refuse([...IMPORT, 11, 1, 0], "data segment");
  refuse([...IMPORT, 8, 1, 0], "start function");
  refuse([2, 15, 2, ...IMPORT.slice(3), 0, 0], "more than one");
});

Deno.test("wasm/pkg holds the module that ABI.md describes", () => {
  const module = new WebAssembly.Module(wasm);
  assertEquals(WebAssembly.Module.imports(module), [{ module: "env", name: "memory", kind: "memory" }]);
  const tokenizer = ["tokenizer_vocabulary", "tokenizer_table", "tokenizer_merges"];
  const kernels = [...KERNELS, "qdq", "encode", "encode_blocks", "decode", "exp", ...tokenizer];
  const exported = WebAssembly.Module.exports(module).map(({ name, kind }) => `${kind} ${name}`).sort();
  const expected = [...kernels, ...PROBES, "heap_base"].map((name) => `function ${name}`);
  assertEquals(exported, [...expected, "global __stack_pointer"].sort());
  const memory = new WebAssembly.Memory({ initial: 16, maximum: 65536, shared: true });
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  const base = (exports["heap_base"] as () => number)();
  assert(base > 0 && base <= 1 << 16, `heap base ${base}`);
});

Deno.test("wasm/pkg uses no relaxed instruction but relaxed_swizzle, relaxed_madd and sums of products", () => {
  // LLVM may turn other SIMD instructions into relaxed ones, which differ from machine to machine. Opcodes 0xfd 0x100
  // .. 0x113.
  const found = new Set<number>();
  for (let i = 0; i + 2 < wasm.length; i++) {
    const opcode = 0x100 + (wasm[i + 1]! & 0x7f);
    if (wasm[i] === 0xfd && wasm[i + 1]! >= 0x80 && wasm[i + 1]! <= 0x93 && wasm[i + 2] === 2) found.add(opcode);
  }
  assertEquals([...found].sort((a, b) => a - b), [0x100, 0x105, 0x112, 0x113]);
});
