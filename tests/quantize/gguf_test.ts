import { createHash } from "node:crypto";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { openSafetensors } from "../../src/checkpoint/safetensors.ts";
import { InputError } from "../../src/errors.ts";
import { decodeQ8, splitBlocks } from "../../src/quantize/gguf/blocks.ts";
import { planConversion } from "../../src/quantize/gguf/convert.ts";
import type { Watch } from "../../src/quantize/write_shards.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { SetClock } from "../timers.ts";
import { GOLDENS, run } from "./gguf_runs.ts";

type Tensors = Record<string, [dtype: string, shape: number[], sha256: string]>;
/** What each tensor must be, by make.py: llama.cpp's converter and gguf-py. */
const EXPECTED = JSON.parse(Deno.readTextFileSync(`${GOLDENS}expected.json`));
const FILES: Record<string, string> = {
  ...{ bf16: "model-bf16.gguf", f32: "model-f32.gguf", f16: "model-f16.gguf", q8_0: "model-q8_0.gguf" },
  split: "model-split-00002-of-00002.gguf",
  ...{ "experts-bf16": "experts-bf16.gguf", "experts-f16": "experts-f16.gguf" },
  ...{ "experts-f32": "experts-f32.gguf", "experts-q8_0": "experts-q8_0.gguf" },
};

function tensorsIn(dir: string): Tensors {
  const files = [...Deno.readDirSync(dir)].map(({ name }) => name).filter((name) => name.endsWith(".safetensors"));
  return Object.fromEntries(files.flatMap((name) => {
    const { tensors, path } = openSafetensors(`${dir}/${name}`), bytes = Deno.readFileSync(path);
    return [...tensors.values()].map(({ name, dtype, shape, offset, bytes: length }) => {
      const sha256 = createHash("sha256").update(bytes.subarray(offset, offset + length)).digest("hex");
      return [name, [dtype, [...shape], sha256]] as const;
    });
  }));
}

for (const [kind, file] of Object.entries(FILES)) {
  Deno.test(`gguf: ${file} of llama.cpp's converter becomes the tensors that it was made of`, async () => {
    using dir = new TemporaryDirectory();
    const written = await run(await planConversion(GOLDENS + file), `${dir.path}/out`);
    assertEquals(written!.files.at(-1), "config.json");
    assertEquals(tensorsIn(`${dir.path}/out`), EXPECTED[kind]);
    const { layout, config, warnings } = openCheckpoint(`${dir.path}/out`);
    assertEquals([layout, warnings], [kind.startsWith("experts") ? "hf_bf16" : "hf_mxfp4", []]);
    assertEquals([config.layers, config.experts, config.topK, config.slidingWindow], [2, 4, 2, 16]);
    assertEquals([config.rmsNormEps, config.rope.theta, config.rope.yarn!.factor], [1e-5, 150_000, 32]);
    assertEquals([config.rope.yarn!.truncate, config.sliding, config.swigluLimit], [false, [true, false], 7]);
  });
}

Deno.test("gguf: config.json says how experts are stored, and has floats where transformers wants them", async () => {
  using dir = new TemporaryDirectory();
  const texts = [];
  for (const kind of ["q8_0", "experts-q8_0", "experts-bf16"]) {
    await run(await planConversion(GOLDENS + FILES[kind]), `${dir.path}/${kind}`);
    texts.push(Deno.readTextFileSync(`${dir.path}/${kind}/config.json`));
  }
  for (const text of texts) assertMatch(text, /"swiglu_limit": 7\.0,/);
  const [four, eight, plain] = texts.map((text) => JSON.parse(text)), lost = { from: ["bf16"], to: ["q8_0", "f32"] };
  assertEquals([four.quantization_config.quant_method, four.mxoss_quantized], ["mxfp4", [{ attention: lost }]]);
  assertEquals([eight.quantization_config, eight.mxoss_quantized], [undefined, [{ experts: lost, attention: lost }]]);
  assertEquals([plain.quantization_config, plain.mxoss_quantized], [undefined, undefined]);
  assertEquals([four, eight, plain].map((config) => config.torch_dtype), ["float32", "float32", "bfloat16"]);
});

Deno.test("gguf: the vocabulary becomes the tokenizer that it came from", async () => {
  using dir = new TemporaryDirectory();
  await run(await planConversion(GOLDENS + FILES["bf16"]), `${dir.path}/out`);
  const json = JSON.parse(Deno.readTextFileSync(`${dir.path}/out/tokenizer.json`));
  const { vocab, merges, added, texts } = EXPECTED.tokenizer;
  assertEquals(json.model.vocab, vocab);
  assertEquals(json.model.merges, merges);
  assertEquals(json.added_tokens, added);
  const tokenizer = await Tokenizer.fromDirectory(`${dir.path}/out`);
  for (const [text, ids] of Object.entries(texts)) {
    assertEquals([...tokenizer.encode(text, { allowSpecial: true })], ids as number[], text);
  }
  const generation = JSON.parse(Deno.readTextFileSync(`${dir.path}/out/generation_config.json`));
  const id = (name: string) => added.find(({ content }: { content: string }) => content === name).id;
  assertEquals(generation.eos_token_id, [id("<|return|>"), id("<|endoftext|>"), id("<|call|>")]);
  assertEquals([generation.pad_token_id, generation.bos_token_id], [id("<|endoftext|>"), id("<|startoftext|>")]);
  const template = Deno.readTextFileSync(`${dir.path}/out/chat_template.jinja`);
  assertEquals(template, "{% for m in messages %}{{ m.content }}\n{% endfor %}");
});

