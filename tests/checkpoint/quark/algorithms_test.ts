/** Which of several rotations of Quark's `algo_config` counts; tests/checkpoint/quark_rotation_test.ts has the rest. */
import { InputError } from "../../../src/errors.ts";
import { readAlgorithms } from "../../../src/checkpoint/quark/algorithms.ts";
import { QuarkConfig } from "../../../src/checkpoint/quark/read_config.ts";
import { assertEquals, assertThrows } from "../../assert.ts";

Deno.test("readAlgorithms() gives the first rotation, whatever offline ones follow", () => {
  const online = { name: "rotation", r1: true, online_r1_rotation: true, online_config: { use_input_prescale: true } };
  const offline = { name: "rotation", r1: true, online_config: { online_rotation_layers: ["a"] } };
  const first = { modules: null, prescale: true, size: null, trained: false, key: "x[1]" };
  assertEquals(readAlgorithms([{ name: "awq" }, online, offline], "x"), first);
  assertEquals(readAlgorithms([offline, offline], "x"), null);
});

Deno.test("readAlgorithms() reads rotations of older versions of Quark, each with the keys that it writes", () => {
  const folded = { scaling_layers: {}, model_decoder_layers: "model.layers", name: "rotation" };
  assertEquals(readAlgorithms([{ ...folded, random: false }], "x"), null);
  const modules = { v_proj: "self_attn.v_proj", o_proj: "self_attn.o_proj", self_attn: "self_attn", mlp: "mlp" };
  const quark011 = {
    ...{ ...folded, ...modules, backbone: "model", r1: true, r2: false, r3: false, r4: false },
    ...{ rotation_size: null, random: null, random_r1: false, random_r2: false, trainable: false },
    ...{ online_r1_rotation: null, online_config: null, train_smooth: null, smooth_positions: null },
  };
  assertEquals(readAlgorithms([quark011], "x"), null);
  const online_config = { shared_parallel: false, online_rotation_layers: ["a"], shared_input_rotation: true };
  assertEquals(
    readAlgorithms([{ ...quark011, rotation_size: 32, online_r1_rotation: true, online_config }], "x"),
    { modules: ["a"], prescale: false, size: 32, trained: false, key: "x[0]" },
  );
});

Deno.test("readAlgorithms() takes an empty list of linears for none, as Quark does", () => {
  const entry = { name: "rotation", r1: true, online_r1_rotation: true, online_config: { online_rotation_layers: [] } };
  assertEquals(readAlgorithms([entry], "x")?.modules, null);
});

Deno.test("readAlgorithms() reads quarot as Quark does: a rotation with all four unless it says less", () => {
  const modules = { v_proj: "self_attn.v_proj", o_proj: "self_attn.o_proj", self_attn: "self_attn", mlp: "mlp" };
  const quark010 = {
    ...{ ...modules, name: "quarot", scaling_layers: {}, backbone: "model", model_decoder_layers: "model.layers" },
    ...{ r1: true, r2: true, r3: false, rotation_size: null, random_r1: false, optimized_rotation_path: "R.bin" },
  };
  assertEquals(readAlgorithms([{ ...quark010, r4: false }], "x"), null);
  const fourth = { modules: null, prescale: false, size: null, trained: false, key: "x[0]" };
  assertEquals(readAlgorithms([{ ...quark010, r4: true }], "x"), fourth);
  const { r3: _, ...unsaid } = quark010;
  assertEquals(readAlgorithms([quark010], "x"), fourth);
  assertThrows(() => readAlgorithms([{ ...unsaid, r4: false }], "x"), InputError, "x[0].r3: expected false, got true");
});

Deno.test("QuarkConfig takes a rotation from algo_config, or from the key that older versions have for it", () => {
  const rotation = (width: number) => [{ name: "rotation", r1: true, online_r1_rotation: true, rotation_size: width }];
  const size = (json: Record<string, unknown>) =>
    new QuarkConfig({ quant_method: "quark", ...json }, "x").rotation?.size;
  assertEquals(size({ pre_quant_opt_config: rotation(32) }), 32);
  assertEquals(size({ algo_config: [], pre_quant_opt_config: rotation(32) }), 32);
  assertEquals(size({ algo_config: rotation(16), pre_quant_opt_config: rotation(32) }), 16);
  assertEquals(size({ algo_config: rotation(16) }), 16);
  assertEquals(size({}), undefined);
});
