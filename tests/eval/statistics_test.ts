/** Expected values from SciPy 1.17.1 and statsmodels (binomtest, binom, multipletests). */
import {
  detectableDifference,
  discordance,
  holm,
  mcnemar,
  pairedDifference,
  wilsonInterval,
} from "../../src/eval/statistics.ts";
import { assertAlmostEquals, assertEquals } from "../assert.ts";

Deno.test("wilsonInterval() gives SciPy's intervals", () => {
  const expected: [successes: number, trials: number, low: number, high: number][] = [
    [997, 1000, 0.9912169859464968, 0.9989792161188613],
    [766, 1000, 0.7387721670475353, 0.7911919974381492],
    [0, 20, 0, 0.16112515805281935],
    [20, 20, 0.8388748419471808, 1],
    [1, 3, 0.06149194472039626, 0.7923403991979523],
    [1200, 1319, 0.8931055667480482, 0.924074748241252],
  ];
  for (const [successes, trials, low, high] of expected) {
    const interval = wilsonInterval(successes, trials);
    assertAlmostEquals(interval.low, low, 1e-12);
    assertAlmostEquals(interval.high, high, 1e-12);
  }
});

Deno.test("mcnemar() gives SciPy's exact and mid p-values", () => {
  const expected: [lost: number, gained: number, exact: number, mid: number][] = [
    [0, 0, 1, 1],
    [5, 1, 0.21875, 0.125],
    [10, 10, 1, 1],
    [40, 22, 0.030015864349067285, 0.022574972673257195],
    [22, 40, 0.030015864349067285, 0.022574972673257195],
    [0, 12, 0.00048828125, 0.000244140625],
    [300, 251, 0.04077065347549079, 0.03692108469642432],
  ];
  for (const [lost, gained, exact, mid] of expected) {
    const p = mcnemar({ lost, gained });
    assertAlmostEquals(p.exact, exact, 1e-9, `${lost} ${gained}`);
    assertAlmostEquals(p.mid, mid, 1e-9, `${lost} ${gained}`);
  }
});

Deno.test("discordance() counts problems that one setting alone solves", () => {
  assertEquals(discordance([true, true, false, false, true], [true, false, true, true, true]), { lost: 1, gained: 2 });
});

Deno.test("pairedDifference() is centred near the difference and admits doubt without discordant problems", () => {
  const some = pairedDifference({ lost: 30, gained: 10 }, 1000);
  assertAlmostEquals(some.difference, -0.02, 1e-15);
  // Wald's interval: -0.02 +- 1.96 * sqrt(40 - 20^2 / 1000) / 1000 = [-0.0323, -0.0077]; half a problem in each outcome
  // widens it a little.
  assertAlmostEquals(some.low, -0.0323, 3e-4);
  assertAlmostEquals(some.high, -0.0077, 3e-4);
  const none = pairedDifference({ lost: 0, gained: 0 }, 1000);
  assertEquals(none.difference, 0);
  assertAlmostEquals(none.high, 1.96 / 1002, 1e-6);
});

Deno.test("detectableDifference() has 80% power", () => {
  // The exact power of the mid-p test at these differences, summed over the multinomial with SciPy: 0.812, 0.803,
  // 0.862.
  assertAlmostEquals(detectableDifference({ lost: 20, gained: 20 }, 1000), 0.0178999, 1e-6);
  assertAlmostEquals(detectableDifference({ lost: 60, gained: 60 }, 1000), 0.0307504, 1e-6);
  assertAlmostEquals(detectableDifference({ lost: 5, gained: 5 }, 1319), 0.00703296, 1e-7);
  // Without disagreement, a difference needs about eight problems that all go one way: exact power 0.89.
  assertAlmostEquals(detectableDifference({ lost: 0, gained: 0 }, 1000), 0.0078, 1e-4);
  assertEquals(detectableDifference({ lost: 0, gained: 0 }, 3), 1);
});

Deno.test("holm() gives statsmodels' corrected p-values", () => {
  holm([0.01, 0.04, 0.03, 0.005]).forEach((p, i) => assertAlmostEquals(p, [0.03, 0.06, 0.06, 0.02][i]!, 1e-12));
  assertEquals(holm([]), []);
});
