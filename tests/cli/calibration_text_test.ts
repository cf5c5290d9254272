import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { type Pretended, pretendedScales } from "../../src/cli/calibrate.ts";
import { calibrationText } from "../../src/cli/calibration_text.ts";
import { DEFAULTS } from "../../src/session/setting.ts";
import { assertEquals, assertMatch, assertNotEquals } from "../assert.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { makeCheckpoint } from "../checkpoint/make.ts";
import { Random } from "../checkpoint/random.ts";
import { inProcess } from "./in_process.ts";
import { pausedAfter } from "./paused.ts";
import { TINY } from "./program.ts";

const PROBLEMS = new URL("../goldens/word-problems.jsonl", import.meta.url).pathname;

/** The embedded model in another place, with keys of its config as they are given. */
function copied(dir: TemporaryDirectory, config: Record<string, unknown>): string {
  for (const { name } of [...Deno.readDirSync(TINY)].filter(({ isFile }) => isFile)) {
    Deno.copyFileSync(`${TINY}/${name}`, dir.write(`model/${name}`, ""));
  }
  const before = JSON.parse(Deno.readTextFileSync(`${TINY}/config.json`));
  dir.write("model/config.json", { ...before, ...config });
  return `${dir.path}/model`;
}

/** Lets two letters of a model's tokenizer change their ids, so that as many tokens are others. */
function exchangeLetters(model: string): void {
  const path = `${model}/tokenizer.json`, tokenizer = JSON.parse(Deno.readTextFileSync(path));
  const { vocab } = tokenizer.model;
  [vocab["A"], vocab["."]] = [vocab["."], vocab["A"]];
  Deno.writeTextFileSync(path, JSON.stringify(tokenizer));
}

Deno.test("--calibrate takes no longer sequences than the model has positions", async () => {
  using dir = new TemporaryDirectory();
  const small = openCheckpoint(copied(dir, { max_position_embeddings: 40 }));
  const text = dir.write("text.txt", "Ann has 12 pears. She buys 30 more. ".repeat(20));
  const [one] = (await calibrationText(text, openCheckpoint(TINY))).sequences;
  const { sequences, tokens } = await calibrationText(text, small);
  assertEquals(sequences.slice(0, -1).map(({ length }) => length), Array(sequences.length - 1).fill(40));
  assertEquals(sequences.flatMap((ids) => [...ids]), [...one!]);
  assertEquals(tokens, one!.length);
  const conversations = await calibrationText(PROBLEMS, small, 400);
  assertEquals(conversations.sequences.map(({ length }) => length), Array(10).fill(40));
});

for (const words of ["quantize --scheme fp8 --out OUT", "compare --text TEXT --b scheme=fp8"]) {
  Deno.test(`mxoss ${words} names --calibrate where its tokens are not the model's`, async () => {
    using dir = new TemporaryDirectory();
    makeCheckpoint(dir, new Random(4), { shape: { ...SHAPES.tiny, vocab: 1000 }, layout: "hf_bf16" });
    Deno.copyFileSync(`${TINY}/tokenizer.json`, dir.write("tokenizer.json", ""));
    const text = dir.write("text.txt", "Ann has 3 pears.<|end|>"), plain = dir.write("plain.txt", "He has 3 and 4.");
    const args = words.replace("OUT", `${dir.path}/out`).replace("TEXT", plain).split(" ");
    const { stderr, code } = await inProcess([...args, "--model", dir.path, "--calibrate", text]);
    assertMatch(stderr, /(?<=^|\n)error: --calibrate: text\.txt [^\n]*: token id 1021: expected 0 to 999, [^\n]*\n$/);
    assertEquals(code, 2);
    const logits = ["logits", "--model", dir.path, "--prompt-file", text, "--out", `${dir.path}/x.safetensors`];
    const line = `error: ${dir.path}/tokenizer.json: token id 1021: expected 0 to 999, the vocabulary\n`;
    assertEquals((await inProcess(logits)).stderr, line);
  });
}

Deno.test("scales that compare and eval keep belong to the tokens that they were measured on", async () => {
  using dir = new TemporaryDirectory();
  const model = copied(dir, {}), text = dir.write("text.txt", "Ann has 3 pears. Al has 4.");
  const found: Pretended[] = [];
  const look = () => pretendedScales(found)(text, { ...DEFAULTS, checkpoint: openCheckpoint(model) }, null);
  await look();
  await look();
  exchangeLetters(model);
  await look();
  const [first, second, other] = found.map(({ header }) => header);
  assertEquals(second, first);
  assertNotEquals(other, first);
});

Deno.test("mxoss quantize does not go on with scales that another tokenizer's tokens have", async () => {
  using dir = new TemporaryDirectory();
  const model = copied(dir, {}), out = `${dir.path}/out`, text = dir.write("text.txt", "Ann has 3 pears. Al has 4.");
  const before = await calibrationText(text, openCheckpoint(model));
  const args = ["quantize", "--model", model, "--scheme", "w_mxfp4_a_fp8", "--calibrate", text];
  const cut = [...args, "--shard-size", "300kB", "--out", out];
  await using paused = await pausedAfter(1, cut, dir.path);
  paused.child.kill("SIGKILL");
  await paused.ended;
  exchangeLetters(model);
  const after = await calibrationText(text, openCheckpoint(model));
  assertEquals([after.tokens, after.from], [before.tokens, before.from]);
  assertNotEquals(after.sha256, before.sha256);
  const { stderr, code } = await inProcess(cut);
  assertMatch(stderr, /^error: --out: [^\n]*: holds an interrupted run with other settings; [^\n]*\n$/);
  assertEquals(code, 2);
});
