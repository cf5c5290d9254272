/** QDQ of the SIMD kernels against the goldens of tests/goldens/quant, and bit for bit against src/formats. */
import type { InputFormat } from "../../src/formats/input.ts";
import { BLOCK } from "../../src/formats/format.ts";
import { qdqRow } from "../../src/formats/qdq.ts";
import { assertEquals } from "../assert.ts";
import { floats, readGolden } from "../golden.ts";
import { BLOCKS, blocks, canonical, HALVES, halves, sha256, TOKEN_BLOCKS, tokenRows } from "../formats/blocks.ts";
import { everyNth } from "../soak.ts";
import { INPUTS } from "./inputs.ts";
import { assertSameBits, F32, Machine } from "./module.ts";

const goldens = readGolden("quant/blocks.safetensors");
const numbers = new Float32Array(blocks().buffer), halfNumbers = new Float32Array(halves().buffer);

/** Rows of 32 blocks: the scale of MX blocks is a block's own, whatever the row. */
const WIDTH = 32 * BLOCK;
const rowsOf = (all: Float32Array, width: number) =>
  Array.from({ length: all.length / width }, (_, r) => all.subarray(r * width, (r + 1) * width));

type Words = readonly (number | F32)[];
type Case = readonly [golden: string, InputFormat, Words, rows: readonly Float32Array[]];

/** Both sets of blocks in an MX format. */
function mxCases(input: InputFormat & { kind: "mx" }, words: Words): Case[] {
  const golden = `${input.element}.${input.rule}`;
  return [
    [golden, input, words, rowsOf(numbers, WIDTH)],
    [`halves.${golden}`, input, words, rowsOf(halfNumbers, WIDTH)],
  ];
}

/** Name of the golden, the input format, its words in a descriptor, and rows. */
const CASES: Case[] = [
  ...INPUTS.flatMap(([, input, words]) => input.kind === "mx" ? mxCases(input, words) : []),
  // Outside a soak half of the scales.
  ...everyNth(
    2,
    [...floats(goldens, "fp8_static.scales")].map((scale, i) => {
      const input: InputFormat = { kind: "fp8_static", scale };
      return [`fp8_static.${i}`, input, [4, 0, new F32(scale)], rowsOf(numbers, WIDTH)] as const;
    }),
  ),
  ["fp8_token", { kind: "fp8_token" }, [5, 0, 0], tokenRows(numbers)],
  ["q8_0", { kind: "q8_0" }, [9, 0, 0], rowsOf(numbers, WIDTH)],
  ["halves.q8_0", { kind: "q8_0" }, [9, 0, 0], rowsOf(halfNumbers, WIDTH)],
];

const MEBIBYTES = 2 * Math.ceil(4 * BLOCKS * BLOCK / 2 ** 20) + 4;

for (const [golden, input, words, rows] of CASES) {
  const count = golden.startsWith("halves.") ? HALVES : BLOCKS;
  Deno.test(`qdq() of the kernels equals the goldens of ${count} blocks (${golden})`, async () => {
    const width = rows[0]!.length;
    assertEquals(width, golden === "fp8_token" ? TOKEN_BLOCKS * BLOCK : WIDTH);
    const machine = new Machine(MEBIBYTES);
    const x = machine.floats(rows.length * width), out = machine.floats(rows.length * width);
    rows.forEach((row, r) => x.data.set(row, r * width));
    machine.run("qdq", [out.address, x.address, width, width, ...words, 0], rows.length, [out]);
    const got = out.data.slice();
    // The golden hash below holds every row, of this and of src/formats (tests/formats/blocks_test.ts).
    for (const r of everyNth(16, [...rows.keys()])) {
      assertSameBits(got.subarray(r * width, (r + 1) * width), qdqRow(rows[r]!, input, false), `row ${r}`);
    }
    assertEquals(await sha256(canonical(got)), [...goldens.get(`${golden}.sha256`)!.data]);
  });
}
