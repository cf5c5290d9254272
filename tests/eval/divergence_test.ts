import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { compareSides } from "../../src/eval/divergence.ts";
import { operationName } from "../../src/eval/summary.ts";
import { InputError } from "../../src/errors.ts";
import { operation as operationOf, OPERATIONS } from "../../src/model/operations.ts";
import type { InputFormat } from "../../src/formats/input.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assert, assertAlmostEquals, assertEquals, assertRejects } from "../assert.ts";
import { floats, readGolden } from "../golden.ts";
import { dose, everyNth } from "../soak.ts";
import { rewrite, TemporaryDirectory } from "../checkpoint/container.ts";
import { compared, openSide, quantized, TINY, TWO_TURNS } from "./sides.ts";

const goldens = readGolden("logits.safetensors");
/** For what no golden is compared with. */
const SOME_TOKENS = TWO_TURNS.subarray(0, dose(40, Infinity));

const scales = floats(goldens, "static_input_scale");

/** Mean KL from w_mxfp4 over all positions of two_turns in float32, by the reference implementation (PyTorch). */
const REFERENCE: [scheme: string, input: (layer: number, gemm: 0 | 1) => InputFormat, meanKl: number][] = [
  ["a_fp8", (l, gemm) => ({ kind: "fp8_static", scale: scales[2 * l + gemm]! }), 4.7e-6],
  ["a_q8_0", () => ({ kind: "q8_0" }), 8.6e-7],
  ["a_mxfp8", () => ({ kind: "mx", element: "e4m3fn", rule: "rceil" }), 5.1e-6],
  ["a_mxfp6_e2m3", () => ({ kind: "mx", element: "e2m3", rule: "even" }), 1.1e-5],
  ["a_mxfp6_e3m2", () => ({ kind: "mx", element: "e3m2", rule: "even" }), 1.6e-5],
  ["a_mxfp4", () => ({ kind: "mx", element: "e2m1", rule: "even" }), 7.1e-4],
];

for (const [scheme, input, meanKl] of everyNth(3, REFERENCE)) {
  Deno.test(`compare gives the reference implementation's mean KL for w_mxfp4_${scheme}, within 10%`, async () => {
    const { logits } = await compared(openSide(), openSide(quantized(input)));
    const { summary: { all: { positions, kl } }, sequences: [sequence] } = logits;
    assertEquals([positions, sequence!.kl.length, sequence!.agrees.length], [210, 210, 210]);
    assert(Math.abs(kl.mean.value / meanKl - 1) <= 0.1, `mean KL is ${kl.mean.value}, expected ${meanKl}`);
    const each = sequence!.kl.map((x) => x!);
    assertAlmostEquals(each.reduce((sum, x) => sum + x, 0) / 210, kl.mean.value, 1e-15);
    assertEquals(each[kl.mostAt.position], kl.most);
    assertEquals(kl.most, Math.max(...each));
    // The reference's own value is inside the interval that one sequence of 210 tokens leaves.
    assert(kl.mean.low <= meanKl && meanKl <= kl.mean.high);
  });
}

Deno.test("two_turns.txt spells the golden tokens", async () => {
  const text = await Deno.readTextFile(new URL("../goldens/eval/two_turns.txt", import.meta.url));
  const tokenizer = await Tokenizer.fromDirectory(TINY);
  assertEquals(tokenizer.encode(text, { allowSpecial: true }), TWO_TURNS);
});

Deno.test("compare finds nothing between a setting and itself", async () => {
  const result = await compared(openSide(), openSide(), [SOME_TOKENS]);
  assert(result.operations.every((o) => o.total.relativeError === 0 && o.own!.relativeError === 0));
  assertEquals(result.operations.length, 4 * (OPERATIONS.length - 3) + 3);
  const { all } = result.logits.summary;
  assertEquals([all.kl.mean.value, all.kl.logMean.value, all.sameTop.value, result.router.flipped], [0, 0, 1, 0]);
  assertEquals([result.firstAboveAlarm, result.suspects], [null, []]);
  assertEquals(all.next!.perplexityA, all.next!.perplexityB);
});

Deno.test("compare measures the perplexity that the logits have", async () => {
  // By hand, from Hugging Face's logits of the last 64 positions.
  const golden = floats(goldens, "two_turns.w_mxfp4"), vocab = 1024, first = TWO_TURNS.length - 64;
  let nll = 0;
  for (let row = 0; row < 63; row++) {
    const logits = [...golden.subarray(row * vocab, (row + 1) * vocab)];
    const norm = Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0));
    nll += norm - logits[TWO_TURNS[first + row + 1]!]!;
  }
  const whole = await compared(openSide(), openSide(undefined, { dtype: "bf16" }));
  const head = await compared(openSide(), openSide(undefined, { dtype: "bf16" }), [TWO_TURNS.subarray(0, first + 1)]);
  const sum = (d: typeof whole) => Math.log(d.logits.summary.all.next!.perplexityA.value) * (d.tokens - 1);
  assertAlmostEquals(sum(whole) - sum(head), nll, 1e-2);
});

