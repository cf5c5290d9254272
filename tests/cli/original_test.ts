/** OpenAI's own layout as it is downloaded: weights and config alone. */
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { writeRandomCheckpoint } from "../../tools/random_checkpoint.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { integers, readGolden } from "../golden.ts";
import { inProcess } from "./in_process.ts";

Deno.test("mxoss takes o200k_harmony for an original/ checkpoint without a tokenizer, and says so", async () => {
  using dir = new TemporaryDirectory();
  const shape = { ...SHAPES.tiny, layers: 1, hidden: 32, experts: 4, vocab: 201_088 };
  writeRandomCheckpoint(`${dir.path}/original`, { shape, layout: "original" });
  const warning = /^warning: .*: no tokenizer\.json; o200k_harmony is used, gpt-oss's own, for its 201088 tokens\n$/;

  const out = `${dir.path}/logits.safetensors`;
  const args = ["logits", "--model", dir.path, "--prompt", "<|start|>user<|message|>Hello world<|end|>", "--out", out];
  const logits = await inProcess(args);
  assertMatch(logits.stderr, warning);
  assertEquals(logits.code, 0);
  assertEquals(integers(readGolden(out), "ids"), [200006, 1428, 200008, 13225, 2375, 200007]);

  const reply = await inProcess(["--model", dir.path, "--max-tokens", "3", "--json", "Hello world"]);
  assertMatch(reply.stderr.replace(/warning: [^\n]*: no chat template; [^\n]*\n$/, ""), warning);
  assertMatch(reply.stderr, /no chat template/);
  assertEquals(reply.code, 0);
  const { prompt_token_ids: prompt, token_ids: ids } = JSON.parse(reply.stdout);
  assertEquals(prompt.slice(-8), [200006, 1428, 200008, 13225, 2375, 200007, 200006, 173781]);
  assert(ids.length > 0 && ids.length <= 3);
});
