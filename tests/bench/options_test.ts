import { inputScaleOf } from "../../bench/options.ts";
import { InputError } from "../../src/errors.ts";
import { assertEquals, assertMatch, assertThrows } from "../assert.ts";

Deno.test("the scale of FP8 inputs is a number above zero as a float32", () => {
  assertEquals(["1", "0.0123", ".5", "1e-3", "2e30"].map(inputScaleOf), [1, 0.0123, 0.5, 1e-3, 2e30]);
  for (const text of ["", " ", "0", "-1", "x", "1x", "NaN", "Infinity", "1e-60", "1e60", "0.01,0.02"]) {
    assertThrows(() => inputScaleOf(text), InputError, `got "${text}"`);
  }
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
