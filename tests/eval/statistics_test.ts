/**
 * Expected values from SciPy 1.17.1 and statsmodels 0.14 (binomtest, binom, multipletests, proportion_confint).
 * Coverage is counted, not drawn: the probabilities of all outcomes whose interval holds the truth are added up.
 */
import {
  APART,
  detectableDifference,
  exactInterval,
  holm,
  type Interval,
  levelOf,
  pairedDifference,
  wilsonInterval,
} from "../../src/eval/statistics.ts";
import { pairedP } from "../../src/eval/paired.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { binomial } from "./binomial.ts";

/** Holds that these intervals of proportions are the expected ones. */
function assertIntervals(
  interval: (successes: number, trials: number) => Interval,
  expected: readonly (readonly [successes: number, trials: number, low: number, high: number])[],
): void {
  for (const [successes, trials, low, high] of expected) {
    const got = interval(successes, trials);
    assertAlmostEquals(got.low, low, 1e-12);
    assertAlmostEquals(got.high, high, 1e-12);
  }
}

Deno.test("wilsonInterval() gives SciPy's intervals", () => {
  assertIntervals(wilsonInterval, [
    [997, 1000, 0.9912169859464968, 0.9989792161188613],
    [766, 1000, 0.7387721670475353, 0.7911919974381492],
    [0, 20, 0, 0.16112515805281935],
    [20, 20, 0.8388748419471808, 1],
    [1, 3, 0.06149194472039626, 0.7923403991979523],
    [1200, 1319, 0.8931055667480482, 0.924074748241252],
  ]);
});

Deno.test("exactInterval() gives statsmodels' intervals", () => {
  assertIntervals(exactInterval, [
    [997, 1000, 0.9912579767615217, 0.9993809000683505],
    [766, 1000, 0.7384980761844333, 0.7919259196245902],
    [0, 20, 0, 0.16843347098308534],
    [20, 20, 0.8315665290169146, 1],
    [1, 3, 0.008403758659612636, 0.9057006759497539],
    [1200, 1319, 0.8930122834435708, 0.9246939879409418],
    [4, 5, 0.2835820638819105, 0.9949492366205319],
  ]);
});

Deno.test("an accuracy's interval holds it 95 times of 100 however near 1 it is; Wilson's does not", () => {
  const shares = [1e-4, 1e-3, 0.0088, 0.036, 0.1, 0.24, 0.5, 0.76, 0.8826, 0.964, 0.9912, 0.9965, 0.999, 0.9999];
  let least = 1;
  for (const n of [1, 2, 5, 20, 50, 200]) {
    const outcomes = Array.from({ length: n + 1 }, (_, k) => k);
    const [exact, wilson] = [exactInterval, wilsonInterval].map((of) => outcomes.map((k) => of(k, n)));
    for (const share of shares) {
      const ps = binomial(n, share);
      const held = (all: typeof exact) =>
        ps.reduce((sum, p, k) => sum + (all![k]!.low <= share && share <= all![k]!.high ? p : 0), 0);
      assert(held(exact) >= 0.95 - 1e-9, `${n} problems, accuracy ${share}: ${held(exact)}`);
      least = Math.min(least, held(wilson));
    }
  }
  assert(least < 0.84, `Wilson ${least}`);
});

Deno.test("a difference's interval holds it 93 times of 100, also where all problems that differ are lost", () => {
  for (const n of [5, 20, 50, 200]) {
    const intervals = new Map<string, ReturnType<typeof pairedDifference>>();
    for (const differ of [0.005, 0.01, 0.02, 0.05, 0.2, 0.4]) {
      for (const part of [0.5, 0.75, 1]) {
        const truth = differ * (2 * part - 1);
        let held = 0;
        binomial(n, differ).forEach((p, tosses) => {
          if (p < 1e-6) return;
          binomial(tosses, part).forEach((q, gained) => {
            if (p * q < 1e-6) return;
            const key = `${tosses} ${gained}`;
            const found = intervals.get(key) ?? pairedDifference({ lost: tosses - gained, gained }, n);
            intervals.set(key, found);
            if (found.low <= truth && truth <= found.high) held += p * q;
          });
        });
        assert(held >= 0.93, `${n} problems, ${differ} differ, ${part} of them gained: ${held}`);
      }
    }
  }
});

