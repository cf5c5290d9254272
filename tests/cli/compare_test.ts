import { parseSide } from "../../src/cli/compare_sides.ts";
import { CompareResults } from "../../src/eval/results_schema.ts";
import { InputError } from "../../src/errors.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { BrokenCheckpoint } from "./broken.ts";
import { inProcess } from "./in_process.ts";
import { type Finished, mxoss, TINY } from "./program.ts";
import { withoutPrivileges } from "./without_privileges.ts";

const PROBLEM = "<|start|>user<|message|>Wen has 14 peaches. Ben has 8 fewer than Wen. How many peaches do they have " +
  "together?<|end|><|start|>assistant<|channel|>analysis<|message|>Ben has 14 - 8 = 6. Together they have 14 + 6 = " +
  "20.<|end|><|start|>assistant<|channel|>final<|message|>#### 20<|return|>";

/** Runs `mxoss compare` on a text of its own. */
async function compared(
  args: readonly string[],
  text = PROBLEM,
  run: (args: readonly string[]) => Promise<Finished> = inProcess,
) {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${dir}/text.txt`, text);
    return await run(["compare", "--text", `${dir}/text.txt`, ...args]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("compare prints errors by layer, KL, and no suspect where a scheme explains the error", async () => {
  const { code, stdout, stderr } = await compared(
    ["--a", "scheme=w_mxfp4", "--b", "scheme=w_mxfp4_a_mxfp4"],
    PROBLEM,
    mxoss,
  );
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^A: w_mxfp4, bf16, kv bf16$/m);
  assertMatch(stdout, /^B: w_mxfp4_a_mxfp4, even scales, bf16, kv bf16$/m);
  assertMatch(stdout, /^first above the alarm line 0\.01 +layer 0 experts\.gate_up_proj, 0\.0\d \[0\.0\d, 0\.\d+\]$/m);
  assertMatch(stdout, /^KL of B from A +mean \d/m);
  assertMatch(stdout, /^suspects: none/m);
});

Deno.test("compare names a planted bug, and --fail-above makes it exit code 3", async () => {
  using broken = new BrokenCheckpoint();
  broken.tensor(
    "model.layers.2.mlp.experts.gate_up_proj_scales",
    (data) => data.forEach((byte, i) => data[i] = byte + 1),
  );
  const { code, stdout, stderr } = await compared([
    "--b",
    `model=${broken.dir}`,
    "--fail-above",
    "suspects=0,max-kl=1000",
  ]);
  assertMatch(
    stdout,
    /^suspect: layer 2 experts\.gate_up_proj: own error (0\.9|1\.)\d+ \[[\d., ]+\], of which the settings explain 0$/m,
  );
  assertEquals(stderr, "--fail-above: suspects is 1, above 0\n");
  assertEquals(code, 3);
});

Deno.test("compare writes results and a page that loads nothing", async () => {
  const out = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${out}/text.txt`, PROBLEM);
    const args = [
      "--text",
      `${out}/text.txt`,
      "--b",
      "kv=fp8,tp=2,dtype=f32",
      "--limit",
      "40",
      "--out",
      `${out}/report`,
      "--json",
    ];
    const { code, stdout, stderr } = await inProcess(["compare", ...args, "--fail-above", "0.5"]);
    assertMatch(
      stderr,
      /^--fail-above: kl is \S+ \[\S+, -\], so that 40 tokens cannot tell whether it is above 0\.5: /,
    );
    assertEquals(code, 4);
    assertEquals(await Deno.readTextFile(`${out}/report/results.json`), stdout);
    const { protocol, divergence } = CompareResults.parse(JSON.parse(stdout));
    assertEquals([protocol.a.tp, protocol.b.tp, protocol.b.kv_cache_dtype, protocol.b.dtype], [1, 2, "fp8", "f32"]);
    assertEquals([protocol.text.tokens, divergence.tokens, divergence.logits.kl.length], [40, 40, 40]);
    const page = await Deno.readTextFile(`${out}/report/report.html`);
    assert(page.includes("<svg") && page.includes(protocol.a.weights_sha256));
    assert(!/<script [^>]|<link|https?:\/\/(?!www\.w3\.org)/.test(page), "the page must load nothing");
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});

