import { judge } from "../../bench/ratios.ts";
import { assertEquals } from "../assert.ts";

Deno.test("ratios fail where one falls below half of its baseline, or is missing", () => {
  const baseline = { "prefill 128": 0.8, "decode at 128": 0.5 };
  assertEquals(judge({ "prefill 128": 0.4, "decode at 128": 2 }, baseline).good, true);
  assertEquals(judge({ "prefill 128": 0.39, "decode at 128": 2 }, baseline), {
    good: false,
    lines: ["SLOW prefill 128: 0.39, 0.80 expected", "ok   decode at 128: 2.0, 0.50 expected"],
  });
  assertEquals(judge({ "prefill 128": 1 }, baseline).good, false);
});

Deno.test("bench/ratios.json has ratios above 0 for each scheme that is measured", () => {
  const text = Deno.readTextFileSync(new URL("../../bench/ratios.json", import.meta.url));
  const baseline = JSON.parse(text) as Record<string, Record<string, number>>;
  assertEquals(Object.keys(baseline), ["w_mxfp4", "w_mxfp4_a_mxfp4"]);
  for (const ratios of Object.values(baseline)) {
    assertEquals(Object.keys(ratios).sort(), [
      "decode at 128",
      "decode at 128, batch of 16",
      "decode at 2048",
      "prefill 128",
    ]);
    assertEquals(Object.values(ratios).every((ratio) => ratio > 0.01 && ratio < 10), true);
  }
});