Deno.test("a difference's interval holds it 92.7 times of 100 at worst where nothing is lost", () => {
  let least = 1;
  for (const n of [30, 40, 70, 100, 150, 1000]) {
    const intervals = Array.from(
      { length: n + 1 },
      (_, gained) => gained > 60 ? { low: 0, high: 1 } : pairedDifference({ lost: 0, gained }, n),
    );
    for (let gained = 2; gained <= Math.min(15, 0.4 * n); gained += 0.25) {
      const truth = gained / n,
        held = binomial(n, truth).reduce((sum, p, k) => {
          const { low, high } = intervals[k]!;
          return low <= truth && truth <= high ? sum + p : sum;
        }, 0);
      least = Math.min(least, held);
      assert(held >= 0.927, `${n} problems, ${gained} gained: ${held}`);
    }
  }
  assert(least < 0.928, `${least}`);
});

Deno.test("a difference's interval holds large ones, and those of a handful of problems, 91 times of 100", () => {
  const rates = [0, 0.01, 0.05, 0.1, 0.2, 0.25, 0.28, 0.3, 0.5, 0.6, 0.7, 0.72, 0.75, 0.8, 0.9, 0.95, 0.99, 1];
  for (const n of [1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 20, 50]) {
    const found = new Map<string, Interval>();
    for (const lost of rates) {
      for (const gained of rates) {
        if (lost + gained > 1) continue;
        const truth = gained - lost;
        let held = 0;
        binomial(n, lost).forEach((p, losses) => {
          // Of those that are not lost.
          binomial(n - losses, lost === 1 ? 0 : Math.min(1, gained / (1 - lost))).forEach((q, gains) => {
            const key = `${losses} ${gains}`;
            const { low, high } = found.get(key) ?? pairedDifference({ lost: losses, gained: gains }, n);
            found.set(key, { low, high });
            if (low <= truth + 1e-12 && truth - 1e-12 <= high) held += p * q;
          });
        });
        assert(held >= 0.91, `${n} problems, ${lost} lost, ${gained} gained: ${held}`);
      }
    }
  }
});

Deno.test("a difference's interval holds 0 just where the test finds nothing", () => {
  for (let tosses = 0; tosses <= 60; tosses++) {
    for (let gained = 0; gained <= tosses; gained++) {
      const pair = { lost: tosses - gained, gained };
      for (const trials of [tosses + 1, 300]) {
        const { low, high, difference, p } = pairedDifference(pair, trials);
        assertEquals(p, pairedP(pair, trials));
        assertEquals(low <= 0 && 0 <= high, p >= APART, `${pair.lost} ${gained} of ${trials}`);
        assert(low <= difference && difference <= high && low < high);
      }
    }
  }
});

Deno.test("pairedDifference() gives the score test's bounds, found by SciPy from the likelihood", () => {
  const expected: [lost: number, gained: number, trials: number, low: number, high: number][] = [
    [30, 10, 1000, -0.03356654584, -0.00800255526],
    [0, 0, 1000, -0.003826758486, 0.003826758486],
    [0, 0, 200, -0.018845326377, 0.018845326377],
    [3, 12, 100, 0.015977141319, 0.173742844682],
    [14, 16, 50, -0.173518810003, 0.249501738457],
    [0, 6, 50, 0.040090687957, 0.238048173832],
    [5, 0, 20, -0.468700889246, -0.048593551704],
    [8, 5, 1000, -0.011316428109, 0.004661365402],
  ];
  for (const [lost, gained, trials, low, high] of expected) {
    const found = pairedDifference({ lost, gained }, trials);
    assertAlmostEquals(found.difference, (gained - lost) / trials, 1e-15);
    assertAlmostEquals(found.low, low, 1e-7);
    assertAlmostEquals(found.high, high, 1e-7);
  }
});

