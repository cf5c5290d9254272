import { repeatedAmong, repeatedShare } from "../../src/eval/repeats.ts";
import { repeatedProblemsNote, repeatedTextNote } from "../../src/eval/summary.ts";
import { Random } from "../../src/session/random.ts";
import { exactInterval } from "../../src/eval/statistics.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { dose, SOAK } from "../soak.ts";

/** The same by comparing windows as texts. */
function slowly(ids: Int32Array): number {
  const seen = new Set<string>(), marks = new Uint8Array(ids.length);
  for (let end = 32; end <= ids.length; end++) {
    const window = ids.subarray(end - 32, end).join();
    if (seen.has(window)) marks.fill(1, end - 32, end);
    seen.add(window);
  }
  return marks.reduce((sum, mark) => sum + mark, 0) / ids.length;
}

Deno.test("repeatedShare() finds what comes again, 32 tokens in a row and more, wherever it stands", () => {
  const random = new Random(2n),
    drawn = (count: number, ids: number) =>
      Int32Array.from({ length: count }, () => Math.floor(ids * random.fraction()));
  const text = drawn(400, 1000), join = (...parts: Int32Array[]) => Int32Array.from(parts.flatMap((part) => [...part]));
  for (
    const [what, ids, share] of [
      ["nothing", text, 0],
      ["a text twice", join(text, text), 0.5],
      [
        "a text three times, at odd places",
        join(text, drawn(7, 1000), text, drawn(13, 1000), text),
        800 / 1220,
      ],
      ["31 tokens", join(text, text.subarray(50, 81)), 0],
      ["32 tokens", join(text, text.subarray(50, 82)), 32 / 432],
      ["one token", new Int32Array(100).fill(5), 0.99],
      ["fewer tokens than a window", text.subarray(0, 31), 0],
      ["none", new Int32Array(0), 0],
    ] as const
  ) assertAlmostEquals(repeatedShare(ids), share, 1e-12, what);
  for (let i = 0; i < dose(20, 200); i++) {
    // Few ids and short texts of them in any order: many windows come again, and many nearly.
    const parts = Array.from({ length: 6 }, () => drawn(20 + Math.floor(30 * random.fraction()), 3));
    const ids = join(...Array.from({ length: 25 }, () => parts[Math.floor(6 * random.fraction())]!));
    assertAlmostEquals(repeatedShare(ids), slowly(ids), 1e-12);
  }
});

Deno.test({
  name: "repeatedShare() takes more tokens than a Set has room for",
  ignore: !SOAK,
  fn() {
    const ids = new Int32Array(2 ** 24 + 164);
    for (let i = 0; i < ids.length; i++) ids[i] = i;
    assertEquals(repeatedShare(ids), 0);
    for (let i = 0; i < 64; i++) ids[ids.length - 64 + i] = 1000 + i;
    assertEquals(repeatedShare(ids), 64 / ids.length);
  },
});

Deno.test("repeatedAmong() counts those after the first", () => {
  assertEquals([repeatedAmong([]), repeatedAmong(["a", "b"]), repeatedAmong(["a", "b", "a", "a"])], [0, 0, 2]);
});

Deno.test("a line says from which share of repetitions on intervals are too narrow, and no share below", () => {
  const data = (repeated?: number) => ({
    name: "d",
    sha256: "",
    problems: 200,
    asked: 200,
    ...(repeated === undefined ? {} : { repeated }),
  });
  assertEquals([undefined, 0, 9].flatMap((repeated) => repeatedProblemsNote(data(repeated))), []);
  assertEquals(repeatedProblemsNote(data(100)), [
    "100 of 200 problems repeat another one: intervals and tests, which take them for others, are too sure",
  ]);
  assertEquals([{}, { repeated: 0.09 }].flatMap(repeatedTextNote), []);
  assertEquals([repeatedProblemsNote(data(10)).length, repeatedTextNote({ repeated: 0.1 }).length], [1, 1]);
  assertEquals(repeatedTextNote({ repeated: 0.5 }), [
    "50% of the tokens repeat earlier ones, 32 in a row or more: intervals and tests, which take them for others, " +
    "are too sure",
  ]);
  // Of 200 problems, these come again: how often the interval of the accuracy holds the truth.
  const coverage = (repeated: number) => {
    const random = new Random(8n), tries = dose(2000, 20_000), truth = 0.7;
    let held = 0;
    for (let i = 0; i < tries; i++) {
      const solved = Array.from({ length: 200 - repeated }, () => random.fraction() < truth);
      const right = [...solved, ...solved.slice(0, repeated)].filter(Boolean).length;
      const { low, high } = exactInterval(right, 200);
      if (low <= truth && truth <= high) held++;
    }
    return held / tries;
  };
  const [few, many] = [9, 100].map(coverage);
  assert(few! > 0.935 && many! < 0.87, `${few} and ${many}`);
});
