import { encodePlain } from "../../src/formats/encode.ts";
import { integers, normals } from "../formats/seeded.ts";
import { assertSameBits, Machine } from "./module.ts";
import { NUMBER_FORMATS, type NumberFormat, readNumber, rounded } from "./twins.ts";

for (const format of Object.keys(NUMBER_FORMATS) as NumberFormat[]) {
  for (const round of [false, true]) {
    for (const [width, ends] of [45, 46, 47, 48].flatMap((width) => [[width, false], [width, true]] as const)) {
      const where = ends ? ", where the memory ends" : "";
      Deno.test(`embed() copies rows by id (${format}, width ${width}, round ${round}${where})`, () => {
        const machine = new Machine(1);
        const vocab = 9, stride = 48;
        const size = format === "f32" ? 4 : 2;
        const bytes = encodePlain(normals(5, vocab * width), format);
        const table = ends ? machine.last(bytes) : machine.bytes(bytes, 3);
        const next = integers(6);
        const ids = [...Array.from({ length: 5 }, () => next() % vocab), vocab - 1];
        const out = machine.floats(ids.length * stride);
        const words = [out.address, stride, table.address, width * size, NUMBER_FORMATS[format]];
        machine.run("embed", [...words, machine.integers(ids).address, width, +round], ids.length, [out]);
        for (const [t, id] of ids.entries()) {
          const expected = Array.from(
            { length: width },
            (_, i) => rounded(round, readNumber(bytes, format, id * width + i)),
          );
          assertSameBits(out.data.subarray(t * stride, t * stride + width), expected);
        }
      });
    }
  }
}

Deno.test("embed() reads every half-precision number exactly", () => {
  const machine = new Machine();
  const bytes = new Uint8Array(Uint16Array.from({ length: 65536 }, (_, i) => i).buffer);
  const table = machine.bytes(bytes, 1);
  const out = machine.floats(65536);
  const words = [out.address, 65536, table.address, 0, NUMBER_FORMATS.f16, machine.integers([0]).address, 65536, 0];
  machine.run("embed", words, 1, [out]);
  assertSameBits(out.data, Float32Array.from({ length: 65536 }, (_, i) => readNumber(bytes, "f16", i)));
});