Deno.test("pairedDifference() joins exact intervals of few problems and of large differences, as by SciPy", () => {
  // The least of the lower ends where as much or more is gained; the upper end likewise, of the other direction.
  const expected: [lost: number, gained: number, trials: number, low: number, high: number][] = [
    [0, 1, 2, -0.8293069999, 0.98742088291],
    [0, 2, 2, -0.68377223398, 1],
    [0, 5, 5, 0, 1],
    [5, 0, 5, -1, 0],
    [0, 6, 6, 0.08148374712, 1],
    [0, 7, 8, 0.10407368157, 0.99684027647],
    [0, 9, 9, 0.32746576624, 1],
    [1, 8, 9, 0.035006970165, 0.99438172651],
    [0, 10, 10, 0.44493440027, 1],
    [0, 5, 10, 0.083700800206, 0.76340690949],
    [0, 6, 10, 0.15594752022, 0.87844774188],
    [2, 8, 10, -0.11219092462, 0.94957854735],
    [1, 7, 10, 0.048924231576, 0.93073191028],
    [0, 0, 10, -0.27753279986, 0.27753279986],
    [0, 0, 9, -0.33626711688, 0.33626711688],
    [3, 3, 9, -0.62585031237, 0.62585031237],
    [0, 12, 20, 0.34219974712, 0.80880993927],
    [1, 14, 20, 0.20847805495, 0.8798033201],
    [2, 18, 20, 0.36603457196, 0.97530294566],
    [5, 26, 31, 0.32545683005, 0.89095134757],
    [10, 40, 50, 0.32563378323, 0.79939552505],
    [0, 26, 50, 0.37415194508, 0.6633949084],
    [2, 29, 50, 0.29492280946, 0.71323632545],
    [45, 2, 50, -0.96184347298, -0.64472700796],
    // Where more is gained, exact intervals take over and end lower.
    [0, 6, 9, 0.063639309404, 0.92514536858],
    [1, 7, 9, 0.035006970165, 0.96904588978],
    [2, 7, 11, -0.12749841193, 0.77694256033],
    [2, 9, 12, 0.031724502628, 0.92427683001],
    [9, 2, 12, -0.92427683001, -0.031724502628],
    [1, 8, 16, 0.052025355868, 0.68844183991],
    [1, 11, 25, 0.14576472007, 0.60564034826],
    [1, 13, 25, 0.14576472007, 0.67727029852],
    [3, 26, 50, 0.26657848846, 0.61271246601],
    [10, 0, 10, -1, -0.44493440027],
    [0, 2, 9, -0.3081221434, 0.60009357372],
  ];
  for (const [lost, gained, trials, low, high] of expected) {
    const found = pairedDifference({ lost, gained }, trials), what = `${lost} lost, ${gained} gained of ${trials}`;
    assertAlmostEquals(found.low, low, 1e-9, what);
    assertAlmostEquals(found.high, high, 1e-9, what);
  }
  assertEquals(
    [[0, 1], [1, 0], [0, 0]].map(([lost, gained]) => pairedDifference({ lost: lost!, gained: gained! }, 1)),
    [
      { difference: 1, p: 1, low: -1, high: 1 },
      { difference: -1, p: 1, low: -1, high: 1 },
      { difference: 0, p: 1, low: -1, high: 1 },
    ],
  );
});

