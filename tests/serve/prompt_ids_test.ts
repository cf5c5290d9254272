/** Which tokens `/v1/completions` computes for each way to write a prompt. */
import { COMPLETIONS } from "../../src/serve/endpoints/completions.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assertEquals } from "../assert.ts";
import { TINY } from "../text/goldens.ts";
import { scripted } from "./scripted.ts";

const tokenizer = await Tokenizer.fromDirectory(TINY);

Deno.test("completions: a prompt is a text with its special tokens, ids, or a list of either", async () => {
  const server = scripted([COMPLETIONS]);
  const ask = async (prompt: unknown) => {
    const before = server.jobs.length, { status, json } = await server.post("/v1/completions", { prompt });
    assertEquals([status, json.error ?? null], [200, null], JSON.stringify(prompt));
    return server.jobs.slice(before).map((job) => [...job.prompt]);
  };
  const start = tokenizer.special("<|start|>")!, end = tokenizer.special("<|end|>")!;
  const [told] = await ask("<|start|>user<|message|>Hi<|end|>");
  // As they are spelled out, not as texts that look like them.
  assertEquals([told![0], told!.at(-1)], [start, end]);
  assertEquals(told!.filter((id) => id === start || id === end).length, 2);
  assertEquals(await ask([5]), [[5]]);
  assertEquals(await ask([5, 6]), [[5, 6]]);
  assertEquals(await ask([[5], [6, 7]]), [[5], [6, 7]]);
  assertEquals(await ask(["<|start|>", "Hi"]), [[start], [...tokenizer.encode("Hi")]]);
});
