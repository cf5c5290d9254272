import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
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

Deno.test("inspect --tp 8 shows what each rank has, in whole blocks", async () => {
  // 224 expert columns are seven blocks, so the last of eight ranks has none; the 2 key/value heads are held by four
  // ranks each.
  const { code, stdout, stderr } = await mxoss(["inspect", "--tp", "8"]);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertMatch(stdout, /^rank +query heads +KV heads +vocabulary +experts +expert columns +bytes$/m);
  assertMatch(stdout, /^3 +3-3 +0-0 +384-511 +0-15 +96-127 +\d.* MB$/m);
  assertMatch(stdout, /^7 +7-7 +1-1 +896-1023 +0-15 +none +\d+ kB$/m);
  assertMatch(
    stdout,
    /^rank +embedding +q_proj +k_proj +v_proj +o_proj +router +experts\.gate_up_proj +experts\.down_proj/m,
  );
  assertMatch(
    stdout,
    /^3 +128 x 288 +64 x 288 +64 x 288 +64 x 288 +288 x 64 +16 x 288 +64 x 288 +288 x 32 +128 x 288$/m,
  );
  assertMatch(stdout, /^7 +128 x 288 .* +16 x 288 +0 x 288 +288 x 0 +128 x 288$/m);
  assertMatch(stdout, /^memory of a GPU for 1 sequence of 4096 positions, prompts by 128 tokens \(/m);
  assertMatch(stdout, /^rank +weights +KV cache +activations +in all$/m);
});

Deno.test("inspect counts no longer chunks than sequences have positions", async () => {
  for (const [sequences, prompts] of [["1", "64"], ["3", "128"]] as const) {
    const { code, stdout } = await mxoss(["inspect", "--context", "64", "--sequences", sequences]);
    assertEquals(code, 0);
    assertMatch(stdout, new RegExp(`of 64 positions, prompts by ${prompts} tokens \\(`));
  }
});

Deno.test("inspect --tp counts the bytes of every rank: experts once, what all ranks hold once a rank", async () => {
  const reports = await Promise.all(
    [[], ["--tp", "8"], ["--ep", "4"], ["--tp", "3", "--ep", "5"]].map(async (args) =>
      JSON.parse((await mxoss(["inspect", "--json", ...args])).stdout)
    ),
  );
  const [one, ...many] = reports;
  const { hidden, layers, experts, headDim, heads } = one.config;
  const linear = (rows: number) => 2 * (rows * hidden + rows);
  const norms = 2 * hidden * (2 * layers + 1),
    routers = layers * linear(experts),
    keyValueHead = 2 * layers * linear(headDim);
  const attention = layers * (linear(heads * headDim) + 2 * heads * headDim * hidden + 2 * hidden + 2 * heads);
  const vocabulary = 2 * 2 * one.config.vocab * hidden;
  for (const { parallel: { tp, ep, ranks, processes } } of many) {
    // All ranks share the heads, unless there are more of them.
    const groups = tp * ep <= heads ? 1 : ep;
    const kvHeads = ranks.slice(0, tp * ep / groups).reduce(
      (sum: number, { kv_heads: [from, to] }: { kv_heads: number[] }) => sum + to! - from!,
      0,
    );
    const again = (tp * ep - 1) * (norms + routers) + (groups - 1) * (attention + vocabulary) +
      (groups * kvHeads - one.config.kvHeads) * keyValueHead;
    const own: number[] = ranks.map((rank: { weight_bytes: number }) => rank.weight_bytes);
    const sum = own.reduce((total, bytes) => total + bytes, 0);
    assertEquals(sum, one.weight_bytes + again, `tp ${tp}, ep ${ep}`);
    // One process reads what all ranks hold, and maps no page twice; of as many as ranks the largest counts.
    const first = processes[0], last = processes.at(-1);
    assertEquals([first.processes, first.ranks_each, first.most_bytes_read], [1, tp * ep, sum]);
    const beside = first.most_bytes_mapped - one.weight_bytes;
    assert(beside >= 0 && beside < 2 * 4096, `${beside} bytes of pages beside the weights`);
    assertEquals([last.processes, last.ranks_each, last.most_bytes_read], [tp * ep, 1, Math.max(...own)]);
    // Experts lie one after the other: only pages at their ends are mapped beside them, and whole rows of o_proj.
    const rowsOfO = 2 * layers * heads * headDim * hidden;
    if (tp === 1) assert(last.most_bytes_mapped < 1.03 * (last.most_bytes_read + rowsOfO), `${last.most_bytes_mapped}`);
  }
});

Deno.test("inspect --tp 2 --ep 2 gives every rank its experts", async () => {
  const { stdout } = await mxoss(["inspect", "--json", "--tp", "2", "--ep", "2"]);
  const { ranks } = JSON.parse(stdout).parallel;
  assertEquals(ranks.map((rank: { experts: number[] }) => rank.experts), [[0, 8], [0, 8], [8, 16], [8, 16]]);
});