Deno.test("detectableDifference() has 80% power", () => {
  // The exact power of pairedP() at these differences, summed over the multinomial: 0.812, 0.802, 0.862.
  assertAlmostEquals(detectableDifference({ lost: 20, gained: 20 }, 1000), 0.0178999, 1e-6);
  assertAlmostEquals(detectableDifference({ lost: 60, gained: 60 }, 1000), 0.0307504, 1e-6);
  assertAlmostEquals(detectableDifference({ lost: 5, gained: 5 }, 1319), 0.00703296, 1e-7);
  // Without disagreement, a difference needs about eight problems that all go one way: exact power 0.89.
  assertAlmostEquals(detectableDifference({ lost: 0, gained: 0 }, 1000), 0.0078, 1e-4);
  assertEquals(detectableDifference({ lost: 0, gained: 0 }, 3), 1);
  // Of eleven settings the one whose test is the strictest, p below 0.05 / 11: exact power 0.82 and 0.81 at these
  // differences, and 0.50 and 0.49 at those of a single one.
  assertAlmostEquals(detectableDifference({ lost: 25, gained: 25 }, 1000, 11), 0.0262, 1e-4);
  assertAlmostEquals(detectableDifference({ lost: 60, gained: 60 }, 1000, 11), 0.0404, 1e-4);
});

Deno.test("detectableDifference() of few problems has 80% power by all outcomes, and is 1 where none shows any", () => {
  // The least p-value of n problems is 2^(1 - n): of 4 and 5 none is below 0.05, nor of 8 below 0.05 / 10.
  for (const [trials, comparisons] of [[4, 1], [5, 1], [6, 2], [6, 3], [7, 5], [8, 7], [8, 10]] as const) {
    assert(pairedP({ lost: 0, gained: trials }, trials) * comparisons >= 0.05);
    assertEquals(detectableDifference({ lost: 0, gained: 0 }, trials, comparisons), 1);
  }
  for (const trials of [6, 7, 10, 16, 22, 30]) {
    for (const comparisons of [1, 3]) {
      for (const differ of [0, Math.floor(trials / 2), trials]) {
        const lost = Math.floor(differ / 2), pair = { lost, gained: differ - lost };
        const d = detectableDifference(pair, trials, comparisons), disagree = Math.max((differ + 1) / (trials + 2), d);
        // Where all against none is found, some difference shows.
        assertEquals(d === 1, pairedP({ lost: 0, gained: trials }, trials) * comparisons >= 0.05);
        if (d === 1) continue;
        let power = 0;
        binomial(trials, disagree).forEach((p, tosses) =>
          binomial(tosses, (disagree + d) / 2 / disagree).forEach((q, gained) => {
            const found = 2 * gained > tosses &&
              pairedP({ lost: tosses - gained, gained }, trials) * comparisons < 0.05;
            if (found) power += p * q;
          })
        );
        assertAlmostEquals(power, 0.8, 1e-9);
      }
    }
  }
});

Deno.test("levelOf() gives SciPy's quantiles", () => {
  const expected = [[1, 1.959963984540054], [2, 2.241402727604947], [11, 2.8375969129437872], [39, 3.219967505017059]];
  for (const [comparisons, level] of expected) assertAlmostEquals(levelOf(comparisons!), level!, 1e-12);
  assertAlmostEquals(levelOf(780), 3.9971762842898855, 1e-12);
});

Deno.test("holm() gives statsmodels' corrected p-values", () => {
  holm([0.01, 0.04, 0.03, 0.005]).forEach((p, i) => assertAlmostEquals(p, [0.03, 0.06, 0.06, 0.02][i]!, 1e-12));
  holm([0.01, 0.04, 0.03, 0.8]).forEach((p, i) => assertAlmostEquals(p, [0.04, 0.09, 0.09, 0.8][i]!, 1e-12));
  // A probability stays one.
  assertEquals([holm([0.6, 0.9, 0.8]), holm([])], [[1, 1, 1], []]);
});

Deno.test("a difference's interval does not go down where one more problem is gained", () => {
  for (const n of [2, 5, 8, 9, 10, 16, 31, 50]) {
    for (let lost = 0; lost <= n; lost++) {
      let last = pairedDifference({ lost, gained: 0 }, n);
      for (let gained = 1; gained + lost <= n; gained++) {
        const next = pairedDifference({ lost, gained }, n);
        const what = `${n} problems, ${lost} lost, ${gained} gained`;
        assert(next.low >= last.low - 1e-12 && next.high >= last.high - 1e-12, what);
        last = next;
      }
    }
  }
});
