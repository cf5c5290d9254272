/** Expected values from SciPy 1.17.1 (stats.t.cdf, stats.t.ppf). */
import { studentCdf, studentP, studentQuantile } from "../../src/eval/student.ts";
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