for (const kind of ["bf16", "experts-q8_0"]) {
  Deno.test(`gguf: a stopped conversion goes on, and several files hold the same tensors: ${kind}`, async () => {
    using dir = new TemporaryDirectory();
    const plan = await planConversion(GOLDENS + FILES[kind]), out = `${dir.path}/out`;
    // Pauses are due by the clock: it goes on with each piece alone, and far enough for a pause.
    using clock = new SetClock();
    let done = 0, furthest = 0, places = 0, stopped = 0;
    const watch: Watch = {
      onProgress: (bytes) => {
        done = bytes;
        clock.milliseconds += 40;
      },
      // Each place counts once, so that every run gets further than the one before it.
      stop: () => {
        if (done <= furthest) return false;
        furthest = done;
        return ++places % 3 === 0;
      },
    };
    while (await run(plan, out, 20_000, watch) === null) {
      assert(![...Deno.readDirSync(out)].some(({ name }) => name === "config.json"));
      assertEquals(++stopped, places / 3, "stopped where it was not asked to");
    }
    assert(stopped > 4, `stopped at ${stopped} of ${places} places`);
    assertEquals(stopped, Math.floor(places / 3), "not stopped where it was asked to");
    assertEquals(tensorsIn(out), EXPECTED[kind]);
    assert(!Deno.readDirSync(out).some(({ name }) => name.includes("journal")));
    assertEquals(openCheckpoint(out).source.files.length > 3, true);
  });
}

Deno.test("gguf: a scale that is NaN is refused where it stands, and no config.json is written", async () => {
  using dir = new TemporaryDirectory();
  const bytes = Deno.readFileSync(GOLDENS + FILES["bf16"]), path = `${dir.path}/nan.gguf`;
  const plan = await planConversion(GOLDENS + FILES["bf16"]);
  const experts = plan.pieces.find((piece) => piece.kind === "experts")!;
  const up = experts.from[1]!, perExpert = experts.rows * experts.cols / 32 * 17;
  bytes[up.offset + perExpert + 3 * (experts.cols / 32) * 17 + 17] = 0xff;
  Deno.writeFileSync(path, bytes);
  const { message } = await assertRejects(
    async () => await run(await planConversion(path), `${dir.path}/out`),
    InputError,
  );
  const place = "expert 1, row 3, block 1";
  assertEquals(
    message,
    `${path}: tensor blk.0.ffn_up_exps.weight: expected scales that are numbers, got NaN (255) of ${place}`,
  );
  assert(![...Deno.readDirSync(`${dir.path}/out`)].some(({ name }) => name === "config.json"));
});

/** Changes text of the same length in the header. */
async function changed(from: string, to: string): Promise<string> {
  using dir = new TemporaryDirectory();
  const bytes = Deno.readFileSync(GOLDENS + FILES["q8_0"]), old = new TextEncoder().encode(from);
  const at = bytes.findIndex((_, i) => old.every((byte, k) => bytes[i + k] === byte));
  assert(at > 0, `${from} is not there`);
  bytes.set(new TextEncoder().encode(to), at);
  const path = dir.write("x.gguf", bytes);
  return (await assertRejects(async () => await planConversion(path), InputError)).message.replace(path, "x");
}

Deno.test("gguf: what GPT-OSS has not is refused by its key or tensor before anything is written", async () => {
  assertEquals(
    await changed("gpt-oss", "deepsek"),
    'x: general.architecture: expected gpt-oss, got "deepsek"',
  );
  assertEquals(await changed("yarn", "none"), 'x: gpt-oss.rope.scaling.type: expected yarn, got "none"');
  assertEquals(await changed("gpt-4o", "qwen-2"), 'x: tokenizer.ggml.pre: expected gpt-4o, got "qwen-2"');
  assertMatch(
    await changed("gpt-oss.expert_used_count", "gpt-oss.expert_used_many"),
    /^x: gpt-oss\.expert_used_count: expected a positive integer, got nothing$/,
  );
  assertMatch(
    await changed("gpt-oss.rope.scaling.yarn_beta_slow", "gpt-oss.rope.scaling.yarn_beta_slop"),
    /^x: expected keys of gpt-oss that are known, got gpt-oss\.rope\.scaling\.yarn_beta_slop$/,
  );
  assertEquals(
    await changed("blk.1.attn_sinks.weight", "blk.1.attn_sinks.wieght"),
    "x: tensor blk.1.attn_sinks.weight: expected F32, F16 or BF16 [2], got nothing",
  );
});

Deno.test("gguf: blocks are taken apart by their two rules", () => {
  const block = Uint8Array.of(120, ...Array.from({ length: 16 }, (_, i) => i | (15 - i) << 4));
  const codes = new Uint8Array(32), scales = new Uint8Array(2);
  assertEquals(splitBlocks(Uint8Array.of(...block, ...block.with(0, 255)), codes, 0, scales, 0), 1);
  assertEquals([...scales], [120, 255]);
  const nibbles = [...codes.subarray(0, 16)].flatMap((byte) => [byte & 15, byte >> 4]);
  assertEquals(nibbles, [...Array(16).keys(), ...Array(16).keys().map((i) => 15 - i)]);
  const q8 = new Uint8Array(34), view = new DataView(q8.buffer);
  view.setFloat16(0, -0.5, true);
  for (let i = 0; i < 32; i++) view.setInt8(2 + i, i * 8 - 128);
  assertEquals([...decodeQ8(q8)!], Array.from({ length: 32 }, (_, i) => -0.5 * (i * 8 - 128)));
  view.setFloat16(0, Infinity, true);
  assertEquals(decodeQ8(q8), null);
});
