/** Which scales `--calibrate` of eval and compare measures: those that the checkpoint lacks. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { matrixOf, settingsOf } from "../../src/cli/eval/cells.ts";
import { EVAL } from "../../src/cli/eval/options.ts";
import { parseCommand } from "../../src/cli/options.ts";
import { assert, assertEquals } from "../assert.ts";
import { rewrite, TemporaryDirectory } from "../checkpoint/container.ts";
import { inProcess } from "./in_process.ts";
import { TINY } from "./program.ts";

const CALIBRATION = "Ann has 12 pears. She buys 30 more and gives 5 to Tom. ";

Deno.test("eval --calibrate leaves the scales that a checkpoint has, under every scheme", async () => {
  using dir = new TemporaryDirectory();
  const [one, other] = [dir.write("one.txt", CALIBRATION), dir.write("other.txt", CALIBRATION.repeat(2).toUpperCase())];
  const model = `${dir.path}/model`;
  const made = ["quantize", "--scheme", "w_mxfp4", "--attention", "fp8", "--calibrate", one, "--out", model];
  assertEquals((await inProcess(made)).code, 0);
  const words = ["perplexity", "--text", one, "--calibrate", other, "--scheme", "w_mxfp4,w_mxfp4_a_fp8"];
  const { options } = parseCommand(EVAL, words), models = [{ name: null, checkpoint: openCheckpoint(model) }];
  const [first, second] = await settingsOf(matrixOf(models, options), models, options, null);
  const of = ({ planned }: typeof first & object, from: string) =>
    planned.plan.linears.filter(({ inputScaleFrom }) => inputScaleFrom === from).map(({ module, input }) =>
      [module, input] as const
    );
  const own = of(first!, "checkpoint");
  assert(own.length > 0 && own.every(([module]) => module.includes(".self_attn.")));
  assertEquals([of(first!, "calibration").length, of(second!, "checkpoint")], [0, own]);
  const experts = of(second!, "calibration");
  assert(experts.length > 0 && experts.every(([module]) => module.includes(".mlp.experts.")));

  // Attention that is copied keeps its scales, and has none to share: neither option would do anything.
  const idle = ["--model", model, "--scheme", "w_mxfp4_a_mxfp4"];
  const vain = await inProcess(["quantize", ...idle, "--calibrate", other, "--out", `${dir.path}/vain`]);
  const kept = "inputs of linears that keep their scales (model.layers.0.self_attn.q_proj), no such cache";
  const wanted = "expected with static FP8 inputs or an FP8 cache";
  assertEquals([vain.code, vain.stderr], [2, `error: --calibrate: ${wanted}, got ${kept}\n`]);
  const rule = await inProcess(["logits", ...idle, "--tokens", "1", "--out", `${dir.path}/x`, "--fp8-scales", "own"]);
  const none = "error: --fp8-scales own: expected experts with static FP8 inputs, got none\n";
  assertEquals([rule.code, rule.stderr], [2, none]);
  for (const more of [["--attention", "fp8"], ["--kv-cache-dtype", "fp8"]]) {
    const out = `${dir.path}/${more[1]}${more[0]}`;
    assertEquals((await inProcess(["quantize", ...idle, ...more, "--calibrate", one, "--out", out])).code, 0);
  }

  // But where such attention lacks them, they are measured, as they were at first.
  const lacking = `${dir.path}/lacking`, filled = `${dir.path}/filled`;
  Deno.mkdirSync(lacking);
  for (const { name } of Deno.readDirSync(model)) Deno.copyFileSync(`${model}/${name}`, `${lacking}/${name}`);
  rewrite(`${lacking}/model.safetensors`, (tensors) => {
    [...tensors.keys()].filter((name) => name.endsWith("q_proj.input_scale")).forEach((name) => tensors.delete(name));
  });
  const fill = ["quantize", "--model", lacking, "--scheme", "w_mxfp4", "--calibrate", other, "--out", filled];
  assertEquals((await inProcess(fill)).code, 0);
  const attention = (path: string) =>
    openCheckpoint(path).source.tree.layers.flatMap(({ q, k }) => [q.inputScale!, k.inputScale!]);
  const [was, now] = [attention(model), attention(filled)];
  // Of q anew, on another text; of k what it was.
  now.forEach((scale, i) => assert(i % 2 === 1 ? scale === was[i] : scale !== was[i] && scale !== 1, `${i}: ${scale}`));

  // A checkpoint that has all of them leaves nothing to measure.
  const whole = `${dir.path}/whole`;
  assertEquals((await inProcess(["quantize", "--scheme", "fp8", "--calibrate", one, "--out", whole])).code, 0);
  const pair = { eval: ["perplexity", "--text", one], compare: ["--text", one, "--b", "scheme=w_mxfp4"] };
  for (const [command, args] of Object.entries(pair)) {
    const { code, stderr } = await inProcess([command, ...args, "--model", whole, "--calibrate", other]);
    const expected = "expected a setting with static FP8 inputs whose scales the checkpoint lacks, got none";
    assertEquals([code, stderr], [2, `error: --calibrate: ${expected}\n`]);
  }
});

Deno.test("static FP8 inputs of a head are refused without their scale, which no calibration measures", async () => {
  using dir = new TemporaryDirectory();
  const text = dir.write("text.txt", CALIBRATION), model = `${dir.path}/model`;
  const made = ["quantize", "--scheme", "fp8", "--calibrate", text, "--out", model];
  assertEquals((await inProcess(made)).code, 0);
  rewrite(`${model}/model.safetensors`, (tensors) => {
    const { shape } = tensors.get("lm_head.weight")!, bytes = new Uint8Array(shape[0]! * shape[1]!).fill(0x38);
    tensors.set("lm_head.weight", { dtype: "F8_E4M3", shape, bytes });
    const scale = new Uint8Array(Float32Array.of(0.5).buffer);
    tensors.set("lm_head.weight_scale", { dtype: "F32", shape: [], bytes: scale });
  });
  const config = JSON.parse(Deno.readTextFileSync(`${model}/config.json`)), said = config.quantization_config;
  said.exclude = said.exclude.filter((name: string) => name !== "lm_head");
  Deno.writeTextFileSync(`${model}/config.json`, JSON.stringify(config));
  const expected =
    "got none for lm_head: expected its input_scale in the checkpoint: calibration does not measure it\n";
  for (const words of [["--scheme", "w_mxfp4_a_fp8", "--out", `${dir.path}/new`], ["--scheme", "w_mxfp4"]]) {
    const command = words.length > 2 ? ["quantize"] : ["eval", "perplexity", "--text", text];
    const { code, stderr } = await inProcess([...command, ...words, "--model", model, "--calibrate", text]);
    assertEquals(code, 2);
    assert(/^error: [^\n]+\n$/.test(stderr) && stderr.endsWith(expected), stderr);
  }
});

Deno.test("eval --calibrate measures the same scales whichever caches are named, in any order", async () => {
  using dir = new TemporaryDirectory();
  const text = dir.write("text.txt", CALIBRATION), models = [{ name: null, checkpoint: openCheckpoint(TINY) }];
  const scales = async (caches: string) => {
    const words = ["perplexity", "--text", text, "--calibrate", text, "--scheme", "w_mxfp4_a_fp8"];
    const { options } = parseCommand(EVAL, [...words, "--kv-cache-dtype", caches]);
    const settings = await settingsOf(matrixOf(models, options), models, options, null);
    return settings.map(({ planned }) => planned.plan.linears.map(({ input }) => input));
  };
  const [alone] = await scales("bf16");
  for (const caches of ["bf16,fp8", "fp8,bf16"]) assertEquals(await scales(caches), [alone, alone]);
});
