/** Replies that differ, token by token, and what their page does with them. */
import type { Answer } from "../../src/eval/answers.ts";
import { likeliest } from "../../src/eval/logits_distance.ts";
import { PredictionRecorder } from "../../src/eval/predictions.ts";
import { samplesPage } from "../../src/eval/report/samples_page.ts";
import { inMemory } from "../../src/eval/stores.ts";
import { firstDifference, keepSamples, replyBeside, samplesOf } from "../../src/eval/samples.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assert, assertEquals } from "../assert.ts";
import { readPage } from "./dom.ts";
import { TINY } from "./sides.ts";

Deno.test("firstDifference() finds the first token that differs, also where one reply ends", () => {
  assertEquals(firstDifference([1, 2, 3], [1, 2, 3]), null);
  assertEquals(firstDifference([1, 2, 3], [1, 4, 3]), 1);
  assertEquals(firstDifference([1, 2], [1, 2, 3]), 2);
  assertEquals(firstDifference([1, 2, 3], [1]), 1);
});

Deno.test("likeliest() gives the largest logits with their probabilities, of equal ones the first", () => {
  assertEquals(likeliest(Float32Array.of(0, 1, 1, -Infinity), 3), [[1, 0.4223], [2, 0.4223], [0, 0.1554]]);
  assertEquals(likeliest(Float32Array.of(3), 4), [[0, 1]]);
});

Deno.test("PredictionRecorder keeps the positions with the largest KL, with both predictions", () => {
  const recorder = new PredictionRecorder({ index: 0, tokens: new Int32Array(9), replyFrom: null });
  for (const shift of [0, 3, 1, 2, 6, 5, 0, 4]) recorder.add(Float32Array.of(1, 0), Float32Array.of(1 - shift, 0));
  const { worst, kl } = recorder.result();
  assertEquals(worst!.map(({ position }) => position), [4, 5, 7, 1]);
  for (const { position, kl: own } of worst!) assertEquals(own, kl[position]);
  assertEquals(worst![3]!.a, [[0, 0.7311], [1, 0.2689]]);
  assertEquals(worst![3]!.b, [[1, 0.8808], [0, 0.1192]]);
});

Deno.test("a page of samples marks the first token that differs, names outcomes, searches and filters", async () => {
  const tokenizer = await Tokenizer.fromDirectory(TINY);
  const answer = (index: number, text: string, extracted: string, correct: boolean) => ({
    index,
    ids: [...tokenizer.encode(text)],
    "flexible-extract": { extracted, correct },
  } as unknown as Answer);
  const entries = (texts: readonly [string, string, boolean][]) => texts.map(([t, e, c], i) => answer(i, t, e, c));
  const cell = (label: string) => ({ key: label, label }) as never;
  const [one, two] = ["Sam has 47 marbles.", "He gives <b>half</b>."];
  const work = {
    indices: [0, 1, 2],
    problems: [one!, two!, "Again?"].map((question, index) => ({ index, question })),
  };
  const first = {
    cell: cell("w_mxfp4"),
    entries: entries([["It is 12.", "12", true], ["no 3", "3", false], ["5", "5", true]]),
  };
  const other = {
    cell: cell("fp8"),
    entries: entries([["It is 13.", "13", false], ["no 7", "7", true], ["5", "5", true]]),
  };
  const predictions = [{
    key: "fp8",
    sequences: [{
      ...{ index: 0, replyFrom: 1, kl: [], agrees: "", nllA: [], nllB: [] },
      worst: [{
        ...{ position: 1, kl: 0.25 },
        ...{ a: [[tokenizer.encode("7")[0]!, 0.9]], b: [[tokenizer.encode("3")[0]!, 0.6]] } as const,
      }],
    }],
  }] as unknown as Parameters<typeof keepSamples>[3]["predictions"];
  const sequences = [{ index: 0, tokens: Int32Array.from(tokenizer.encode("Q: It is")), replyFrom: 1 }];
  const task = {
    tokenizer: () => tokenizer,
    reply: ({ problems }: typeof work, place: number, a: Answer, b: Answer) =>
      replyBeside(problems[place]!, a, b, tokenizer),
  };
  const kept = keepSamples(task, work, [first, other], { sequences, predictions }, ({ label }) => label, inMemory);
  const samples = samplesOf("problems", "w_mxfp4", kept)!;
  assertEquals([samples.same, samples.replies], [1, 3]);
  const html = samplesPage(samples), page = readPage(html);
  assert(html.includes("&lt;b&gt;half&lt;/b&gt;") && !html.includes("<b>half"), "text must be escaped");
  assertEquals(page.texts(".sample summary").map((text) => text.replace(/, from token \d+ on$/, "")), [
    "Problem 0, fp8: lost",
    "Problem 1, fp8: gained",
  ]);
  const replies = page.texts(".reply");
  assertEquals(replies, ["It is 12.", "It is 13.", "no 3", "no 7"]);
  const marks = page.texts("mark");
  assert(marks[0] !== marks[1] && marks[2] !== marks[3], marks.join());
  assertEquals(page.all(".controls")[0]!.hasAttribute("hidden"), true, "there for those who have the script");
  page.run();
  const [controls] = page.all(".controls"), [search] = page.all("input"), selects = page.all("select");
  const shown = () => page.all(".sample").filter((sample) => !sample.hidden).length;
  const set = (element: typeof search, value: string) => {
    Object.defineProperty(element, "value", { value, configurable: true });
    page.fire(element!, "input");
  };
  assertEquals([controls!.hasAttribute("hidden"), shown()], [false, 2]);
  set(search, "MARBLES");
  assertEquals(shown(), 1);
  assertEquals(page.texts(".controls span"), ["1 of 2"]);
  set(selects[1], "gained");
  assertEquals(shown(), 0);
  set(search, "");
  assertEquals(shown(), 1);
  const worst = page.all("table.stack td").map(({ textContent }) => textContent);
  assertEquals(worst.slice(0, 4), ["fp8", "0.250", "0", "1"]);
  assertEquals(worst.slice(5), ['"7" 90.0%', '"3" 60.0%']);
  // What is not there need not be closer.
  assert(html.includes("under both. At most 4 of a problem under each setting, and 60 in all."));
});
