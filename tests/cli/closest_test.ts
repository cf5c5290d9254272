import { closest } from "../../src/cli/closest.ts";
import { assertEquals } from "../assert.ts";

Deno.test("closest() finds the candidate that is fewest edits away", () => {
  const options = ["temperature", "top-k", "top-p", "threads", "dtype", "model"];
  assertEquals(closest("temprature", options), "temperature");
  assertEquals(closest("thread", options), "threads");
  assertEquals(closest("dtpye", options), "dtype");
  assertEquals(closest("modle", options), "model");
  assertEquals(closest("hepl", ["ep", "help", "shelf"]), "help");
  assertEquals(closest("tpo-k", options), "top-k");
});

Deno.test("closest() suggests nothing where nothing is close", () => {
  assertEquals(closest("verbose", ["top-k", "model"]), undefined);
  assertEquals(closest("x", []), undefined);
});
