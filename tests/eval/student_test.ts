/** Expected values from SciPy 1.17.1 (stats.t.cdf, stats.t.ppf), and from mpmath 1.4.1 with 30 digits. */
import { betaQuantile, studentCdf, studentP, studentQuantile } from "../../src/eval/student.ts";
import { assertAlmostEquals, assertEquals } from "../assert.ts";

Deno.test("studentCdf() and studentP() give SciPy's probabilities", () => {
  const expected: [t: number, df: number, p: number][] = [
    [0, 1, 0.5],
    [1, 1, 0.75],
    [-2.5, 1, 0.12111894159084341],
    [12.706, 1, 0.9749995988209335],
    [2.2, 1.3, 0.8884504961272368],
    [-3, 2.7, 0.03294797882838333],
    [1.96, 30.5, 0.9704061803820261],
    [-4.5, 12.25, 0.00034536356891680213],
    [2, 5000, 0.9772228700058531],
    [-60, 3, 5.0997968366598774e-06],
  ];
  for (const [t, df, p] of expected) {
    assertAlmostEquals(studentCdf(t, df), p, 1e-12, `${t} ${df}`);
    assertAlmostEquals(studentP(t, df), 2 * Math.min(p, 1 - p), 1e-11, `${t} ${df}`);
  }
  assertEquals([studentCdf(Infinity, 3), studentCdf(-Infinity, 3), studentP(-Infinity, 3)], [1, 0, 0]);
  assertEquals([studentCdf(1e200, 3), studentCdf(-1e200, 3)], [1, 0]);
  assertEquals([studentCdf(NaN, 3), studentP(NaN, 3)], [NaN, NaN]);
});

Deno.test("studentQuantile() gives SciPy's quantiles", () => {
  const expected: [p: number, df: number, t: number][] = [
    [0.975, 1, 12.706204736174694],
    [0.975, 1.37, 6.885073156641705],
    [0.975, 2.5, 3.5746548420036817],
    [0.975, 7, 2.364624251592784],
    [0.975, 41.3, 2.019095554713038],
    [0.975, 2000, 1.9611508260994377],
    [0.9995, 3.3, 11.106695189933484],
    [0.8, 1.1, 1.3100081557642442],
    [0.75, 1.5, 0.8725946625415716],
    [0.6, 5, 0.2671808657041451],
  ];
  for (const [p, df, t] of expected) assertAlmostEquals(studentQuantile(p, df), t, 1e-9 * t, `${p} ${df}`);
});

Deno.test("betaQuantile() gives mpmath's quantiles, of few trials and of as many as there may be", () => {
  const expected: [p: number, a: number, b: number, x: number][] = [
    [0.025, 1, 20, 0.0012650894979498037],
    [0.975, 1, 20, 0.16843347098308534],
    [0.975, 36, 15, 0.82138215433585309],
    [0.025, 997, 4, 0.9912579767615217],
    [0.5, 2.5, 0.75, 0.8265712681887292],
    [0.025, 760, 241, 0.73228664165289792],
    [0.975, 5001, 5000, 0.50984861941001951],
    [0.025, 30000, 70001, 0.29716057540056486],
    [1e-6, 3, 9, 0.001829905667071388],
  ];
  for (const [p, a, b, x] of expected) assertAlmostEquals(betaQuantile(p, a, b), x, 1e-12 * x, `${p} ${a} ${b}`);
});
