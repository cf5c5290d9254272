import type { Dataset } from "../../src/eval/dataset.ts";
import { chooseShots } from "../../src/eval/fewshot.ts";
import { InputError } from "../../src/errors.ts";
import { assert, assertEquals, assertNotEquals, assertThrows } from "../assert.ts";

function dataset(name: string, questions: readonly string[]): Dataset {
  const problems = questions.map((question, index) => ({ index, question, answer: "#### 1", record: {} }));
  return { name, sha256: name, problems };
}

const train = dataset("train", Array.from({ length: 50 }, (_, i) => `train ${i}`));
const test = dataset("test", Array.from({ length: 20 }, (_, i) => `test ${i}`));

Deno.test("chooseShots() takes the questions with the smallest hashes", () => {
  const three = dataset("three", ["a", "b", "c"]);
  const byHand = ["a", "b", "c"].map((q) => [sha256(`3\n${q}`), q] as const).sort().map(([, q]) => q);
  assertEquals(chooseShots(test, three, 3, 3).shots.map((s) => s.question), byHand);
});

Deno.test("chooseShots() is fixed, changes with the seed, and ignores the order of the file", () => {
  const shots = (from: Dataset, seed: number) => chooseShots(test, from, 5, seed).shots.map((s) => s.question);
  const reversed = dataset("train", train.problems.map((p) => p.question).reverse());
  assertEquals(shots(train, 1), shots(train, 1));
  assertEquals(shots(train, 1), shots(reversed, 1));
  assertNotEquals(shots(train, 1), shots(train, 2));
});

Deno.test("chooseShots() never asks a problem that it shows", () => {
  const { shots, asked } = chooseShots(test, test, 5, 0);
  assertEquals([shots.length, asked.length], [5, 15]);
  assert(asked.every((a) => shots.every((s) => s.question !== a.question)));
  assertEquals(chooseShots(test, train, 5, 0).asked, test.problems);
  assertEquals(chooseShots(test, test, 0, 0).asked, test.problems);
});

Deno.test("chooseShots() refuses more examples than there are", () => {
  assertThrows(() => chooseShots(test, test, 20, 0), InputError, "shots: expected at most 19");
  assertThrows(() => chooseShots(test, train, 51, 0), InputError, "shots: expected at most 50");
});

/** SHA-256 by the system's own tool, hexadecimal. */
function sha256(text: string): string {
  const path = Deno.makeTempFileSync();
  Deno.writeTextFileSync(path, text);
  const { stdout } = new Deno.Command("sha256sum", { args: [path] }).outputSync();
  Deno.removeSync(path);
  return new TextDecoder().decode(stdout).slice(0, 64);
}
