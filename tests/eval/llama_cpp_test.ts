/**
 * Our statistics against those that llama-perplexity --kl-divergence printed of the same logits
 * (tests/goldens/llama_cpp/make.py), and against llama.cpp itself where MXOSS_LLAMA names a llama-perplexity and
 * MXOSS_PYTHON a Python with gguf, torch and safetensors.
 */
import { PredictionRecorder } from "../../src/eval/predictions.ts";
import { llamaCppLines } from "../../src/eval/report/llama_cpp.ts";
import { assert, assertEquals } from "../assert.ts";

const GOLDENS = new URL("../goldens/", import.meta.url).pathname;

/** Log probabilities of the second half of each chunk, as llama.cpp stores them in 16 bits. */
interface Stored {
  readonly tokens: Int32Array;
  /** Tokens of a chunk. */
  readonly context: number;
  /** Of a position in a chunk, from half of the context on; null of the last. */
  rowOf(chunk: number, position: number): Float32Array;
}

async function readStored(path: string): Promise<Stored> {
  const packed = await Deno.readFile(path);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = await new Response(stream).arrayBuffer(), view = new DataView(bytes);
  assertEquals(new TextDecoder().decode(bytes.slice(0, 8)), "_logits_");
  const [context, vocab, chunks] = [8, 12, 16].map((at) => view.getInt32(at, true)) as [number, number, number];
  const tokens = new Int32Array(bytes.slice(20, 20 + 4 * context * chunks));
  const rows = context - 1 - context / 2, width = 2 * Math.ceil(vocab / 2) + 4;
  const rowOf = (chunk: number, position: number) => {
    const start = 20 + 4 * tokens.length + 2 * width * (chunk * rows + position - context / 2);
    const scale = view.getFloat32(start, true), least = view.getFloat32(start + 4, true);
    return Float32Array.from({ length: vocab }, (_, i) => scale * view.getUint16(start + 8 + 2 * i, true) + least);
  };
  return { tokens, context, rowOf };
}

/** Our lines about the positions that llama.cpp looks at. */
async function ours(directory: string): Promise<string[]> {
  const [a, b] = [await readStored(`${directory}/a.kld.gz`), await readStored(`${directory}/b.kld.gz`)];
  assertEquals(b.tokens, a.tokens);
  const half = a.context / 2;
  return llamaCppLines(Array.from({ length: a.tokens.length / a.context }, (_, chunk) => {
    const tokens = a.tokens.subarray(chunk * a.context + half, (chunk + 1) * a.context);
    const recorder = new PredictionRecorder({ index: chunk, tokens, replyFrom: null });
    for (let position = half; position < a.context - 1; position++) {
      recorder.add(a.rowOf(chunk, position), b.rowOf(chunk, position));
    }
    return recorder.result();
  }));
}

/** A line without its numbers, and those. */
function parts(line: string): [label: string, numbers: number[]] {
  const number = /-?\d+\.\d+/g;
  return [line.replaceAll(number, "#").replaceAll(/ +/g, " "), (line.match(number) ?? []).map(Number)];
}

/**
 * B's logits have 16 bits here and 32 there: a step of a log probability is at most 16 / 65535, and what is printed is
 * a mean of such, or e to it.
 */
function assertSame(mine: readonly string[], theirs: readonly string[]): void {
  assertEquals(mine.map((line) => parts(line)[0]), theirs.map((line) => parts(line)[0]));
  mine.forEach((line, i) => {
    const [, expected] = parts(theirs[i]!);
    parts(line)[1].forEach((value, j) => {
      const close = Math.abs(value - expected[j]!) <= 2.5e-4 * Math.max(1, Math.abs(expected[j]!));
      assert(close, `${line}\n${theirs[i]}`);
    });
  });
}

const theirs = (text: string) => text.trimEnd().split("\n");

Deno.test("statistics in llama.cpp's form are llama-perplexity's own, label for label", async () => {
  const output = await Deno.readTextFile(`${GOLDENS}llama_cpp/output.txt`);
  assertSame(await ours(`${GOLDENS}llama_cpp`), theirs(output));
});

const LLAMA = Deno.env.get("MXOSS_LLAMA"), PYTHON = Deno.env.get("MXOSS_PYTHON");
const live = LLAMA !== undefined && PYTHON !== undefined;

Deno.test({
  name: "llama-perplexity says the same of the embedded model now" +
    (live ? "" : " (skipped: MXOSS_LLAMA and MXOSS_PYTHON are not set)"),
  ignore: !live,
  fn: async () => {
    const out = await Deno.makeTempDir();
    try {
      const model = new URL("../../models/tiny-gpt-oss", import.meta.url).pathname;
      const { success, stderr } = await new Deno.Command(PYTHON!, {
        args: [
          `${GOLDENS}llama_cpp/make.py`,
          ...["--model", model, "--problems", `${GOLDENS}word-problems.jsonl`, "--llama", LLAMA!, "--out", out],
        ],
      }).output();
      assert(success, new TextDecoder().decode(stderr));
      assertSame(await ours(out), theirs(await Deno.readTextFile(`${out}/output.txt`)));
    } finally {
      await Deno.remove(out, { recursive: true });
    }
  },
});

Deno.test("what is equal has no spread, and few tokens no statistics", () => {
  const equal = (length: number) => ({
    index: 0,
    replyFrom: null,
    kl: Array<number>(length).fill(0),
    agrees: "1".repeat(length),
    nllA: Array<number>(length - 1).fill(1),
    nllB: Array<number>(length - 1).fill(1),
  });
  const lines = llamaCppLines([equal(102)]);
  assert(lines.includes("Mean    KLD:   0.000000 ±   0.000000"), lines.join("\n"));
  assert(lines.includes("Same top p: 100.000 ± 0.000 %"));
  assertEquals(llamaCppLines([equal(50)]).length, 2);
});

Deno.test("a sequence may have as many tokens as gpt-oss has positions", () => {
  const length = 131_072, each = (value: number) => Array.from({ length }, () => value);
  const sequence = { index: 0, kl: each(0.5), agrees: each(1), nllA: each(2), nllB: each(3) };
  const lines = llamaCppLines([sequence as unknown as Parameters<typeof llamaCppLines>[0][number]]);
  assert(lines.some((line) => line.includes("0.500000")), lines.join("\n"));
});
