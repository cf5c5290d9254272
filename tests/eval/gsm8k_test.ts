import { cacheShare } from "../../src/session/device_memory.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import type { Answer } from "../../src/eval/answers.ts";
import { randomCheckpoint } from "../../src/checkpoint/random/checkpoint.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import type { PromptOptions } from "../../src/eval/prompts.ts";
import { readDataset } from "../../src/eval/dataset.ts";
import { chooseShots } from "../../src/eval/fewshot.ts";
import { accuracies, compareWithFirst } from "../../src/eval/accuracy.ts";
import { answerAll, makeQuestions, roomFor } from "../../src/eval/gsm8k.ts";
import { soFar } from "../../src/eval/tasks/gsm8k.ts";
import { reliabilityBins } from "../../src/eval/reliability.ts";
import { DEFAULTS, planSetting } from "../../src/session/setting.ts";
import { openSession } from "../session/open_session.ts";
import { ChatRenderer } from "../../src/text/chat.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { dose } from "../soak.ts";
import { TINY } from "./sides.ts";

function answers(outcomes: string, extracted = (i: number) => `${i}`): Answer[] {
  return [...outcomes].map((outcome, index) => ({
    index,
    end: "stop",
    promptTokens: 10,
    generatedTokens: 5,
    logProbability: Math.log((index + 1) / outcomes.length),
    origin: "final",
    text: "",
    scored: "",
    "strict-match": { extracted: extracted(index), correct: outcome === "1" },
    "flexible-extract": { extracted: extracted(index), correct: outcome !== "0" },
    ids: [],
  }));
}

Deno.test("accuracies() counts by each filter", () => {
  const { "strict-match": strict, "flexible-extract": flexible } = accuracies(answers("1102"));
  assertEquals([strict.correct, strict.outcomes, flexible.correct, flexible.outcomes], [2, "1100", 3, "1101"]);
  assertEquals([strict.accuracy, flexible.accuracy], [0.5, 0.75]);
  assert(strict.low < 0.5 && strict.high > 0.5);
});

Deno.test("soFar() counts right answers, and says no share of those that came first", () => {
  const progress = { answered: 43, total: 900, correct: 43, tokens: 8565, preemptions: 0 };
  assertEquals(soFar(progress), "43 right, 8565 tokens");
  assertEquals(
    soFar({ ...progress, correct: 0, tokens: 1, preemptions: 2 }),
    "0 right, 1 token, 2 sequences preempted",
  );
  assertEquals(soFar({ ...progress, answered: 0, correct: 0, tokens: 20 }), "20 tokens");
});

Deno.test("compareWithFirst() pairs problems and corrects for the number of settings", () => {
  const first = answers("1111100000"), same = answers("1111100000");
  const other = answers("1110011100", (i) => i === 9 ? "another" : `${i}`);
  const [none, some] = compareWithFirst(first, [same, other], "strict-match");
  assertEquals([none!.lost, none!.gained, none!.difference, none!.p, none!.changed], [0, 0, 0, 1, 0]);
  assertEquals([some!.lost, some!.gained, some!.changed], [2, 3, 1]);
  assertAlmostEquals(some!.difference, 0.1, 1e-12);
  assertAlmostEquals(some!.pHolm, Math.min(1, 2 * some!.p), 1e-12);
});

Deno.test("reliabilityBins() makes bins of equal size by probability", () => {
  const bins = reliabilityBins(answers("0".repeat(40) + "2".repeat(60)));
  assertEquals(bins.map((b) => b.problems), [20, 20, 20, 20, 20]);
  assertEquals(bins.map((b) => b.accuracy), [0, 0, 1, 1, 1]);
  assertAlmostEquals(bins[0]!.confidence, 0.105, 1e-9);
  // Clopper and Pearson of 0 and of 20 among 20: 1 - 0.025^(1/20).
  const end = 1 - 0.025 ** (1 / 20);
  for (const { accuracy, low, high } of bins) {
    assertAlmostEquals(low, accuracy === 0 ? 0 : 1 - end, 1e-12);
    assertAlmostEquals(high, accuracy === 0 ? end : 1, 1e-12);
  }
  assertEquals(reliabilityBins(answers("1".repeat(19))), []);
});