Deno.test("compare gives the same numbers whatever the size of the pieces", async () => {
  const input: InputFormat = { kind: "mx", element: "e2m1", rule: "even" };
  const run = (maxTokens: number) =>
    compared(openSide(undefined, { maxTokens }), openSide(quantized(() => input), { maxTokens }), [SOME_TOKENS]);
  const [one, other] = [await run(64), await run(23)];
  assertEquals(other.logits, one.logits);
  assertEquals(other.router.flipped, one.router.flipped);
  assertEquals(other.tensors, one.tensors);
  other.operations.forEach((o, i) => {
    const { total, own } = one.operations[i]!;
    assertAlmostEquals(o.total.relativeError, total.relativeError, 1e-12, operationName(o));
    assertAlmostEquals(o.own!.relativeError, own!.relativeError, 1e-12, operationName(o));
    const rows = SOME_TOKENS.length * (operationOf(o.operation).rows === "slot" ? 4 : 1);
    assertEquals([o.total.rows + o.unmatchedRows, o.own!.rows], [rows, rows], operationName(o));
  });
  // Inputs of the experts are what differs; of a layer's last part all is off that follows it.
  const error = ({ operations }: typeof one, layer: number, name: string) =>
    operations.find((o) => o.layer === layer && o.operation === name)!;
  assert(error(one, 3, "mlpResidual").total.relativeError > 1e-3);
  assertEquals([error(one, 3, "q_proj").own!.relativeError, error(one, 0, "route").total.relativeError], [0, 0]);
});

Deno.test("compare counts cached keys and values by their tokens, whatever the size of the pieces", async () => {
  const run = (maxTokens: number) =>
    compared(openSide(undefined, { maxTokens }), openSide(undefined, { maxTokens, kvCacheDtype: "fp8" }), [
      SOME_TOKENS,
    ]);
  const [one, other] = [await run(64), await run(5)];
  assertEquals(one.tensors.length, 8);
  assertEquals(other.tensors, one.tensors);
});

Deno.test("compare names the channel that alone is off", async () => {
  using dir = new TemporaryDirectory();
  for (const name of ["config.json", "model.safetensors"]) Deno.copyFileSync(`${TINY}/${name}`, `${dir.path}/${name}`);
  rewrite(`${dir.path}/model.safetensors`, (tensors) => {
    // 12 in bfloat16, of one of 64 channels.
    tensors.get("model.layers.1.self_attn.o_proj.bias")!.bytes.set([0x40, 0x41], 2 * 40);
  });
  const other = openSide(openCheckpoint(dir.path));
  const { operations } = await compared(openSide(), other, [SOME_TOKENS.subarray(0, 9)]);
  const { outliers } = operations.find(({ layer, operation }) => layer === 1 && operation === "o_proj")!;
  assertEquals([outliers.length, outliers[0]!.channel], [1, 40]);
  assertAlmostEquals(outliers[0]!.errorShare, 1, 1e-6);
});

Deno.test("compare keeps both predictions wherever the likeliest token is another one", async () => {
  const input: InputFormat = { kind: "mx", element: "e2m1", rule: "even" };
  const { logits } = await compared(openSide(), openSide(quantized(() => input)));
  const { agrees, differs } = logits.sequences[0]!;
  const positions = [...agrees].flatMap((same, position) => same === "1" ? [] : [position]);
  assert(positions.length > 0);
  assertEquals(differs!.map(({ position }) => position), positions);
  for (const { a, b } of differs!) assert(a[0]![0] !== b[0]![0]);
});

Deno.test("compare names the first operation that is off by more than the alarm, and tells how far it is", async () => {
  const input: InputFormat = { kind: "mx", element: "e2m1", rule: "even" };
  const tokens = [SOME_TOKENS.subarray(0, 9), SOME_TOKENS.subarray(9, 14)],
    progress: (readonly [number, number])[] = [];
  const run = (alarm: number) =>
    compared(openSide(undefined, { maxTokens: 4 }), openSide(quantized(() => input)), tokens, {
      alarm,
      onProgress: (done, total) => void progress.push([done, total]),
    });
  const { operations, firstAboveAlarm } = await run(1e-9);
  // Everything before the first quantized input is the same.
  const { layer, operation, relativeError } = firstAboveAlarm!;
  assertEquals([layer, operation], [0, "experts.gate_up_proj"]);
  // Pieces of 4 tokens of either text.
  assertEquals(progress, [0, 4, 8, 9, 13, 14].map((done) => [done, 14] as const));
  // What is off by just as much is not above it.
  const at = operations.findIndex((o) => o.total.relativeError === relativeError);
  const next = operations.slice(at).find((o) => o.total.relativeError > relativeError)!;
  const { firstAboveAlarm: other } = await run(relativeError);
  assertEquals(other, { layer: next.layer, operation: next.operation, relativeError: next.total.relativeError });
});

