import { inDirectory } from "../../src/eval/stores.ts";
import {
  PredictionRecorder,
  predictSequence,
  ReferenceLogits,
  type SequencePredictions,
} from "../../src/eval/predictions.ts";
import { openPredictions, runPredictions } from "../../src/eval/prediction_run.ts";
import { summarizePredictions } from "../../src/eval/prediction_summary.ts";
import type { RunCell, Store } from "../../src/eval/task.ts";
import { DEFAULTS, planSetting } from "../../src/session/setting.ts";
import type { Session } from "../../src/session/session.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { TINY } from "./sides.ts";

/** A session whose logits are made of the token and a number that tells one session from another. */
function session(own: number, fed: number[] = []): Session {
  const limits = { slots: 1, context: 9, maxTokens: 9, vocab: 3 };
  let length = 0;
  const feed = (
    { slot, tokens }: { slot: number; tokens: ArrayLike<number> },
    onLogits: (position: number, row: Float32Array) => void,
  ) => {
    assertEquals(slot, 0);
    fed.push(tokens.length);
    Array.from(tokens).forEach((token) => onLogits(length++, Float32Array.of(token, own * token, 1)));
    return Promise.resolve();
  };
  const reset = (slot: number) => {
    assertEquals(slot, 0);
    length = 0;
  };
  return { limits, feed, reset, close: () => Promise.resolve() } as unknown as Session;
}

const sequence = (index: number, ...tokens: number[]) => ({ index, tokens: Int32Array.from(tokens), replyFrom: 1 });

Deno.test("ReferenceLogits computes again what memory does not hold, and gives the same", async () => {
  for (const [most, passes] of [[1e9, 2], [0, 4]] as const) {
    const fed: number[] = [];
    await using reference = new ReferenceLogits(() => Promise.resolve(session(1, fed)), most);
    const both = [sequence(0, 1, 2), sequence(1, 2, 0, 1)];
    const run = async () => {
      const predictions = [];
      for (const one of both) predictions.push(await predictSequence(reference, session(0.5), one));
      return predictions;
    };
    const [first, second] = [await run(), await run()];
    assertEquals(second, first);
    assertEquals(fed.length, passes);
  }
});

Deno.test("ReferenceLogits hands out pieces that fit its memory, in turns with the other setting", async () => {
  const long = sequence(0, 1, 2, 0, 1, 1, 2, 0);
  await using whole = new ReferenceLogits(() => Promise.resolve(session(1)));
  const expected = await predictSequence(whole, session(0.5), long);
  // Three logits of 4 bytes each: two positions fit into 30 bytes; into 1 byte none does, and one is held.
  for (const [pieceBytes, pieces] of [[30, [2, 2, 2, 1]], [1, [1, 1, 1, 1, 1, 1, 1]]] as const) {
    for (const most of [0, 1e9]) {
      const fed: number[] = [], progress: number[] = [];
      await using reference = new ReferenceLogits(() => Promise.resolve(session(1, fed)), most, pieceBytes);
      const both = () => predictSequence(reference, session(0.5, fed), long, (tokens) => progress.push(tokens));
      assertEquals(await both(), expected);
      assertEquals(fed, pieces.flatMap((tokens) => [tokens, tokens]));
      assertEquals(progress, progress.toSorted((a, b) => a - b));
      assertEquals(progress.at(-1), long.tokens.length);
      assertEquals(await both(), expected);
      assertEquals(fed.length, (most === 0 ? 4 : 3) * pieces.length);
    }
  }
});

Deno.test("predictSequence() sets the logits of either side beside the other's at the same position", async () => {
  const long = sequence(0, 1, 2, 0, 1, 1, 2, 0), recorder = new PredictionRecorder(long);
  for (const token of long.tokens) recorder.add(Float32Array.of(token, token, 1), Float32Array.of(token, token / 2, 1));
  for (
    const [most, pieceBytes] of [[1e9, 1e9], [0, 1e9], [0, 30], [1e9, 30], [long.tokens.length * 12, 1e9]] as const
  ) {
    const fed: number[] = [];
    await using reference = new ReferenceLogits(() => Promise.resolve(session(1, fed)), most, pieceBytes);
    for (const _ of [1, 2]) assertEquals(await predictSequence(reference, session(0.5), long), recorder.result());
    // What just fits is kept, and what would not fit beside it is not.
    const times = most === 0 ? 2 : 1, pieces = pieceBytes === 30 ? 4 : 1;
    assertEquals(fed.length, times * pieces);
    if (most !== long.tokens.length * 12) continue;
    for (const _ of [1, 2]) await predictSequence(reference, session(0.5), sequence(1, 1, 2));
    assertEquals([fed.length, reference.has(long), reference.has(sequence(1))], [3, true, false]);
  }
});