Deno.test("compare cuts a text so that its mean KL is bounded, unless --sequence-length is given", async () => {
  const long = Array.from({ length: 40 }, (_, i) => PROBLEM.replaceAll("14", `${11 + i}`)).join("");
  const bounded = await compared(["--b", "kv=fp8", "--limit", "1024", "--fail-above", "kl=100,suspects=0"], long);
  assertEquals([bounded.code, bounded.stderr], [0, ""]);
  assertMatch(bounded.stdout, /^\d\d% of the tokens repeat earlier ones, /m);
  assertMatch(bounded.stdout, /^1024 tokens of text\.txt in 7 sequences of 160$/m);
  assertMatch(bounded.stdout, /^KL of B from A +mean \S+ \[[\d.e-]+, [\d.e-]+\d\], typical /m);
  const asked = await compared(["--b", "kv=fp8", "--limit", "40", "--sequence-length", "16"], long);
  assertMatch(asked.stdout, /^40 tokens of text\.txt in 3 sequences of 16$/m);
});

Deno.test("compare and eval cut a text into sequences that every model has positions for, and say so", async () => {
  using few = new BrokenCheckpoint();
  few.config((config) => config["max_position_embeddings"] = 16);
  const cut = (model: string) =>
    new RegExp(`(^|\n)note: --sequence-length 20: sequences of 16, as ${model} has no more`);
  using dir = new TemporaryDirectory();
  const how = ["--limit", "40", "--sequence-length", "20", "--threads", "1", "--out", `${dir.path}/out`];
  const lengthIn = () =>
    JSON.parse(Deno.readTextFileSync(`${dir.path}/out/results.json`)).protocol.text.sequence_length;
  for (const sides of [[TINY, few.dir], [few.dir, TINY]]) {
    const { code, stdout, stderr } = await compared([...how, ...sides.flatMap((model) => ["--model", model])]);
    assertEquals(code, 0, stderr);
    assertMatch(stdout, /^40 tokens of text\.txt in 3 sequences of 16$/m);
    assertMatch(stderr, cut(few.dir));
    assertEquals(lengthIn(), 16);
  }
  Deno.removeSync(`${dir.path}/out`, { recursive: true });
  Deno.writeTextFileSync(`${dir.path}/text.txt`, PROBLEM);
  const evaluated = ["eval", "perplexity", "--text", `${dir.path}/text.txt`, "--model", few.dir, ...how];
  const { code, stdout, stderr } = await inProcess(evaluated);
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^40 tokens of text\.txt, sequences of 16$/m);
  assertMatch(stderr, cut(few.dir));
  assertEquals(lengthIn(), 16);
  assertMatch(Deno.readTextFileSync(`${dir.path}/out/report.html`), />40 tokens in sequences of 16\./);
  // A default says nothing; nor does what is refused say more than that.
  const silent = await inProcess(evaluated.toSpliced(evaluated.indexOf("--sequence-length"), 2));
  assertEquals([silent.code, silent.stderr.includes("note:")], [0, false], silent.stderr);
  const refused = await inProcess([...evaluated.slice(0, -1), `${dir.path}/text.txt`]);
  assertMatch(refused.stderr, /^error: [^\n]+\n$/);
});

Deno.test("compare compares backends", async () => {
  const { code, stdout, stderr } = await compared(["--a", "backend=reference", "--dtype", "f32", "--limit", "12"]);
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^A: w_mxfp4, f32, kv f32, backend reference$/m);
  assertMatch(stdout, /^suspects: none/m);
});

Deno.test("compare says where nothing was given in which the settings could differ", async () => {
  const note = /^note: A and B are the same setting; --b /;
  const same = await compared(["--limit", "3", "--dtype", "f32"]);
  assertEquals(same.code, 0, same.stderr);
  assertMatch(same.stderr, note);
  // What is refused later is one line all the same.
  const refused = await compared(["--out", `${TINY}/config.json`]);
  assertMatch(refused.stderr, /^error: [^\n]+\n$/);
  // Who names a side has thought of it.
  const meant = await compared(["--limit", "3", "--a", "scheme=w_mxfp4"]);
  assertEquals([meant.code, note.test(meant.stderr)], [0, false], meant.stderr);
});

