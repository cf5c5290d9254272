import { heatTable } from "../../src/eval/report/heat.ts";
import { STYLE } from "../../src/eval/report/style.ts";
import { COLORS } from "../../src/page_colors.ts";
import { assert, assertEquals } from "../assert.ts";

/** Linear parts of a colour such as #08284b. */
const linear = (hex: string): number[] =>
  [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255).map((part) =>
    part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  );
const times = (matrix: readonly (readonly number[])[], of: readonly number[]) =>
  matrix.map((row) => row.reduce((sum, factor, i) => sum + factor * of[i]!, 0));
/** Luminance of a mixture of two colours in oklab, by Ottosson's matrices. */
function luminanceOf(from: string, to: string, part: number): number {
  const lms = (hex: string) =>
    times([
      [0.4122214708, 0.5363325363, 0.0514459929],
      [0.2119034982, 0.6806995451, 0.1073969566],
      [0.0883024619, 0.2817188376, 0.6299787005],
    ], linear(hex)).map(Math.cbrt);
  // Roots are mixed: oklab is a linear map of them.
  const [a, b] = [lms(from), lms(to)];
  const mixed = a.map((value, i) => (value + (b[i]! - value) * part) ** 3);
  const rgb = times([
    [4.0767416621, -3.3077115913, 0.2309699292],
    [-1.2684380046, 2.6097574011, -0.3413193965],
    [-0.0041960863, -0.7034186147, 1.7076147010],
  ], mixed);
  return times([[0.2126, 0.7152, 0.0722]], rgb)[0]!;
}
const contrast = (a: number, b: number) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);

Deno.test("letters of a heat table have a contrast of 4.5 with every colour, in light and dark pages", () => {
  const parts = Array.from({ length: 101 }, (_, i) => 10 ** (i / 100));
  const exact = (value: number) => ({ value, low: value, high: value });
  const html = heatTable({
    what: "layer",
    columns: ["x"],
    rows: parts.map((value, i) => ({ name: `${i}`, values: [exact(value)] })),
  });
  const cells = [...html.matchAll(/<td(?: class="(mid|hi)")? style="--v: (\d+)%"/g)];
  assertEquals(cells.map(([, , percent]) => Number(percent)), [...Array(101).keys()]);
  const scales = [...COLORS.matchAll(/--d0: (#\w{6});[^}]*--d8: (#\w{6});/g)].map(([, first, last]) => [first!, last!]);
  assertEquals(scales.length, 2);
  // By class: letters of the light page, then of the dark one.
  const rule = (selector: string) => new RegExp(`\\.heat td${selector} \\{[^}]*\\bcolor: (#\\w{3});`).exec(STYLE)![1]!;
  const dark = /dark\) \{ \.heat td\[style\] \{ color: (#\w{3}); \} \.heat td\.mid, \.heat td\.hi \{ color: (#\w{3});/;
  const [, darkLow, darkHigh] = dark.exec(STYLE)!;
  const letters: Record<string, readonly string[]> = {
    none: [rule("\\[style\\]"), darkLow!],
    mid: [rule("\\[style\\]"), darkHigh!],
    hi: [rule("\\.hi"), darkHigh!],
  };
  for (const [page, [first, last]] of scales.entries()) {
    for (const [, name = "none", percent] of cells) {
      const cell = luminanceOf(first!, last!, Number(percent) / 100);
      const found = contrast(cell, letters[name]![page] === "#fff" ? 1 : 0);
      assert(found >= 4.5, `${percent}% of the ${page === 0 ? "light" : "dark"} page: ${found.toFixed(2)}`);
    }
  }
});