Deno.test("half of the work is the reference's where that is computed, none where it is kept", async () => {
  const long = sequence(0, 1, 2, 0, 1);
  await using reference = new ReferenceLogits(() => Promise.resolve(session(1)));
  const progress = async () => {
    const done: number[] = [];
    await predictSequence(reference, session(0.5), long, (tokens) => done.push(tokens));
    return done;
  };
  assertEquals([await progress(), await progress()], [[0, 1, 1, 2, 2, 3, 3, 4], [1, 2, 3, 4]]);
});

Deno.test("ReferenceLogits closes its session when it is released, and opens another if asked again", async () => {
  let opened = 0, closed = 0;
  const load = () => Promise.resolve({ ...session(1), close: () => Promise.resolve(void closed++) } as Session);
  await using reference = new ReferenceLogits(() => (opened++, load()), 0);
  const read = async () => {
    for await (const _ of reference.pieces(sequence(0, 1, 2), 9));
  };
  await reference.release();
  await read();
  await read();
  assertEquals([opened, closed], [1, 0]);
  await reference.release();
  await reference.release();
  assertEquals([opened, closed], [1, 1]);
  await read();
  assertEquals([opened, closed], [2, 1]);
});

Deno.test("ReferenceLogits holds a piece of a sequence whose logits no memory would hold", async () => {
  const vocab = 201_088, logits = new Float32Array(vocab), tokens = new Int32Array(2 ** 17);
  let fed = 0;
  const feed = ({ tokens }: { tokens: ArrayLike<number> }, onLogits: (position: number, row: Float32Array) => void) => {
    for (let i = 0; i < tokens.length; i++) onLogits(fed++, logits);
    return Promise.resolve();
  };
  const limits = { slots: 1, context: tokens.length, maxTokens: 4096, vocab };
  const endless = { limits, feed, reset: () => {}, close: () => Promise.resolve() } as unknown as Session;
  await using reference = new ReferenceLogits(() => Promise.resolve(endless), 2 ** 29, 2 ** 22);
  // All of them would take 105 GB.
  for await (const piece of reference.pieces({ index: 0, tokens, replyFrom: null }, limits.maxTokens)) {
    assert(piece.byteLength <= 2 ** 22);
    break;
  }
  assertEquals(fed, 5);
});

Deno.test("predictions of replies and of prompts are summed up apart, and the next token is under both", async () => {
  await using reference = new ReferenceLogits(() => Promise.resolve(session(1)));
  const predicted = await predictSequence(reference, session(0.5), sequence(0, 1, 2, 0));
  const { all, reply, prompt } = summarizePredictions([predicted]);
  assertEquals([all.positions, prompt!.positions, reply!.positions], [3, 1, 2]);
  assertEquals([all.predicted, prompt!.predicted, reply!.predicted], [2, 1, 1]);
  assertEquals(all.kl.most, Math.max(...predicted.kl.map((x) => x!)));
  assert(Math.abs(all.kl.mean.value * 3 - prompt!.kl.mean.value - 2 * reply!.kl.mean.value) < 1e-12);
  // Position 0 of A: logits 1, 1, 1; the next token is 2.
  assertEquals(Math.round(predicted.nllA[0]! * 1e6), Math.round(Math.log(3) * 1e6));
  const change = Math.exp(-predicted.nllB[0]!) - Math.exp(-predicted.nllA[0]!);
  assert(Math.abs(prompt!.next!.changeRms.value - Math.abs(change)) < 1e-12);
  // One block bounds nothing.
  assertEquals(all.kl.mean.high, Infinity);
});

Deno.test("runPredictions() goes on from its journals, to the same numbers", async () => {
  using dir = new TemporaryDirectory();
  const checkpoint = openCheckpoint(TINY), setting = planSetting({ checkpoint, ...DEFAULTS });
  // The number of ranks tells the settings apart.
  const cell = (key: string, tp: number) => ({ key, label: key, setting: { ...setting, tp } }) as unknown as RunCell;
  const sequences = Array.from({ length: 40 }, (_, i) => sequence(i, i % 3, (i * 7) % 3, 1, i % 2));
  const outcome = async (out: string, stopAfter = Infinity) => {
    let left = stopAfter;
    using journals = new DisposableStack();
    return await runPredictions({
      first: cell("first", 1),
      others: [cell("a", 2), cell("b", 2)],
      sequences,
      amount: { precision: 1e-9 },
      load: ({ tp }) => Promise.resolve(session(1 / tp)),
      open: ({ key }): Store<SequencePredictions> => {
        const journal = journals.use(openPredictions({ open: inDirectory(out), name: key }, { key }));
        return {
          entries: journal.entries,
          append: (entry) => {
            if (left-- <= 0) throw new Error("killed");
            journal.append(entry);
          },
        };
      },
      progress: () => ({ update: () => {}, [Symbol.dispose]: () => {} }),
    });
  };
  Deno.mkdirSync(`${dir.path}/whole`);
  Deno.mkdirSync(`${dir.path}/cut`);
  const whole = await outcome(`${dir.path}/whole`);
  assertEquals([whole.stopped, whole.settings[0]!.sequences.length], ["spent", 40]);
  for (const after of [5, 20, 1]) await outcome(`${dir.path}/cut`, after).catch(() => {});
  assertEquals(await outcome(`${dir.path}/cut`), whole);
});

