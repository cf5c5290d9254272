/** What `mxoss quantize` has made of weights, which they do not show themselves: config.json says it to all. */
import { type Conversion, quantizedBefore } from "../../src/checkpoint/conversions.ts";
import { assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { open } from "../eval/small_models.ts";
import { inProcess } from "./in_process.ts";
import { TINY } from "./program.ts";

const config = (dir: string) => JSON.parse(Deno.readTextFileSync(`${dir}/config.json`));
const step = (from: string, to: string) => ({ from: [from], to: [to] });

async function quantize(model: string, scheme: string, out: string, ...more: string[]): Promise<string> {
  const { code, stderr } = await inProcess(["quantize", "--model", model, "--scheme", scheme, "--out", out, ...more]);
  assertEquals(code, 0, stderr);
  return stderr;
}

Deno.test("MXFP4 that quantize made of bfloat16 counts as quantized, and OpenAI's own does not", async () => {
  using plain = new TemporaryDirectory();
  using dir = new TemporaryDirectory();
  open(plain, "hf_bf16", 1);
  const made = `${dir.path}/made`, again = `${dir.path}/again`;
  assertEquals(await quantize(plain.path, "w_mxfp4", made), "");
  assertEquals(config(made).mxoss_quantized, [{ experts: step("bf16", "mxfp4") }]);

  // Once is what a quantized checkpoint is for.
  const inspect = async (model: string, ...more: string[]) => {
    const { code, stdout, stderr } = await inProcess(["inspect", "--model", model, ...more]);
    assertEquals(code, 0, stderr);
    return { stdout, stderr };
  };
  const once = await inspect(made);
  assertEquals(once.stderr, "");
  assertMatch(once.stdout, /^quantized +experts bf16 to mxfp4, by config\.json$/m);
  assertEquals(JSON.parse((await inspect(made, "--json")).stdout).conversions, [{ experts: step("bf16", "mxfp4") }]);

  // Twice is another model than the trained one in FP8, whether it is written or converted while it is loaded.
  const warning = "warning: weights that are mxfp4 already are quantized again\n";
  assertEquals((await inspect(made, "--scheme", "ptpc_fp8")).stderr, warning);
  assertEquals((await inspect(made, "--scheme", "bf16")).stderr, "");
  assertEquals((await inspect(TINY, "--scheme", "ptpc_fp8")).stderr, "");
  assertEquals(await quantize(made, "ptpc_fp8", again), warning);
  const twice = await inspect(again);
  assertEquals(twice.stderr, `warning: ${again}/config.json: weights were quantized more than once: to mxfp4 before\n`);
  assertMatch(twice.stdout, /^quantized +experts bf16 to mxfp4, then experts mxfp4 to fp8_e4m3, by config\.json$/m);
  assertEquals(await quantize(TINY, "ptpc_fp8", `${dir.path}/trained`), "");

  // What is copied has no step of its own.
  assertEquals(await quantize(made, "w_mxfp4_a_mxfp4", `${dir.path}/copied`), "");
  assertEquals(config(`${dir.path}/copied`).mxoss_quantized, config(made).mxoss_quantized);
});

Deno.test("Results name earlier conversions of the weights, in tables, files and pages", async () => {
  using dir = new TemporaryDirectory();
  const made = `${dir.path}/made`, out = `${dir.path}/out`;
  await quantize(TINY, "ptpc_fp8", made);
  const text = dir.write("text.txt", "Ann has 12 pears. She buys 30 more.");
  const sides = ["--a", `model=${TINY}`, "--b", `model=${made}`, "--text", text, "--out", out];
  const { code, stdout, stderr } = await inProcess(["compare", ...sides]);
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^stored weights converted before, by config\.json: experts mxfp4 to fp8_e4m3$/m);
  const { protocol } = JSON.parse(Deno.readTextFileSync(`${out}/results.json`));
  assertEquals([protocol.a.converted_before, protocol.b.converted_before], [undefined, "experts mxfp4 to fp8_e4m3"]);
  assertMatch(Deno.readTextFileSync(`${out}/report.html`), />none<\/td>[^]*>experts mxfp4 to fp8_e4m3<\/td>/);
});

