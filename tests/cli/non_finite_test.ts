/** Whatever computes logits stops at a NaN with the tensor that holds it, and counts nothing as an answer. */
import { assertEquals, assertMatch } from "../assert.ts";
import { BrokenCheckpoint } from "./broken.ts";
import { inProcess } from "./in_process.ts";
import { mxoss } from "./program.ts";

const PROBLEMS = new URL("../goldens/word-problems.jsonl", import.meta.url).pathname;

/** The last number of a tensor becomes NaN (bf16). */
function spoil(name: string): BrokenCheckpoint {
  const checkpoint = new BrokenCheckpoint();
  checkpoint.tensor(name, (data) => data.set([0xc0, 0x7f], data.length - 2));
  return checkpoint;
}

Deno.test("generate, logits, eval and compare stop at a NaN in lm_head: one line, code 2, no results", async () => {
  using checkpoint = spoil("lm_head.weight");
  const { dir } = checkpoint, out = `${dir}/results`, text = checkpoint.path("config.json");
  const commands = [
    ["generate", "--model", dir, "--raw", "Ben"],
    ["generate", "--model", dir, "--raw", "--backend", "reference", "--temperature", "1", "--json", "Ben"],
    ["generate", "--model", dir, "--raw", "--tp", "2", "Ben"],
    ["logits", "--model", dir, "--tokens", "1,2,3", "--out", `${dir}/logits.safetensors`],
    ["eval", "gsm8k", "--model", dir, "--data", PROBLEMS, "--limit", "3", "--out", out],
    ["eval", "perplexity", "--model", dir, "--text", text, "--limit", "20"],
    ["compare", "--model", dir, "--text", text, "--limit", "20", "--a", "scheme=w_mxfp4_a_mxfp4", "--b", "dtype=f32"],
  ];
  for (const [i, args] of commands.entries()) {
    const { code, stdout, stderr } = await (i === 0 ? mxoss(args, { writable: dir }) : inProcess(args));
    assertEquals({ code, stdout }, { code: 2, stdout: "" }, `${args}: ${stderr}`);
    const line = stderr.trimEnd().split("\n").at(-1)!;
    assertMatch(line, /^error: logits of position \d+, token \d+: expected numbers, got NaN; it began in lm_head at /);
    assertMatch(line, /model\.safetensors: tensor lm_head\.weight holds NaN in row \d+, column \d+$/);
  }
  assertEquals([...Deno.readDirSync(dir)].map(({ name }) => name).filter((name) => /logits|partial/.test(name)), []);
  assertEquals([...Deno.readDirSync(out)].map(({ name }) => name).filter((name) => /results|report/.test(name)), []);
});

Deno.test("a NaN in a router, which would only hide an expert, is refused before anything is computed", async () => {
  using checkpoint = spoil("model.layers.1.mlp.router.weight");
  using bias = spoil("model.layers.0.mlp.router.bias");
  const said = [await inProcess(["--model", checkpoint.dir, "Ben"]), await inProcess(["--model", bias.dir, "Ben"])];
  for (const { code, stdout } of said) assertEquals({ code, stdout }, { code: 2, stdout: "" });
  assertMatch(said[0]!.stderr, /layers\.1\.mlp\.router\.weight: expected numbers, got NaN at \[\d+, \d+\]\n$/);
  assertMatch(said[1]!.stderr, /layers\.0\.mlp\.router\.bias: expected numbers, got NaN at \[\d+\]\n$/);
});