Deno.test("a summary gives the figures of all tokens, of replies and of prompts, worked out by hand", () => {
  const first: SequencePredictions = {
    ...{ index: 4, replyFrom: 2, kl: [0.1, 0, 0.3, 1e-20], agrees: "1011" },
    ...{ nllA: [1, 2, 3], nllB: [1.5, 2, 2.5] },
  };
  const second = { index: 9, replyFrom: 1, kl: [0.2, 0.8], agrees: "10", nllA: [0.5], nllB: [1.25] };
  const { sequences, tokens, all, reply, prompt } = summarizePredictions([first, second]);
  assertEquals([sequences, tokens, all.positions, reply!.positions, prompt!.positions], [2, 6, 6, 3, 3]);
  assertAlmostEquals(all.kl.mean.value, 1.4 / 6, 1e-12);
  // What float32 logits cannot show counts as 1e-12.
  assertAlmostEquals(all.kl.logMean.value, (0.1 * 0.3 * 0.2 * 0.8 * 1e-24) ** (1 / 6), 1e-15);
  all.kl.quantiles.forEach(({ value }, i) => assertAlmostEquals(value, [0.15, 0.55, 0.675, 0.775, 0.7975][i]!, 1e-12));
  assertEquals([all.kl.most, all.kl.mostAt], [0.8, { sequence: 9, position: 1 }]);
  assertAlmostEquals(all.kl.mostShare, 0.8 / 1.4, 1e-12);
  assertEquals([all.sameTop.value, reply!.sameTop.value, prompt!.sameTop.value], [4 / 6, 2 / 3, 2 / 3]);
  assertEquals([reply!.kl.mostAt, prompt!.kl.mostAt], [{ sequence: 9, position: 1 }, { sequence: 9, position: 0 }]);
  const next = all.next!,
    changes = [[1, 1.5], [2, 2], [3, 2.5], [0.5, 1.25]].map(([a, b]) => Math.exp(-b!) - Math.exp(-a!));
  const found = [
    next.nllIncrease,
    next.perplexityRatio,
    next.perplexityA,
    next.perplexityB,
    next.change,
    next.changeRms,
  ];
  const expected = [0.1875, Math.exp(0.1875), Math.exp(6.5 / 4), Math.exp(7.25 / 4)];
  expected.push(changes.reduce((x, y) => x + y) / 4, Math.hypot(...changes) / 2);
  found.forEach(({ value }, i) => assertAlmostEquals(value, expected[i]!, 1e-12, `${i}`));
  assertEquals([all, reply!, prompt!].map((part) => part.predicted), [4, 1, 3]);
  assertAlmostEquals(reply!.next!.nllIncrease.value, -0.5, 1e-12);
});

Deno.test("a summary names the first token that is not finite, and knows replies where some sequences have one", () => {
  const of = (kl: (number | null)[], replyFrom: number | null): SequencePredictions => ({
    ...{ index: 3, replyFrom, kl, agrees: "1".repeat(kl.length), nllA: [], nllB: [] },
  });
  const { all, reply, prompt } = summarizePredictions([of([0.1, 0.5], null), of([0.5, null, 0.25], 2)]);
  assertEquals([all.kl.most, all.kl.mostAt.position, all.kl.mean.value, all.next], [NaN, 1, NaN, null]);
  // A sequence without a reply is a prompt.
  assertEquals([reply!.kl.most, reply!.kl.mostAt], [0.25, { sequence: 3, position: 2 }]);
  assertEquals([prompt!.positions, reply!.positions], [4, 1]);
  const none = summarizePredictions([of([0, 0], null)]);
  assertEquals([none.reply, none.prompt, none.all.kl.mostShare], [null, null, 0]);
  assertEquals(none.all.kl.logMean, { value: 0, low: 0, high: Infinity });
  // Of equal ones the first.
  assertEquals(summarizePredictions([of([0.1, 0.5, 0.5], null)]).all.kl.mostAt, { sequence: 3, position: 1 });
});
