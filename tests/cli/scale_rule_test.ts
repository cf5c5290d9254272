/** Every report of a model with MX inputs names the rule by which their scales are made. */
import { openSafetensors } from "../../src/checkpoint/safetensors.ts";
import { CompareResults } from "../../src/eval/results_schema.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { run } from "../quantize/run.ts";
import { inProcess } from "./in_process.ts";
import { TINY } from "./program.ts";

const TEXT = "Wen has 14 peaches. Ben has 8 fewer than Wen.";

/** The embedded model with MXFP4 inputs whose scales follow the rule floor. */
async function floorModel(): Promise<TemporaryDirectory> {
  const dir = new TemporaryDirectory();
  await run(TINY, dir.path, "w_mxfp4_a_mxfp4");
  const config = JSON.parse(Deno.readTextFileSync(`${dir.path}/config.json`));
  config.quantization_config.global_quant_config.input_tensors.scale_calculation_mode = "floor";
  dir.write("config.json", config);
  return dir;
}

Deno.test("compare tells a model with the scale rule floor from one with the rule even", async () => {
  using dir = await floorModel();
  using text = new TemporaryDirectory();
  Deno.writeTextFileSync(`${text.path}/text.txt`, TEXT);
  const args = ["--text", `${text.path}/text.txt`, "--a", "scheme=w_mxfp4_a_mxfp4", "--b", `model=${dir.path}`];
  const { stdout, stderr, code } = await inProcess(["compare", ...args]);
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^A: w_mxfp4_a_mxfp4, even scales, bf16, kv bf16/m);
  assertMatch(stdout, /^B: w_mxfp4_a_mxfp4, floor scales, bf16, kv bf16/m);
  assertMatch(stdout, /^w_mxfp4_a_mxfp4, even\/floor scales, bf16, kv bf16, tp 1/m);

  const { protocol, divergence } = CompareResults.parse(
    JSON.parse((await inProcess(["compare", "--json", ...args])).stdout),
  );
  assertEquals([protocol.a.scale_rule, protocol.b.scale_rule], ["even", "floor"]);
  assert(protocol.a.formats_sha256 !== protocol.b.formats_sha256);
  assert(divergence.logits.all.kl.mean.value! > 0);
});

Deno.test("inspect, generate and logits name the scale rule", async () => {
  using dir = await floorModel();
  const model = ["--model", dir.path];
  assertMatch((await inProcess(["inspect", ...model])).stdout, /experts\.down_proj +mxfp4 +mx e2m1, floor scales/);
  const ruleOf = (json: string) => JSON.parse(json).scale_rule;
  assertEquals(ruleOf((await inProcess(["inspect", "--json", ...model])).stdout), "floor");
  assertEquals(ruleOf((await inProcess(["inspect", "--json"])).stdout), null);

  const generated = async (...options: string[]): Promise<string> => {
    const { stdout } = await inProcess(["generate", "--json", "--raw", "--max-tokens", "1", ...options, TEXT]);
    return JSON.stringify(JSON.parse(stdout).protocol);
  };
  assertEquals(ruleOf(await generated(...model)), "floor");
  const out = `${dir.path}/logits.safetensors`;
  await inProcess(["logits", "--tokens", "1,2", "--scheme", "w_mxfp4_a_mxfp4", "--out", out]);
  assertEquals(ruleOf(openSafetensors(out).metadata.get("protocol")!), "even");
  assertEquals(ruleOf(await generated("--scheme", "w_mxfp4_a_mxfp8")), "rceil");
});
