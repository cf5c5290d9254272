/**
 * The test of two settings on the same problems. Expected p-values of McNemar's tests are from SciPy 1.17.1; how often
 * equals are told apart is counted, not drawn.
 */
import { type Discordance, discordance, mcnemar, pairedP, pairedPower } from "../../src/eval/paired.ts";
import { APART } from "../../src/eval/statistics.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { dose } from "../soak.ts";
import { binomial } from "./binomial.ts";

/** Shares of problems that differ, none of which is one that the test itself tries. */
const SHARES = Array.from({ length: 150 }, (_, i) => ((i + 0.618) / 149.7) ** 2).map((x) => Math.min(1, x));

/** How often something is found by this p-value where so many problems differ, each likelier gained than lost. */
function foundOf(tosses: number, gainedPart: number, p: (pair: Discordance) => number): number {
  const coins = binomial(tosses, gainedPart);
  return coins.reduce((sum, q, gained) => q > 1e-12 && p({ lost: tosses - gained, gained }) < APART ? sum + q : sum, 0);
}

/** Likewise of all numbers of problems that may differ, of each of some shares on average. */
function found(trials: number, shares: readonly number[], part: number, p: (pair: Discordance) => number): number[] {
  const each = new Map<number, number>();
  return shares.map((share) =>
    binomial(trials, share).reduce((sum, w, tosses) => {
      if (w < 1e-12) return sum;
      if (!each.has(tosses)) each.set(tosses, foundOf(tosses, part, p));
      return sum + w * each.get(tosses)!;
    }, 0)
  );
}

/** Remembers p-values, which do not depend on the direction. */
function remembering(trials: number): (pair: Discordance) => number {
  const known = new Map<string, number>();
  return ({ lost, gained }) => {
    const key = `${Math.min(lost, gained)} ${Math.max(lost, gained)}`;
    if (!known.has(key)) known.set(key, pairedP({ lost, gained }, trials));
    return known.get(key)!;
  };
}

const mid = (pair: Discordance) => mcnemar(pair).mid, exact = (pair: Discordance) => mcnemar(pair).exact;

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
  assertEquals(discordance([true, false, false, true], [false, false, true, false]), { lost: 2, gained: 1 });
});

Deno.test("pairedP() is the largest probability among equals of what McNemar's mid-p finds as extreme", () => {
  for (const trials of [1, 2, 5, 9, 14]) {
    for (let lost = 0; lost <= trials; lost++) {
      for (let gained = 0; lost + gained <= trials; gained++) {
        const seen = mid({ lost, gained }) + 1e-9;
        const extreme = Array.from(
          { length: trials + 1 },
          (_, tosses) =>
            binomial(tosses, 0.5).reduce(
              (sum, q, k) => mid({ lost: tosses - k, gained: k }) <= seen ? sum + q : sum,
              0,
            ),
        );
        const most = Math.max(
          ...Array.from(
            { length: 1001 },
            (_, i) => binomial(trials, i / 1000).reduce((sum, w, tosses) => sum + w * extreme[tosses]!, 0),
          ),
        );
        assertAlmostEquals(
          pairedP({ lost, gained }, trials),
          Math.min(1, most),
          2e-4,
          `${lost} ${gained} of ${trials}`,
        );
      }
    }
  }
});

Deno.test("pairedP() tells equals apart 5 times of 100 at most, and mid-p more often", () => {
  let most = 0;
  for (const trials of [5, 12, 20, 50, 100, ...dose<number[]>([], [200, 400])]) {
    const shares = [...SHARES, 1];
    const own = Math.max(...found(trials, shares, 0.5, remembering(trials)));
    assert(own <= APART + 1e-6, `${trials} problems: ${own}`);
    most = Math.max(most, ...found(trials, shares, 0.5, mid));
  }
  assert(most > 0.064, `${most}`);
  // And of one number of problems that differ.
  assertAlmostEquals(foundOf(16, 0.5, mid), 0.0768, 1e-4);
});

Deno.test("pairedP() finds what is there nearly as often as mid-p does, and more often than the exact test", () => {
  const cases = [[200, 0.05, 0.04], [200, 0.2, 0.09], [100, 0.3, 0.15], [400, 0.02, 0.0195]] as const;
  for (const [trials, share, difference] of cases) {
    const part = (share + difference) / 2 / share;
    const [own, loose, strict] = [remembering(trials), mid, exact].map((p) => found(trials, [share], part, p)[0]!);
    assert(own! > loose! - 0.006 && own! > strict! + 0.03, `${trials} problems: ${own}, ${loose}, ${strict}`);
  }
});

Deno.test("pairedP() is that of either direction, and 1 where nothing or as much is lost as gained", () => {
  assertEquals(pairedP({ lost: 3, gained: 12 }, 100), pairedP({ lost: 12, gained: 3 }, 100));
  assertEquals([0, 1, 7].map((n) => pairedP({ lost: n, gained: n }, 20)), [1, 1, 1]);
  // Five to none of a hundred: the exact test says 1/16, mid-p 1/32.
  assertAlmostEquals(pairedP({ lost: 0, gained: 5 }, 100), 0.0352, 1e-4);
  assertAlmostEquals(pairedP({ lost: 30, gained: 10 }, 1000), 0.00146977, 1e-7);
});

// By mpmath with 40 digits: sums of whole numbers, and golden sections around each maximum of 2,000 shares or more.
Deno.test("pairedP() is the largest to ten digits", () => {
  const expected: [lost: number, gained: number, trials: number, p: number][] = [
    [3, 12, 100, 0.0230112980921963],
    [0, 5, 100, 0.0352002002177048],
    [30, 10, 1000, 0.00146977627695266],
    [8, 1, 30, 0.0207911189148056],
    [20, 50, 400, 0.000316951344823403],
    [0, 8, 1319, 0.00417145967576061],
    [150, 190, 1319, 0.0316991623913725],
    [1, 7, 9, 0.0475010014423985],
    [0, 16, 16, 2 ** -15],
    [40, 41, 100, 0.952274316175823],
    // Five shares are as good as the best within a percent.
    [20, 40, 1319, 0.00995830390064411],
  ];
  for (const [lost, gained, trials, p] of expected) {
    assertAlmostEquals(pairedP({ lost, gained }, trials), p, 1e-11 * p, `${lost} ${gained} of ${trials}`);
  }
});

Deno.test("pairedPower() adds up the outcomes that are found", () => {
  assertEquals([pairedPower(5, APART)(0, 1), pairedPower(6, APART)(0, 1)], [0, 1]);
  for (const [lost, gained] of [[0.1, 0.6], [0, 0.7], [0.2, 0.8]] as const) {
    let power = 0;
    binomial(11, lost + gained).forEach((w, tosses) =>
      binomial(tosses, gained / (lost + gained)).forEach((q, k) => {
        if (2 * k > tosses && pairedP({ lost: tosses - k, gained: k }, 11) < 0.03) power += w * q;
      })
    );
    assertAlmostEquals(pairedPower(11, 0.03)(lost, gained), power, 1e-12, `${lost} ${gained}`);
  }
});
