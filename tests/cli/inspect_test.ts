import { assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { mxoss, TINY } from "./program.ts";

const WEIGHTS = Deno.statSync(`${TINY}/model.safetensors`).size;

Deno.test("inspect shows layout, formats and bytes", async () => {
  const { code, stdout, stderr } = await mxoss(["inspect", "--model", TINY]);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  for (const text of ["hf_mxfp4", "10.9 MB", "16 of size 224, 4 per token", "YaRN x32", "0-3"]) {
    assertStringIncludes(stdout, text);
  }
  assertMatch(stdout, /experts\.gate_up_proj +mxfp4 +as it is +e8m0 per 32 .* 448 x 288 +16 /);
  assertMatch(stdout, /q_proj +bf16 +as it is .* 512 x 288 +1 /);
});

Deno.test("inspect --scheme shows the inputs that it would quantize", async () => {
  const { stdout } = await mxoss(["inspect", "--scheme", "w_mxfp4_a_mxfp6_e3m2"]);
  assertMatch(stdout, /^scheme +w_mxfp4_a_mxfp6_e3m2$/m);
  assertMatch(stdout, /experts\.down_proj +mxfp4 +mx e3m2, even scales +e8m0 per 32 +--scheme /);
  assertMatch(stdout, /q_proj +bf16 +as it is /);
});

Deno.test("inspect --json accounts for every byte of the data", async () => {
  const { code, stdout } = await mxoss(["inspect", "--json"]);
  assertEquals(code, 0);
  const report = JSON.parse(stdout);
  const header = Number(new DataView(Deno.readFileSync(`${TINY}/model.safetensors`).buffer).getBigUint64(0, true));
  assertEquals(report.file_bytes, WEIGHTS);
  assertEquals(report.weight_bytes, WEIGHTS - 8 - header);
  assertEquals(report.layers.length, 4);
  assertEquals(report.config.experts, 16);
  assertEquals(report.parallel.ranks.map((rank: { weight_bytes: number }) => rank.weight_bytes), [report.weight_bytes]);
});

Deno.test("inspect --tp 2 --ep 2 gives every rank its experts", async () => {
  const { stdout } = await mxoss(["inspect", "--json", "--tp", "2", "--ep", "2"]);
  const { ranks } = JSON.parse(stdout).parallel;
  assertEquals(ranks.map((rank: { experts: number[] }) => rank.experts), [[0, 8], [0, 8], [8, 16], [8, 16]]);
});