const REFUSED: [args: string[], what: RegExp][] = [
  [["--a", "sheme=w_mxfp4"], /--a: sheme: unknown setting; did you mean scheme\?/],
  [["--b", "scheme"], /--b: expected settings such as scheme=/],
  [["--b", "tp=0"], /--b: tp: expected an integer from 1 to 64, got "0"/],
  [["--b", "kv=fp4"], /--b: kv: expected auto, bf16 or fp8, got "fp4"/],
  [["--b", "scheme=w_mxfp5"], /--b: scheme: expected w_mxfp4, /],
  [["--b", "dtype=f32,dtype=bf16"], /--b: dtype: expected once, got twice/],
  [["--b", `model=${TINY}/nowhere`], /tiny-gpt-oss\/nowhere/],
  [
    ["--b", "scheme=fp8"],
    /^error: --b scheme=fp8: static FP8 inputs need a calibrated scale, .* "mxoss quantize --scheme /,
  ],
  [["--fail-above", "kl=high"], /--fail-above: expected kl=NUMBER, a number of at least 0, got "kl=high"/],
  [["--fail-above", "kl=-1"], /--fail-above: expected kl=NUMBER, a number of at least 0, got "kl=-1"/],
  [["--fail-above", "kl=1=2"], /--fail-above: expected kl=NUMBER, a number of at least 0, got "kl=1=2"/],
  [["--fail-above", "disagreement=2"], /--fail-above: expected disagreement=NUMBER, a share of at least 0 and below 1/],
  [["--fail-above", "kl=2,flips=1"], /--fail-above: expected flips=NUMBER, a share of at least 0 and below 1, got "kl/],
  [["--fail-above", "kl=1, kl=2"], /--fail-above: expected kl once, got "kl=1, kl=2"/],
  [["--fail-above", "1,kl=2"], /--fail-above: expected kl once, got "1,kl=2"/],
  [["--fail-above", "loss=1"], /--fail-above: expected kl, max-kl, .* got "loss=1"/],
  [["--all", "--json"], /--all: expected without --json/],
  [["--alarm", "0"], /--alarm: expected a number above 0/],
  [["--limit", "1"], /--limit: expected an integer of at least 2/],
];

for (const [i, [args, what]] of REFUSED.entries()) {
  Deno.test(`mxoss compare ${args.join(" ").replaceAll(TINY, "MODEL")} is refused`, async () => {
    const { code, stdout, stderr } = await compared(args, PROBLEM, i === 0 ? mxoss : inProcess);
    assertMatch(stderr, what);
    assertMatch(stderr, /^error: [^\n]+\n$/);
    assertEquals([code, stdout], [2, ""]);
  });
}

Deno.test("compare refuses a missing text, an empty one, and models of different shapes", async () => {
  assertMatch((await inProcess(["compare"])).stderr, /^error: --text: required/);
  using dir = new TemporaryDirectory();
  const text = dir.write("text", PROBLEM), out = `${dir.path}/new`;
  for (const args of [["--a", "scheme=fp8", "--calibrate", "/nowhere"], ["--a", "scheme=fp8"], ["--a", "tp=9"]]) {
    assertEquals((await inProcess(["compare", "--text", text, ...args, "--out", out])).code, 2);
    assertEquals([...Deno.readDirSync(dir.path)].length, 1, "nothing is written before a refusal");
  }
  assertMatch(
    (await inProcess(["compare", "--text", "/nowhere.txt"])).stderr,
    /--text: \/nowhere\.txt: no such file\n$/,
  );
  assertMatch((await compared([], "")).stderr, /expected a text of at least 2 tokens, got 0/);
  using other = new BrokenCheckpoint();
  other.config((config) => config["num_experts_per_tok"] = config["experts_per_token"] = 2);
  assertMatch((await compared(["--b", `model=${other.dir}`])).stderr, /A has topK 4 and B 2/);
});

Deno.test("parseSide() reads settings", () => {
  assertEquals(parseSide("a", "scheme=w_mxfp4_a_fp8, kv=fp8,tp=2"), { scheme: "w_mxfp4_a_fp8", kv: "fp8", tp: 2 });
  assertEquals(parseSide("b", undefined), {});
  assertThrows(() => parseSide("b", "=3"), InputError, "--b: : unknown setting");
});

Deno.test("compare and eval name the directory of --out that they may not write to", async () => {
  using dir = new TemporaryDirectory();
  const out = `${dir.path}/locked`, text = dir.write("text.txt", "Wen has 14 peaches.");
  Deno.mkdirSync(out);
  Deno.chmodSync(out, 0o555);
  for (const command of [["compare"], ["eval", "perplexity"]]) {
    const { code, stderr } = await withoutPrivileges([...command, "--model", TINY, "--text", text, "--out", out]);
    assertMatch(stderr, /^error: --out: \S+\/locked: expected a directory that can be written to: Permission denied/);
    assertEquals(code, 2);
  }
});
