import { openGguf } from "../../src/checkpoint/gguf/header.ts";
import { openSafetensors } from "../../src/checkpoint/safetensors.ts";
import type { RangeReader } from "../../src/conversion/range_reader.ts";
import { InputError } from "../../src/errors.ts";
import { planConversion } from "../../src/quantize/gguf/convert.ts";
import { transposedJob } from "../../src/quantize/gguf/expert_jobs.ts";
import type { ReadTensor, TransposedExperts } from "../../src/quantize/gguf/tensors.ts";
import { assert, assertEquals, assertRejects } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { GOLDENS, run, withTypes } from "./gguf_runs.ts";

const BF16 = 30, F16 = 1, MXFP4 = 39, Q4_K = 12;
const EXPERTS = 4, HIDDEN = 64, INNER = 32;

async function refused(bytes: Uint8Array): Promise<string> {
  using dir = new TemporaryDirectory();
  const path = dir.write("x.gguf", bytes);
  return (await assertRejects(async () => await planConversion(path), InputError)).message.replace(path, "x");
}

Deno.test("gguf: experts of which some are MXFP4 alone are refused by the first that differs", async () => {
  const first = "as in blk.0.ffn_gate_exps.weight (all experts MXFP4, or none)";
  const own = ["gate", "up", "down"].map((part) => `blk.0.ffn_${part}_exps.weight`);
  for (const other of [own[1]!, own[2]!, "blk.1.ffn_up_exps.weight"]) {
    const expected = `expected F32, F16, BF16 or Q8_0 ${first}, got MXFP4`;
    assertEquals(await refused(withTypes("experts-q8_0.gguf", [other], 3, MXFP4)), `x: tensor ${other}: ${expected}`);
  }
  assertEquals(
    await refused(withTypes("experts-q8_0.gguf", own, 3, MXFP4)),
    `x: tensor blk.1.ffn_gate_exps.weight: expected MXFP4 ${first}, got Q8_0`,
  );
});

Deno.test("gguf: experts of other types are refused by what is read", async () => {
  assertEquals(
    await refused(withTypes("experts-q8_0.gguf", ["blk.1.ffn_up_exps.weight"], 3, Q4_K)),
    "x: tensor blk.1.ffn_up_exps.weight: expected F32, F16, BF16, Q8_0 or MXFP4 [4, 32, 64], got Q4_K [4, 32, 64]",
  );
});

Deno.test("gguf: gate and up of two types are joined in float32, which holds the numbers of both", async () => {
  using dir = new TemporaryDirectory();
  const up = "blk.0.ffn_up_exps.weight", bytes = withTypes("experts-bf16.gguf", [up], 3, F16);
  const path = dir.write("x.gguf", bytes), { tensors } = openGguf(path);
  await run(await planConversion(path), `${dir.path}/out`);
  const stored = openSafetensors(`${dir.path}/out/model.safetensors`);
  const joined = stored.tensors.get("model.layers.0.mlp.experts.gate_up_proj")!;
  assertEquals([joined.dtype, joined.shape], ["F32", [EXPERTS, HIDDEN, 2 * INNER]]);
  assertEquals(stored.tensors.get("model.layers.1.mlp.experts.gate_up_proj")!.dtype, "BF16");
  const written = new DataView(Deno.readFileSync(stored.path).buffer), file = new DataView(bytes.buffer);
  const at = (part: string) => tensors.get(`blk.0.ffn_${part}_exps.weight`)!.offset;
  for (let e = 0; e < EXPERTS; e++) {
    for (let h = 0; h < HIDDEN; h++) {
      for (let i = 0; i < INNER; i++) {
        const from = 2 * ((e * INNER + i) * HIDDEN + h),
          to = joined.offset + 4 * ((e * HIDDEN + h) * 2 * INNER + 2 * i);
        assertEquals(written.getUint32(to, true), file.getUint16(at("gate") + from, true) * 2 ** 16);
        assertEquals(written.getFloat32(to + 4, true), file.getFloat16(at("up") + from, true));
      }
    }
  }
});

Deno.test("gguf: a scale of an expert that is not finite is refused where it stands", async () => {
  using dir = new TemporaryDirectory();
  const bytes = Deno.readFileSync(`${GOLDENS}experts-q8_0.gguf`), path = `${dir.path}/x.gguf`;
  const { offset } = openGguf(`${GOLDENS}experts-q8_0.gguf`).tensors.get("blk.1.ffn_up_exps.weight")!;
  // Row 3 of expert 2, its second block.
  const block = (2 * INNER + 3) * HIDDEN / 32 + 1;
  new DataView(bytes.buffer).setFloat16(offset + 34 * block, -Infinity, true);
  Deno.writeFileSync(path, bytes);
  const plan = await planConversion(path);
  const { message } = await assertRejects(async () => await run(plan, `${dir.path}/out`), InputError);
  const got = `got -Infinity of block ${block}`;
  assertEquals(message, `${path}: tensor blk.1.ffn_up_exps.weight: expected finite scales, ${got}`);
  assert(![...Deno.readDirSync(`${dir.path}/out`)].some(({ name }) => /^config\.json$|safetensors$/.test(name)));
});

Deno.test("gguf: experts are transposed by parts of rows and of columns, every bit of NaNs included", () => {
  const experts = 3, rows = 71, cols = 160, own = rows * cols;
  const word = (file: number, index: number) => (index * 40_503 + file * 77 + (index >>> 11)) & 0xffff;
  let longest = 0;
  const reader = {
    read(file: number, offset: number, into: Uint8Array<ArrayBuffer>) {
      longest = Math.max(longest, into.length);
      const words = new Uint16Array(into.buffer);
      for (let i = 0; i < words.length; i++) words[i] = word(file, offset / 2 + i);
    },
  } as unknown as RangeReader;
  const from = [0, 1].map((file): ReadTensor => ({
    ...{ name: "x", shape: [experts, rows, cols], type: BF16, offset: 0, bytes: 2 * experts * own },
    ...{ file, format: "BF16" },
  }));
  const piece: TransposedExperts = { kind: "transposed", name: "to", experts, rows, cols, from };
  // All at once; three rows and 33 columns; less than one of each.
  for (const room of [undefined, { held: 33 * 2 * 2 * rows + 5, read: 3 * 2 * cols + 7 }, { held: 1, read: 2 }]) {
    const job = transposedJob(piece, { reader, paths: ["a", "b"] }, room);
    assertEquals(job.tensors, [{ name: "to", dtype: "BF16", shape: [experts, cols, 2 * rows] }]);
    const got: Uint8Array[] = [];
    longest = 0;
    for (const _ of job.run((_name, bytes) => got.push(Uint8Array.from(bytes as Uint8Array))));
    const words = new Uint16Array(Uint8Array.from(got.flatMap((bytes) => [...bytes])).buffer);
    const expected = Uint16Array.from({ length: 2 * experts * own }, (_, at) => {
      const column = Math.floor(at / (2 * rows)), row = (at % (2 * rows)) >> 1;
      return word(at & 1, Math.floor(column / cols) * own + row * cols + column % cols);
    });
    assertEquals(words, expected);
    if (room !== undefined) assert(longest <= Math.max(2 * cols, room.read), `${longest} bytes at once`);
  }
});