Deno.test("roomFor() asks for as many sequences as memory allows: of the processor 64, of a device 256", () => {
  const checkpoint = randomCheckpoint({ shape: SHAPES["gpt-oss-20b"], layout: "hf_mxfp4" });
  const ids = Int32Array.from({ length: 300 }, (_, i) => i), prompt = { ids, text: "" };
  const questions = {
    ...{ problems: Array(500).fill({ index: 0 }), prompts: Array(500).fill(prompt), prefix: ids.slice(0, 100) },
    ...{ maxTokens: 2048, prompting: {} as PromptOptions, stopIds: new Set<number>(), logProbabilities: true },
  };
  const room = (gigabytes: number | null, asked?: number) => {
    const setting = planSetting({ ...DEFAULTS, checkpoint, backend: gigabytes === null ? "emulate" : "cuda" });
    const cacheBytes = gigabytes === null ? null : cacheShare(gigabytes * 1e9, [setting]);
    const { slots, pages } = roomFor(questions, setting, { asked, cacheBytes });
    return [slots, pages];
  };
  // With one for the shared beginning.
  assertEquals([room(null), room(null, 100)], [[33, undefined], [101, undefined]]);
  // A device's pages are 64 positions and 1.5 MiB, one is nobody's; weights take 13.8 GB. What does not fit waits.
  assertEquals([room(85), room(24), room(16), room(8), room(24, 200)], [
    ...[[257, 12_336], [257, 3253], [257, 710], [257, 89], [201, 3253]],
  ]);
});

Deno.test("answerAll() computes the examples that all prompts share once, and answers as without sharing", async () => {
  const data = readDataset(new URL("../goldens/word-problems.jsonl", import.meta.url).pathname, "--data");
  const checkpoint = openCheckpoint(TINY);
  const tokenizer = await Tokenizer.fromDirectory(TINY);
  const chat = await ChatRenderer.fromDirectory(TINY, tokenizer);
  const { shots, asked } = chooseShots(data, data, 5, 0);
  const task = makeQuestions(
    asked.slice(0, dose(2, 8)),
    { format: "chat", tokenizer, chat, shots },
    checkpoint.config,
    40,
  );
  const examples = shots.reduce((sum, shot) => sum + tokenizer.encode(shot.question + shot.answer).length, 0);
  assert(task.prefix.length > examples, `${task.prefix.length} tokens are shared, ${examples} of them are examples`);

  const setting = planSetting({ ...DEFAULTS, checkpoint });
  const run = async (prefix: Int32Array) => {
    const own = { ...task, prefix };
    const room = roomFor(own, setting, { asked: 3 });
    const options = { backend: "emulate", dtype: "bf16", kvCacheDtype: "auto", maxTokens: 64, threads: 2 } as const;
    const session = await openSession(checkpoint, { ...options, ...room });
    const entries = new Map<number, Answer>();
    // What the model is given, counted where it goes in.
    let tokens = 0;
    const compute = session.run.bind(session);
    session.run = (feeds, ...rest) => {
      tokens += feeds.reduce((sum, feed) => sum + feed.tokens.length, 0);
      return compute(feeds, ...rest);
    };
    const store = { entries, append: (answer: Answer) => void entries.set(answer.index, answer) };
    const answers = await answerAll(own, session, store, () => {});
    await session.close();
    return { answers, tokens };
  };
  const shared = await run(task.prefix), apart = await run(new Int32Array(0));
  assertEquals(shared.answers, apart.answers);
  // Of a reply, the last token is chosen and not computed any more.
  const replies = shared.answers.reduce((sum, { generatedTokens }) => sum + generatedTokens - 1, 0);
  const prompts = task.prompts.reduce((sum, { ids }) => sum + ids.length, 0);
  assertEquals(apart.tokens, prompts + replies);
  assertEquals(shared.tokens, task.prefix.length + prompts - task.prompts.length * task.prefix.length + replies);
});
