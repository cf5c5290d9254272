/** What is kept of two predictions, position by position. */
import { PredictionRecorder, SequencePredictions } from "../../src/eval/predictions.ts";
import { assertAlmostEquals, assertEquals } from "../assert.ts";

const sequence = (index: number, ...tokens: number[]) => ({ index, tokens: Int32Array.from(tokens), replyFrom: 1 });

Deno.test("a recorder gives of each position what the two predictions say, and keeps the farthest apart", () => {
  const log = (...chances: number[]) => Float32Array.from(chances, Math.log);
  // Of three tokens; the second column of chances is B's.
  const rows = [
    [log(0.5, 0.25, 0.25), log(0.25, 0.5, 0.25)],
    [log(0.5, 0.25, 0.25), log(0.5, 0.25, 0.25)],
    [log(0.5, 0.25, 0.25), log(0.45, 0.3, 0.25)],
    [log(0.1, 0.8, 0.1), log(0.8, 0.1, 0.1)],
    [log(0.5, 0.3, 0.2), log(0.5, 0.2, 0.3)],
    [log(0.25, 0.5, 0.25), log(0.25, 0.25, 0.5)],
    [Float32Array.of(1, NaN, 0), log(0.5, 0.25, 0.25)],
  ] as const;
  const given = sequence(4, 0, 2, 1, 0, 2, 2, 0);
  const [kept, plain] = [new PredictionRecorder(given, true), new PredictionRecorder(given)];
  for (const [a, b] of rows) for (const recorder of [kept, plain]) recorder.add(a, b);
  const result = kept.result();
  assertEquals([result.index, result.replyFrom, result.agrees.slice(0, 6)], [4, 1, "011010"]);
  const kls = [
    0.25 * Math.log(2),
    0,
    0.5 * Math.log(0.5 / 0.45) + 0.25 * Math.log(0.25 / 0.3),
    0.7 * Math.log(8),
    0.1 * Math.log(1.5),
    0.25 * Math.log(2),
  ];
  kls.forEach((kl, i) => assertAlmostEquals(result.kl[i]!, kl, 1e-7));
  assertEquals([result.kl.length, result.kl[6]], [7, null]);
  // The tokens that follow are 2, 1, 0, 2, 2 and 0; none follows the last.
  [0.25, 0.25, 0.5, 0.1, 0.2, 0.25].forEach((chance, i) =>
    assertAlmostEquals(result.nllA[i]!, -Math.log(chance), 1e-6)
  );
  [0.25, 0.25, 0.45, 0.1, 0.3, 0.25].forEach((chance, i) =>
    assertAlmostEquals(result.nllB[i]!, -Math.log(chance), 1e-6)
  );
  assertEquals([result.nllA.length, result.nllB.length], [6, 6]);
  assertEquals(result.worst!.map(({ position, kl }) => [position, kl]), [3, 0, 5, 4].map((i) => [i, result.kl[i]]));
  assertEquals(result.worst![0], {
    ...{ position: 3, kl: result.kl[3] },
    ...{ a: [[1, 0.8], [0, 0.1], [2, 0.1]], b: [[0, 0.8], [1, 0.1], [2, 0.1]] },
  });
  assertEquals(result.differs!.slice(0, 3), [
    { position: 0, a: [[0, 0.5], [1, 0.25]], b: [[1, 0.5], [0, 0.25]] },
    { position: 3, a: [[1, 0.8], [0, 0.1]], b: [[0, 0.8], [1, 0.1]] },
    { position: 5, a: [[1, 0.5], [0, 0.25]], b: [[2, 0.5], [0, 0.25]] },
  ]);
  const { differs: _, ...same } = result;
  assertEquals(plain.result(), same);
  // Journals hold them as they are.
  assertEquals(SequencePredictions.parse(JSON.parse(JSON.stringify(result))), result);
});

Deno.test("a recorder keeps four tokens of the positions that are worth a look, and none of others", () => {
  // Six tokens, the likeliest first under A; B has the first two the other way round.
  const log = (...chances: number[]) => Float32Array.from(chances, Math.log);
  const a = log(0.4, 0.25, 0.15, 0.1, 0.06, 0.04), b = log(0.25, 0.4, 0.15, 0.1, 0.06, 0.04);
  // Of two tokens whose chances are 1e-4 and 2e-3 from a half KL is twice the square: 2e-8 and 8e-6.
  const even = log(0.5, 0.5), near = log(0.4999, 0.5001), far = log(0.498, 0.502);
  const kept = (...rows: (readonly [Float32Array, Float32Array])[]) => {
    const recorder = new PredictionRecorder(sequence(0, ...rows.map(() => 0)));
    for (const [x, y] of rows) recorder.add(x, y);
    return recorder.result();
  };
  const { kl, worst } = kept([even, near], [even, far], [even, even]);
  [2e-8, 8e-6, 0].forEach((x, i) => assertAlmostEquals(kl[i]!, x, 1e-9));
  assertEquals(worst!.map(({ position }) => position), [1]);
  assertEquals(kept([a, b]).worst![0], {
    ...{ position: 0, kl: kept([a, b]).kl[0]! },
    ...{ a: [[0, 0.4], [1, 0.25], [2, 0.15], [3, 0.1]], b: [[1, 0.4], [0, 0.25], [2, 0.15], [3, 0.1]] },
  });
  // A sequence may be a reply from its beginning.
  assertEquals(SequencePredictions.parse({ ...kept([a, b]), replyFrom: 0 }).replyFrom, 0);
});