Deno.test("Attention that quantize made MXFP4 leaves experts that were trained so as they are", async () => {
  using dir = new TemporaryDirectory();
  const attention = `${dir.path}/attention`;
  assertEquals(await quantize(TINY, "w_mxfp4", attention, "--attention", "w_mxfp4"), "");
  assertEquals(config(attention).mxoss_quantized, [{ attention: step("bf16", "mxfp4") }]);
  assertEquals(await quantize(attention, "ptpc_fp8", `${dir.path}/experts`), "");
  const warning = await quantize(attention, "w_mxfp4", `${dir.path}/both`, "--attention", "ptpc_fp8");
  assertEquals(warning, "warning: weights that are mxfp4 already are quantized again\n");
});

Deno.test("mxoss list says which weights were quantized before, and not of others", async () => {
  using dir = new TemporaryDirectory();
  await quantize(TINY, "ptpc_fp8", `${dir.path}/a`);
  await quantize(`${dir.path}/a`, "w_mxfp6_e3m2", `${dir.path}/b`);
  const { stdout } = await inProcess(["list", dir.path]);
  const rows = stdout.trimEnd().split("\n").slice(-2);
  assertMatch(rows[0]!, /\/a +quark +ptpc_fp8 +\S+ MB +yes$/);
  assertMatch(rows[1]!, /\/b +quark +w_mxfp6_e3m2 +\S+ MB +yes +quantized before, to fp8_e4m3$/);
  const { models } = JSON.parse((await inProcess(["list", "--json", dir.path])).stdout);
  const before = models.slice(-2).map((one: { quantized_before: unknown }) => one.quantized_before);
  assertEquals(before, [[], ["fp8_e4m3"]]);
});

Deno.test("quantizedBefore() looks at earlier conversions of the same linears, not at what goes on beside", () => {
  const before = (...conversions: Conversion[]) => quantizedBefore(conversions);
  assertEquals(before(), []);
  assertEquals(before({ experts: step("mxfp4", "fp8_e4m3") }), []);
  assertEquals(before({ experts: step("fp8_e5m2", "mxfp4") }), ["fp8_e5m2"]);
  assertEquals(before({ experts: step("bf16", "mxfp4") }, { experts: step("mxfp4", "mxfp6_e2m3") }), ["mxfp4"]);
  assertEquals(before({ attention: step("bf16", "mxfp4") }, { experts: step("mxfp4", "mxfp6_e2m3") }), []);
  // Of some layers to MXFP4, and of others from MXFP4, at once.
  const layers = { experts: { from: ["bf16", "mxfp4"], to: ["mxfp4", "fp8_e4m3"] } };
  assertEquals(before(layers), []);
  assertEquals(before(layers, layers), ["mxfp4"]);
});

Deno.test("A config.json whose conversions are not such a list is refused", async () => {
  using dir = new TemporaryDirectory();
  Deno.copyFileSync(`${TINY}/model.safetensors`, `${dir.path}/model.safetensors`);
  for (
    const [value, expected] of [
      ["mxfp4", "mxoss_quantized: expected a list of conversions"],
      [[{ routers: step("bf16", "mxfp4") }], 'mxoss_quantized.0: expected no key "routers"'],
      [[{ experts: { to: ["mxfp4"] } }], "mxoss_quantized.0.experts.from: expected a list of number formats"],
      [[{ experts: { ...step("bf16", "mxfp4"), x: 1 } }], 'mxoss_quantized.0.experts: expected no key "x"'],
    ] as const
  ) {
    dir.write("config.json", { ...config(TINY), mxoss_quantized: value });
    const { code, stderr } = await inProcess(["inspect", "--model", dir.path]);
    assertEquals(code, 2);
    assertStringIncludes(stderr, expected);
  }
});
