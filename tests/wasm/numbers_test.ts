/**
 * The numbers by which TypeScript and the kernels know formats. A kernel takes a number that it does not know for the
 * last of its list, and would compute something else without an error: so each must be in the sources.
 */
import { MX_FORMATS, mxElementOf, STORED_FORMATS } from "../../src/formats/format.ts";
import { assertEquals } from "../assert.ts";

/** Constants of a Rust source, by name. */
function constants(file: string, from = ""): Record<string, number> {
  const source = Deno.readTextFileSync(new URL(`../../wasm/src/${file}`, import.meta.url));
  const part = source.slice(Math.max(0, source.indexOf(from))).split("\n}")[0]!;
  return Object.fromEntries(
    Array.from(part.matchAll(/const (\w+): usize = (\d+);/g), ([, name, number]) => [name!, Number(number)]),
  );
}

Deno.test("the kernels know the number of every stored format", () => {
  // The last one is what is left over.
  const { fp8_e4m3fnuz: last, ...others } = STORED_FORMATS;
  const known = constants("record.rs", "pub mod format {");
  const expected = Object.entries(others).map(([name, { wasm }]) => [
    name === "fp8_e4m3" ? "FP8_E4M3FN" : name.toUpperCase(),
    wasm as number,
  ]);
  assertEquals(Object.fromEntries(expected), known);
  assertEquals(Object.values(known).includes(last.wasm), false);
});

Deno.test("the kernels know the number of the QDQ of every MX format", () => {
  const known = constants("quantize.rs", "const NONE");
  for (const format of MX_FORMATS) {
    assertEquals(known[mxElementOf(format).toUpperCase()], STORED_FORMATS[format].qdq, format);
  }
});
