import { countOf, inputScaleOf } from "../../bench/options.ts";
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

Deno.test("programs that measure refuse a count that is none before they begin", async () => {
  const wrong = [
    ["bench/operations.ts", "--times"],
    ["bench/server_rate.ts", "--threads"],
    ["bench/server_stress.ts", "--clients"],
    ["bench/peers/llama.ts", "--rounds"],
    ["bench/peers/processor_time.ts", "--prompt"],
    ["tools/kill_ranks.ts", "--kills"],
    ["tools/kill_ranks.ts", "--by"],
  ] as const;
  await Promise.all(wrong.map(async ([script, option]) => {
    const path = new URL(`../../${script}`, import.meta.url).pathname;
    const args = ["run", "--no-check", "-A", path, `${option}=many`];
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
