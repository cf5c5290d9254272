import { choiceOf, choicesOf, countOf, countsOf, inputScaleOf } from "../../bench/options.ts";
import { InputError } from "../../src/errors.ts";
import { assertEquals, assertMatch, assertThrows } from "../assert.ts";

Deno.test("the scale of FP8 inputs is a number above zero as a float32", () => {
  assertEquals(["1", "0.0123", ".5", "1e-3", "2e30"].map(inputScaleOf), [1, 0.0123, 0.5, 1e-3, 2e30]);
  for (const text of ["", " ", "0", "-1", "x", "1x", "NaN", "Infinity", "1e-60", "1e60", "0.01,0.02"]) {
    assertThrows(() => inputScaleOf(text), InputError, `got "${text}"`);
  }
});

Deno.test("a count is a whole number, and large enough", () => {
  assertEquals([countOf("--rounds", "3"), countOf("--rounds", "0", 0)], [3, 0]);
  for (const text of ["", " ", "0", "-1", "1.5", "x", "1x", "NaN", "1e3", "9999999999"]) {
    assertThrows(
      () => countOf("--rounds", text),
      InputError,
      `--rounds: expected a number of at least 1, got "${text}"`,
    );
  }
});

Deno.test("lists of counts and of words name the part that is wrong", () => {
  assertEquals([countsOf("--threads", "1,16"), choicesOf("--parts", "b,a,b", ["a", "b"])], [[1, 16], ["b", "a", "b"]]);
  assertThrows(() => countsOf("--threads", "1,,2"), InputError, '--threads: expected a number of at least 1, got ""');
  assertThrows(
    () => choiceOf("--dtype", "f16", ["bf16", "f32"]),
    InputError,
    '--dtype: expected bf16 or f32, got "f16"',
  );
  assertThrows(
    () => choicesOf("--parts", "a,d", ["a", "b", "c"]),
    InputError,
    '--parts: expected a, b or c, got "d"',
  );
});

Deno.test("programs that measure refuse a count that is none before they begin", async () => {
  const wrong = [
    ["bench/operations.ts", "--times"],
    ["bench/server_rate.ts", "--threads"],
    ["bench/server_stress.ts", "--clients"],
    ["bench/peers/llama.ts", "--rounds"],
    ["bench/peers/processor_time.ts", "--prompt"],
    ["bench/peers/cores.ts", "--threads"],
    ["bench/peers/cores.ts", "--parts"],
    ["bench/gpu/pages.ts", "--clients", "--model=DIR"],
    ["bench/gpu/server.ts", "--tokens", "--model=DIR"],
    ["bench/attention.ts", "--keys"],
    ["bench/linear.ts", "--weights"],
    ["bench/listener.ts", "--turns"],
    ["bench/matvec.ts", "--rounds"],
    ["bench/pool.ts", "--units"],
    ["bench/shards.ts", "--shards"],
    ["bench/step_threads.ts", "--steps"],
    ["bench/threads.ts", "--seconds"],
    ["tools/device_job.ts", "--sequences"],
    ["tools/device_ranks.ts", "--ranks"],
    ["tools/kill_ranks.ts", "--kills"],
    ["tools/kill_ranks.ts", "--by"],
  ] as const;
  await Promise.all(wrong.map(async ([script, option, ...more]) => {
    const path = new URL(`../../${script}`, import.meta.url).pathname;
    const args = ["run", "--no-check", "-A", path, ...more, `${option}=many`];
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, stdin: "null" }).output();
    const [said, printed] = [stderr, stdout].map((bytes) => new TextDecoder().decode(bytes));
    assertEquals([code, printed], [2, ""], said);
    assertMatch(said!, new RegExp(`^error: ${option}: expected [^\\n]*, got "many"\\n$`));
  }));
});

Deno.test("bench/prefill.ts refuses a scale that is none before it measures, in one line", async () => {
  const script = new URL("../../bench/prefill.ts", import.meta.url).pathname;
  for (const [option, text] of [["--input-scale", "zero"], ["--sequences", "a"], ["--rounds", "0"]]) {
    const args = ["run", "--no-check", "-A", script, option!, text!];
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, stdin: "null" }).output();
    const [said, printed] = [stderr, stdout].map((bytes) => new TextDecoder().decode(bytes));
    assertEquals([code, printed], [2, ""]);
    assertMatch(said!, new RegExp(`^error: ${option}: expected [^\\n]*, got "${text}"\\n$`));
  }
});

Deno.test("bench/prefill.ts refuses a prompt beside no sequences before it measures, in one line", async () => {
  const script = new URL("../../bench/prefill.ts", import.meta.url).pathname;
  const args = ["run", "--no-check", "-A", script, "--beside"];
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, stdin: "null" }).output();
  const [said, printed] = [stderr, stdout].map((bytes) => new TextDecoder().decode(bytes));
  assertEquals([code, printed], [2, ""]);
  assertEquals(said, "error: --beside: expected --sequences, which a prompt is beside\n");
});
