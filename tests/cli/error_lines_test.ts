/** The one line of an error: short, however long what it quotes is. */
import { clip, FailureError, InputError, reason } from "../../src/errors.ts";
import { SCHEME_NAMES } from "../../src/library/checkpoint.ts";
import { asMessage } from "../../src/cli/prompt.ts";
import { assert, assertEquals } from "../assert.ts";
import { inProcess } from "./in_process.ts";
import { mxoss } from "./program.ts";

Deno.test("clip() leaves out the middle of long lines", () => {
  assertEquals(clip("x".repeat(300)), "x".repeat(300));
  const long = clip(`start ${"x".repeat(1000)} end`);
  assertEquals(long.length, 300);
  assert(/^start x+…x+ end$/.test(long));
  assert(clip("\u{1f600}".repeat(500)).isWellFormed());
});

Deno.test("clip() shortens long words first, the longest most, and then leaves out whole words", () => {
  const path = `/root/.cache/${"d".repeat(200)}/model-00002-of-00002.safetensors`;
  const tensor = "tensor model.layers.3.mlp.experts.gate_up_proj_blocks";
  const line = clip(
    `error: ${path}: ${tensor}: expected the shape [32, 5760, 90, 16], got [32, 5760, 90, 1]; another one`,
  );
  assertEquals(line.length, 300);
  assert(/^error: \/root\/\.cache\/d+…d+\/model-00002-of-00002\.safetensors: tensor model/.test(line), line);
  assert(line.endsWith(`: ${tensor}: expected the shape [32, 5760, 90, 16], got [32, 5760, 90, 1]; another one`));
  const both = clip(`error: ${path}: the file ${path.replaceAll("d", "e").repeat(3)} is another one`);
  assert(
    /^error: \/root\S+safetensors: the file \/root\S+safetensors is another one$/.test(both) && both.length === 300,
  );
  const list = Array.from({ length: 90 }, (_, i) => `name_${i}`), words = clip(`expected ${list.join(", ")}, got "x"`);
  assert(words.length <= 300 && words.length > 280, words);
  assert(words.split(/[ ,]+/).every((word) => /^(?:expected|name_\d+|…|got|"x")$/.test(word)), words);
  // What is quadratic would not end.
  assertEquals(clip(`${"x".repeat(100)} `.repeat(100_000)).length <= 300, true);
});

Deno.test("names and values in a mistake are those that were given, with their line breaks and blanks", async () => {
  for (
    const [args, line] of [
      [["--model", "mod\nel", "a b"], "mod\\u000ael: expected a checkpoint directory, got nothing of that name"],
      [["--model", "  ", "a b"], '"  ": expected a checkpoint directory, got nothing of that name'],
      [["--model", "a ", "a b"], '"a ": expected a checkpoint directory, got nothing of that name'],
      [["--dtype", "f\n32", "a b"], '--dtype: expected bf16 or f32, got "f\\u000a32"'],
    ] as const
  ) assertEquals((await inProcess(args)).stderr, `error: ${line}\n`);
  const { message } = InputError.of("missing", { file: "a\nb", tensor: "c\nd", key: "e\nf" }, "g", "h\ni");
  assertEquals(message, "a\\u000ab: tensor c\\u000ad: e\\u000af: expected g, got h\\u000ai");
});

Deno.test("names in a failure keep their line breaks, too", () => {
  const failure = new FailureError("/a\nb: cannot be written: no space left");
  assertEquals([failure.message, failure.line()], Array(2).fill("/a\\u000ab: cannot be written: no space left"));
});

Deno.test("an error about a long name is a line of 300 characters", async () => {
  const { code, stderr } = await mxoss(["--model", `/nowhere/${"x".repeat(3000)}`, "hi"]);
  assertEquals(code, 2);
  assert(/^error: \/nowhere\/x+…x*.*\n$/.test(stderr) && stderr.length === 301, stderr);
});

Deno.test("the refusal of a scheme without its scales is short enough to be shown in full", async () => {
  const longest = SCHEME_NAMES.filter((name) => name.endsWith("_fp8")).sort((a, b) => b.length - a.length)[0]!;
  const { code, stderr } = await inProcess(["generate", "--scheme", longest, "hi"]);
  assertEquals(code, 2);
  assert(stderr.startsWith(`error: --scheme ${longest}: static FP8 inputs`) && !stderr.includes("…"), stderr);
});

Deno.test("reason() and asMessage() take linear time", () => {
  // What is quadratic would not end.
  const blanks = `${" ".repeat(1_000_000)}x`, breaks = `${"\n".repeat(1_000_000)}x`;
  assertEquals(reason(new Error(`a \n\t b${blanks}`)), `a b${blanks}`);
  assertEquals(asMessage(`${breaks}\r\n\n`), breaks);
});

Deno.test("a prompt of 50 MB and one without an end are refused", async () => {
  const { code, stderr } = await mxoss(["generate", "--prompt-file", "/dev/zero"]);
  assertEquals([code, stderr], [2, "error: --prompt-file: /dev/zero: expected at most 1048576 bytes, got more\n"]);
  const large = await mxoss(["generate"], { stdin: "a ".repeat(25_000_000) });
  assertEquals([large.code, large.stderr], [2, "error: stdin: expected at most 1048576 bytes, got more\n"]);
});

Deno.test("data that is a device or a pipe is refused", async () => {
  for (const args of [["gsm8k", "--data"], ["perplexity", "--text"]]) {
    const { code, stderr } = await mxoss(["eval", ...args, "/dev/zero"]);
    assertEquals([code, stderr], [2, `error: ${args[1]}: /dev/zero: expected a file, got a device or a pipe\n`]);
  }
});
