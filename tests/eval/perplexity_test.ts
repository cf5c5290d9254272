import { InputError } from "../../src/errors.ts";
import { Scorer } from "../../src/eval/scorer.ts";
import { BLOCK, blocksOf, FEWEST, FEWEST_SEQUENCES, groupings, rareRatio } from "../../src/eval/intervals.ts";
import {
  cutSequences,
  lengthThatBounds,
  nllIncrease,
  perplexityOf,
  refuseUnknownIds,
  sequenceNll,
} from "../../src/eval/perplexity.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { PERPLEXITY } from "../../src/eval/tasks/perplexity.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assert, assertAlmostEquals, assertEquals, assertMatch, assertThrows } from "../assert.ts";
import { floats, readGolden } from "../golden.ts";
import { Random } from "../../src/session/random.ts";
import { dose } from "../soak.ts";
import { population, RARE, sample } from "./simulated.ts";
import { openSide, TINY, TWO_TURNS } from "./sides.ts";

Deno.test("sequenceNll() gives what Hugging Face's logits give", async () => {
  const golden = floats(readGolden("logits.safetensors"), "two_turns.w_mxfp4"), vocab = 1024;
  // As an evaluation opens it: of one sequence at a time.
  const { session } = await openSide(undefined, { slots: 1 });
  using scorer = new Scorer(session.limits.vocab);
  const { nll, index } = await sequenceNll(session, 5, TWO_TURNS, scorer);
  // The sequence before is forgotten.
  assertEquals(await sequenceNll(session, 5, TWO_TURNS, scorer), { index, nll });
  await session.close();
  assertEquals(nll.map((x) => Number(x!.toPrecision(9))), nll);
  assertEquals([index, nll.length], [5, TWO_TURNS.length - 1]);
  // The golden holds the last 64 positions; the last of them predicts nothing.
  for (let row = 0; row < 63; row++) {
    const logits = [...golden.subarray(row * vocab, (row + 1) * vocab)];
    const position = TWO_TURNS.length - 64 + row;
    const norm = Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0));
    assertAlmostEquals(nll[position]!, norm - logits[TWO_TURNS[position + 1]!]!, 1e-3);
  }
});

Deno.test("a text with a token that the model lacks is refused by its name, whatever is left of it", async () => {
  const tokenizer = await Tokenizer.fromDirectory(TINY), { config } = openCheckpoint(TINY);
  const file = { name: "t", sha256: "", text: "He has 3.<|end|>" },
    ids = tokenizer.encode(file.text, { allowSpecial: true });
  const end = ids.at(-1)!,
    prepare = (limit: number | undefined) =>
      PERPLEXITY.prepare({ path: "--text: t", file, tokenizer, limit, sequenceLength: 99 }, { ...config, vocab: end });
  const message = `--text: t: token id ${end}: expected 0 to ${end - 1}, the vocabulary`;
  assertEquals(assertThrows(() => prepare(undefined), InputError).message, message);
  assertEquals(prepare(ids.length - 1).protocol.text.tokens, ids.length - 1);
});

Deno.test("refuseUnknownIds() names the first token that the model lacks", () => {
  const line = /^t: token id 12: expected 0 to 11, the vocabulary$/;
  const refused = (...ids: number[]) => () => refuseUnknownIds(Int32Array.from(ids), 12, "t");
  assertMatch(assertThrows(refused(3, 12, 4, 99), InputError).message, line);
  refused(0, 11)();
});

Deno.test("bits per byte count the bytes of the tokens, also where a limit cuts a character in two", async () => {
  const text = "Ärger für 3 €: 😀, ½ 漢字 <|end|> e\u0301", bytes = new TextEncoder().encode(text);
  const tokenizer = await Tokenizer.fromDirectory(TINY), { config } = openCheckpoint(TINY);
  const file = { name: "t", sha256: "", text }, ids = tokenizer.encode(text, { allowSpecial: true });
  const cut = (limit: number | undefined) =>
    PERPLEXITY.prepare({ path: "t", file, tokenizer, limit, sequenceLength: 99 }, config).protocol.text;
  let ragged = 0, before: number[] = [...tokenizer.bytes(ids[0]!)];
  for (let limit = 2; limit <= ids.length; limit++) {
    before = [...before, ...tokenizer.bytes(ids[limit - 1]!)];
    assertEquals(before, [...bytes.subarray(0, before.length)]);
    assertEquals(cut(limit).bytes, before.length);
    // Whether the limit stands within a character, whose further bytes begin with the bits 10.
    ragged += Number((bytes[before.length] ?? 0) >> 6 === 2);
  }
  assert(ragged > 5);
  assertEquals(cut(undefined).bytes, bytes.length);
});

