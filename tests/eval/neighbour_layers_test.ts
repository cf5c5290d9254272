/** What is counted of a text's layers takes whole sequences for neighbours, and the blocks within them for none. */
import type { ModelConfig } from "../../src/checkpoint/model_config.ts";
import { APART_TEXTS, groupings, ONE_TEXT, type Origin, skewedRatio, TRUTH } from "../../src/eval/intervals.ts";
import { largestOf } from "../../src/eval/largest_of.ts";
import { ObservedErrors } from "../../src/eval/observed_errors.ts";
import { ObservedShares } from "../../src/eval/observed_shares.ts";
import { OperationSums } from "../../src/eval/operation_sums.ts";
import { originOf } from "../../src/eval/prediction_summary.ts";
import { QuantizedChanges } from "../../src/eval/quantized_changes.ts";
import { RouterFlips } from "../../src/eval/router_flips.ts";
import { shareOf } from "../../src/eval/shares.ts";
import { assert, assertEquals } from "../assert.ts";
import { compared, openSide, quantized, TWO_TURNS } from "./sides.ts";

const ORIGINS: readonly Origin[] = [APART_TEXTS, ONE_TEXT];
const CONFIG = { topK: 1, experts: 2, layers: 2 } as ModelConfig;

/** Sequences of two blocks each. */
const SEQUENCES = 16, TOKENS = 64;

/** A text that was cut: which tokens differ between the settings, every other one of its first half. */
type Text = readonly boolean[][];

function textOf(sequences: number, tokens: number): Text {
  const all = Array.from({ length: sequences * tokens }, (_, i) => i < sequences * tokens / 2 && i % 2 === 0);
  return Array.from({ length: sequences }, (_, s) => all.slice(s * tokens, (s + 1) * tokens));
}

/** Rows of a column, one for each token. */
function pairOf(sequence: readonly boolean[]) {
  const chosen = (values: Float32Array) => Int32Array.from(values, (x) => x - 1);
  const [a, b] = [Float32Array.from(sequence, () => 1), Float32Array.from(sequence, (differs) => differs ? 2 : 1)];
  const common = { layer: 0, operation: "inputNorm", start: 0, rows: sequence.length, width: 1 } as const;
  return { ...common, a, b, expertsA: chosen(a), expertsB: chosen(b) };
}

/** The interval of their share, as of values that are counted without any collector. */
function expected(text: Text, origin: Origin) {
  const { low, high } = shareOf(text.map((sequence) => sequence.map(Number)), TRUTH, origin);
  return { low, high };
}

/** That of router flips, of all layers and layer by layer, of affected rows, and of codes that change. */
function found(text: Text, origin: Origin) {
  const flips = new RouterFlips(CONFIG, origin), sums = new OperationSums(0, "inputNorm", 1, 0, 0.1, origin);
  const format = { kind: "fp8_static", scale: 1 } as const;
  const tensor = { name: "x", layer: 0, operation: "inputNorm", format } as const;
  const changes = QuantizedChanges.of(tensor, tensor, origin)!;
  text.forEach((tokens, sequence) => {
    const pair = pairOf(tokens), at = { sequence, start: 0, tokens: new Int32Array(tokens.length) };
    for (const layer of [0, 1]) flips.add({ ...pair, layer }, new Float32Array(2 * tokens.length), at);
    sums.addForced(pair, CONFIG, sequence);
    changes.add(pair, { sequence, start: 0, perToken: 1 });
  });
  const { interval, perLayerIntervals } = flips.summary();
  return [interval, ...perLayerIntervals, sums.details().affectedInterval, changes.result()!.codesInterval];
}

Deno.test("router flips, changed codes and affected rows have the intervals of shares of a text", () => {
  const cut = textOf(SEQUENCES, TOKENS), whole = textOf(1, 256);
  assert(expected(cut, ONE_TEXT).high > expected(cut, APART_TEXTS).high + 0.05);
  for (const text of [cut, whole]) {
    for (const origin of ORIGINS) assertEquals(found(text, origin), new Array(5).fill(expected(text, origin)), origin);
  }
});

Deno.test("blocks within the sequences of a text do not follow one another", () => {
  for (const origin of ORIGINS) {
    const errors = new ObservedErrors(origin), shares = new ObservedShares(["x"], origin);
    for (const sequence of [0, 1]) {
      for (let token = 0; token < TOKENS; token++) {
        errors.add(sequence, token, { signal: 1, error: 1 });
        shares.add({ sequence, start: token, perToken: 1 }, 0, { x: 1 });
      }
    }
    for (const groups of [errors.groups(), shares.groups("x")]) {
      const follow = groups.map((observations) => observations.map(({ follows = false }) => follows));
      assertEquals(follow, [new Array(2).fill(origin === ONE_TEXT), new Array(4).fill(false)]);
    }
  }
});

Deno.test("the largest of a text's layers is told from others as its neighbours allow", () => {
  const others = ORIGINS.map((origin) => {
    const candidates = [0, 1].map((layer) => {
      // Another layer has less in one half of the text, and as good as the same in the other.
      const level = (s: number) => 1 + s % 3 / 100 - (layer === 0 ? 0 : s < SEQUENCES / 2 ? 0.2 : 0.02);
      const values = Array.from({ length: SEQUENCES }, (_, s) => new Float64Array(33).fill(level(s)));
      return { layer, operation: "q_proj", groups: groupings(values, origin).slice(0, 1) };
    });
    return largestOf(candidates, (groups) => skewedRatio(groups))!.others.length;
  });
  assertEquals(others, [0, 1]);
});

Deno.test("sequences of which some are replies are not of one text", () => {
  const origins = [[null, null], [null, 3], [0, 0]].map((all) => originOf(all.map((replyFrom) => ({ replyFrom }))));
  assertEquals(origins, [ONE_TEXT, APART_TEXTS, APART_TEXTS]);
});

Deno.test("scales and codes that change follow how alike a text's neighbours are", async () => {
  const sequences = [20, 60].flatMap((from) => new Array<Int32Array>(4).fill(TWO_TURNS.subarray(from, from + 8)));
  const widths = await Promise.all([null, 0].map(async (replyFrom) => {
    const sides = (["even", "floor"] as const).map((rule) =>
      openSide(quantized(() => ({ kind: "mx", element: "e2m1", rule })))
    );
    const { tensors } = await compared(sides[0]!, sides[1]!, sequences, {}, replyFrom);
    const intervals = tensors.flatMap(({ changes }) => changes === null ? [] : changes.scalesInterval!);
    return intervals.map(({ low, high }) => high - low);
  }));
  const [ofText, ofReplies] = widths;
  assert(ofText!.length > 0 && ofText!.some((width, i) => width > ofReplies![i]!), `${widths}`);
});
