/** Intervals of relative errors that few tokens own, because they went to other experts, from few texts. */
import { type Groupings, groupings, positiveRatio } from "../../src/eval/intervals.ts";
import { reroutedRatio } from "../../src/eval/operation_sums.ts";
import { Random } from "../../src/session/random.ts";
import { assert } from "../assert.ts";
import { dose } from "../soak.ts";
import { Normal, sample } from "./simulated.ts";

/** Squared errors and squared numbers of the tokens of a text. */
interface Text {
  readonly error: Float64Array;
  readonly signal: Float64Array;
}

/** Texts of 60 to 160 tokens, of which this share errs so many times as much, in some texts more than in others. */
function texts(rerouted: number, times: number, uneven = 0.3): Text[] {
  const random = new Random(31n), normal = new Normal(random);
  return Array.from({ length: 800 }, () => {
    const length = 60 + Math.floor(100 * random.fraction()), level = Math.exp(uneven * normal.next());
    const rate = rerouted * Math.exp(normal.next() - 0.5);
    const signal = Float64Array.from({ length }, () => Math.exp(0.3 * normal.next()));
    const error = signal.map((size) =>
      1e-5 * size * level * Math.exp(2 * uneven * normal.next()) * (random.fraction() < rate ? times : 1)
    );
    return { error, signal };
  });
}

function observed(sampled: readonly Text[]): Groupings {
  const signals = groupings(sampled.map(({ signal }) => signal));
  return groupings(sampled.map(({ error }) => error)).map((group, i) =>
    group.map(({ sum }, j) => ({ sum, weight: signals[i]![j]!.sum }))
  );
}

const sum = (all: readonly Float64Array[]) => all.reduce((total, x) => total + x.reduce((a, b) => a + b, 0), 0);

/** How often the interval holds the ratio of all texts, and how far its upper end is from the estimate on average. */
function held(all: readonly Text[], count: number, ratio: typeof reroutedRatio): { share: number; far: number } {
  const random = new Random(37n), tries = dose(200, 2000);
  const truth = sum(all.map(({ error }) => error)) / sum(all.map(({ signal }) => signal));
  let holding = 0, far = 0;
  for (let i = 0; i < tries; i++) {
    const { value, low, high } = ratio(observed(sample(all, count, random)));
    if (low <= truth && truth <= high) holding++;
    far += high / value / tries;
  }
  return { share: holding / tries, far };
}

Deno.test("intervals of errors hold them where few tokens, which went to other experts, own them", () => {
  for (const [rerouted, times] of [[0.03, 170], [0.01, 170], [0.003, 300]] as const) {
    const all = texts(rerouted, times);
    for (const count of [2, 3, 5, 8]) {
      const { share } = held(all, count, reroutedRatio);
      assert(share >= 0.93, `${count} texts, of whose tokens ${rerouted} err ${times} times: ${share}`);
    }
  }
  // So are those of the ratio alone too narrow.
  const careless = held(texts(0.003, 1000), 3, positiveRatio).share;
  assert(careless < 0.85, `${careless}`);
});

Deno.test("errors that all tokens have alike keep intervals that say something", () => {
  const all = texts(0, 1, 0.05), [rerouted, plain] = [reroutedRatio, positiveRatio].map((ratio) => held(all, 8, ratio));
  assert(rerouted!.far < 1.4 && rerouted!.far - 1 < 3.5 * (plain!.far - 1), `${rerouted!.far}, ${plain!.far}`);
  assert(plain!.share >= 0.93 && rerouted!.share >= plain!.share);
});