Deno.test("perplexityOf() sums up over sequences", () => {
  const result = perplexityOf([{ index: 0, nll: [1, 2] }, { index: 1, nll: [3] }], { bytes: 12, tokens: 5 });
  assertEquals([result.predicted, result.nll.value], [3, 2]);
  assertAlmostEquals(result.perplexity.value, Math.exp(2), 1e-12);
  assertAlmostEquals(result.bitsPerByte.value, 2 * 5 / Math.LN2 / 12, 1e-12);
  assertEquals(perplexityOf([{ index: 0, nll: [1, null] }], { bytes: 1, tokens: 3 }).perplexity.value, NaN);
});

Deno.test("nllIncrease() is the mean of differences, with an interval", () => {
  const of = (f: (i: number) => number) =>
    Array.from({ length: 8 }, (_, index) => ({ index, nll: Array.from({ length: 320 }, (_, i) => f(i)) }));
  const { value: mean, low, high } = nllIncrease(of((i) => i % 3), of((i) => i % 3 + 0.5 + (i % 64 < 32 ? 0.1 : -0.1)));
  assertAlmostEquals(mean, 0.5, 1e-9);
  assert(low < 0.5 && low > 0.4 && high > 0.5 && high < 0.6);
});

Deno.test("intervals of perplexities and their changes hold the truth of few tokens, too", () => {
  const all = population(1000, RARE).map(({ a, change }, index) => ({
    first: { index, nll: [...a] },
    second: { index, nll: Array.from(a, (x, i) => x + change[i]!) },
  }));
  const mean = (of: (s: (typeof all)[number]) => readonly number[]) => {
    const values = all.flatMap(of);
    return values.reduce((sum, x) => sum + x, 0) / values.length;
  };
  const perplexity = Math.exp(mean(({ first }) => first.nll));
  const increase = mean(({ second }) => second.nll) - mean(({ first }) => first.nll);
  const random = new Random(31n), text = { bytes: 1, tokens: 1 }, tries = dose(100, 1000);
  for (const count of [1, 2, 5, 12, 24, 40]) {
    let held = 0, ofIncrease = 0;
    for (let i = 0; i < tries; i++) {
      const drawn = sample(all, count, random), first = drawn.map((s) => s.first), second = drawn.map((s) => s.second);
      const found = perplexityOf(first, text).perplexity, change = nllIncrease(first, second);
      assert(found.low >= 1);
      if (found.low <= perplexity && perplexity <= found.high) held++;
      if (change.low <= increase && increase <= change.high) ofIncrease++;
    }
    assert(Math.min(held, ofIncrease) >= 0.93 * tries, `${count} sequences: ${held}, ${ofIncrease} of ${tries}`);
  }
});

Deno.test("cutSequences() drops a single token at the end and refuses a text without a prediction", () => {
  const ids = Int32Array.from({ length: 9 }, (_, i) => i);
  assertEquals(cutSequences(ids, 4, "t").map((s) => [...s]), [[0, 1, 2, 3], [4, 5, 6, 7]]);
  assertEquals(cutSequences(ids, 100, "t").length, 1);
  assertThrows(
    () => cutSequences(ids.subarray(0, 1), 4, "text.txt"),
    InputError,
    "text.txt: expected a text of at least 2",
  );
});

Deno.test("a text of 1,024 tokens or more is cut so that it bounds a mean that rare tokens own", () => {
  for (let tokens = FEWEST.positive * BLOCK; tokens < 20_000; tokens += 97 + tokens % 37) {
    const length = lengthThatBounds(tokens), cut = cutSequences(new Int32Array(tokens), length, "t");
    assert(cut.length >= FEWEST_SEQUENCES && length > 128 && length <= 1024, `${tokens}: ${cut.length} of ${length}`);
    assert(cut.flatMap((s) => blocksOf(s.length)).length >= FEWEST.positive, `${tokens}: too few blocks`);
    const { high } = rareRatio(groupings(cut.map((s, i) => Array.from(s, (_, at) => 1 + (i + at) % 3))));
    assert(Number.isFinite(high), `${tokens}`);
  }
  assertEquals([2, 210, 1023, 1024, 2048, 8192, 1e6].map(lengthThatBounds), [1024, 1024, 1024, 160, 256, 1024, 1024]);
});

Deno.test("a text may be cut into more sequences than a call takes arguments", async () => {
  const sequences = cutSequences(new Int32Array(400_001), 2, "text");
  assertEquals(sequences.length, 200_000);
  const work = { sequences } as unknown as Parameters<typeof PERPLEXITY.room>[0];
  assertEquals(await PERPLEXITY.room(work, {} as never), { slots: 1, context: 2 });
});
