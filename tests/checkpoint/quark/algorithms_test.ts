/** Which of several rotations of Quark's `algo_config` counts; tests/checkpoint/quark_rotation_test.ts has the rest. */
import { readAlgorithms } from "../../../src/checkpoint/quark/algorithms.ts";
import { assertEquals } from "../../assert.ts";

Deno.test("readAlgorithms() gives the first rotation, whatever offline ones follow", () => {
  const online = { name: "rotation", r1: true, online_r1_rotation: true, online_config: { use_input_prescale: true } };
  const offline = { name: "rotation", r1: true, online_config: { online_rotation_layers: ["a"] } };
  const first = { modules: null, prescale: true, key: "x[1]" };
  assertEquals(readAlgorithms([{ name: "awq" }, online, offline], "x"), first);
  assertEquals(readAlgorithms([offline, offline], "x"), null);
});
