import { judge } from "../../bench/ratios.ts";
import { Accounts, undisturbed } from "../../bench/undisturbed.ts";
import { assert, assertEquals } from "../assert.ts";

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

Deno.test("undisturbed() leaves out what others took, and not what threads of a quiet machine leave idle", () => {
  const of = (wall: number, processor: number, waited: number) => undisturbed({ wall, processor, waited }, 2);
  // Both compute, one of them does, neither does.
  assertEquals([of(100, 200, 0), of(100, 100, 0), of(100, 0, 0)], [100, 100, 100]);
  // Each has a third of the time; one waits for a quarter of it, and then the other, which meanwhile has nothing to do.
  assertEquals([of(300, 200, 400), of(200, 200, 100)], [100, 100]);
  // Other threads of the process, which are more than those that compute.
  assertEquals([of(100, 230, 0), of(100, 230, 40)], [100, 100]);
});

Deno.test("Accounts tells what this process computed and waited for, with no more of it than time went by", () => {
  const began = performance.now();
  using accounts = new Accounts();
  const cell = new Int32Array(new SharedArrayBuffer(4));
  Atomics.wait(cell, 0, 0, 30);
  const { wall, processor, waited } = accounts.lap(), most = performance.now() - began;
  assert(wall >= 30 && wall <= most && processor >= 0 && waited >= 0, `${wall}, ${processor}, ${waited}`);
  const next = accounts.lap();
  assert(next.wall >= 0 && next.processor >= 0 && next.waited >= 0);
});