Deno.test("compare starts every sequence afresh", async () => {
  const input: InputFormat = { kind: "mx", element: "e2m1", rule: "even" };
  const { length } = SOME_TOKENS;
  const twice = await compared(openSide(), openSide(quantized(() => input)), [SOME_TOKENS, SOME_TOKENS]);
  const [first, second] = twice.logits.sequences;
  assertEquals(second!.kl, first!.kl);
  assertEquals([twice.tokens, twice.sequences], [2 * length, 2]);
  // Nor does the pass on equal inputs know of the sequence before.
  const once = await compared(openSide(), openSide(quantized(() => input)), [SOME_TOKENS]);
  twice.operations.forEach(({ total, own, ...o }, i) => {
    const { total: ofOne, own: alone } = once.operations[i]!;
    assertAlmostEquals(total.relativeError, ofOne.relativeError, 1e-12, operationName(o));
    assertAlmostEquals(own!.relativeError, alone!.relativeError, 1e-12, operationName(o));
    assertEquals([total.rows, own!.rows], [2 * ofOne.rows, 2 * alone!.rows]);
  });
});

Deno.test("compare lists router flips with their margins", async () => {
  const { router } = await compared(
    openSide(),
    openSide(quantized(() => ({ kind: "mx", element: "e2m1", rule: "even" }))),
    [SOME_TOKENS],
  );
  assertEquals(router.decisions, 4 * SOME_TOKENS.length);
  assert(router.flipped > 0 && router.flips.length === router.flipped);
  const share = router.flipped / router.decisions;
  assert(router.interval === null || router.interval.low <= share && share <= router.interval.high);
  for (const { lost, gained, margin, position, token } of router.flips) {
    assertEquals(lost.length, gained.length);
    // A had reason to prefer what it chose.
    assert(margin >= 0 && token === TWO_TURNS[position]);
  }
});

Deno.test("compare works against several ranks, on either side and on both", async () => {
  const many = { tp: 2, ep: 2 };
  const sides = [[{}, many, true], [many, {}, true], [many, { tp: 4 }, false]] as const;
  for (const [a, b, known] of everyNth(2, sides)) {
    const result = await compared(openSide(undefined, a), openSide(undefined, b), [SOME_TOKENS]);
    assert(result.operations.every((o) => o.total.relativeError < 1e-4));
    assertEquals(result.operations.every((o) => o.own !== null), known);
  }
});

Deno.test("compare estimates suspects where both sides run on several ranks", async () => {
  const broken = quantized((layer, gemm) =>
    layer === 2 && gemm === 1 ? { kind: "fp8_static", scale: 1e-3 } : { kind: "none" }
  );
  const good = quantized((layer, gemm) =>
    layer === 2 && gemm === 1 ? { kind: "fp8_static", scale: 0.125 } : { kind: "none" }
  );
  const { suspects } = await compared(openSide(good, { tp: 2 }), openSide(broken, { tp: 2 }), [SOME_TOKENS]);
  assertEquals(operationName(suspects[0]!), "layer 2 experts.down_proj");
  assertEquals(suspects[0]!.evidence, "estimated");
});

Deno.test("compareSides() refuses models of different shapes", async () => {
  const a = await openSide(), b = { ...a, config: { ...a.config, experts: 32 } };
  await assertRejects(
    () => compareSides(a, b, [{ tokens: TWO_TURNS, replyFrom: null }], { alarm: 1e-2 }),
    InputError,
    "A has experts 16 and B 32",
  );
  await a.session.close();
});

Deno.test("compare lists the tensors that either side quantizes by layer, in the order of the pass", async () => {
  const cached = () => openSide(undefined, { kvCacheDtype: "fp8" });
  const rounded = () => openSide(quantized(() => ({ kind: "fp8_token" })));
  // Values are stored where they are projected, keys after they are rotated.
  const names = ["cache.value", "cache.key", "experts.gate_up_proj.input", "experts.down_proj.input"];
  for (const [first, second] of [[cached, rounded], [rounded, cached]] as const) {
    const { tensors } = await compared(first(), second(), [SOME_TOKENS.subarray(0, 4)]);
    assertEquals(
      tensors.map(({ layer, name }) => `${layer} ${name}`),
      [0, 1, 2, 3].flatMap((layer) => names.map((name) => `${layer} ${name}`)),
    );
    assertEquals(tensors.map(({ a, b }) => a !== null && b !== null), Array(16).fill(false));
  }
});
