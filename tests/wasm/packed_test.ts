import { normals } from "../formats/seeded.ts";
import { matrixRows, padded, scratchBytes, TILE } from "./linear.ts";
import { assertSameBits, F32, Machine } from "./module.ts";
import { type Storage, storageName, storeMatrix } from "./weights.ts";

const STORAGES: readonly Storage[] = [
  { format: "bf16" },
  { format: "mxfp6_e3m2" },
  { format: "fp8_e4m3", rowScales: true },
  { format: "bf16", transposed: true },
];
/** Words of `prepare`: no quantization, FP8 with a scale of each row. */
const NONE = 0, FP8_ROW = 5;

for (const storage of STORAGES) {
  Deno.test(`linear() gives the same bits of packed rows as of prepared ones (${storageName(storage)})`, () => {
    // One block, one panel, several of different sizes; rows of one group of input rows, and of two.
    for (
      const [cols, rows, n, kind] of [[7, 3, 1, NONE], [600, 11, 6, FP8_ROW], [1220, 9, 13, NONE], [33, 8, 131, NONE], [
        70,
        8,
        10,
        NONE,
      ]]
    ) {
      const machine = new Machine();
      const matrix = storeMatrix(machine, matrixRows(rows!, cols!), storage), stride = padded(cols!);
      // Every third row is so small that block scales change what its products lose.
      const size = (i: number) => Math.floor(i / cols!) % 3 === 1 ? 2 ** -140 : 1;
      const x = machine.floats(normals(5, n! * cols!).map((v, i) => v * size(i))), groups = Math.ceil(n! / 5);
      const outs = [false, true].map((packed) => {
        const prepared = machine.floats((packed ? 4 * Math.ceil(n! / 4) : n!) * stride), scales = machine.floats(n!);
        const ours = kind === NONE ? 0 : scales.address, outStride = packed ? 0 : stride, round = +(kind !== NONE);
        const words = [
          prepared.address,
          outStride,
          x.address,
          cols!,
          cols!,
          kind!,
          0,
          new F32(1),
          round,
          ours,
          0,
          0,
          0,
          n!,
        ];
        machine.run("prepare", words, packed ? groups : n!, [prepared, scales], scratchBytes(cols!));
        const out = machine.floats(n! * rows!);
        const end = [0, 0, ours, round, 0, 0, 0, 0];
        const record = [prepared.address, outStride, out.address, rows!, n!, ...end];
        machine.run(
          "linear",
          [1, ...matrix.words, 0, 0, ...record],
          Math.ceil(rows! / TILE),
          [out],
          scratchBytes(cols!),
        );
        return out.data;
      });
      assertSameBits(outs[1]!, outs[0]!, `${n} rows of ${cols} columns`);
    }
  });
}
