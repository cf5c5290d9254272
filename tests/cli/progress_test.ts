import { progressLine } from "../../src/cli/progress.ts";
import { assertEquals } from "../assert.ts";

Deno.test("progressLine() shows the part that is done and the time that is left", () => {
  assertEquals(progressLine("loading", 0.25, 1000), "loading [#######                     ] 25% (3.0 s left)");
  assertEquals(progressLine("loading", 0, 1000), "loading [                            ] 0%");
  assertEquals(progressLine("loading", 1, 1000), "loading [############################] 100% (0.0 s left)");
});
