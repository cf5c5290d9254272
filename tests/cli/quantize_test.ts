import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { InputError } from "../../src/errors.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "../assert.ts";
import { rewrite, TemporaryDirectory } from "../checkpoint/container.ts";
import { run, someScales } from "../quantize/run.ts";
import { everyNth, ONLY_SOAKED, SOAK } from "../soak.ts";
import { withoutPrivileges } from "./without_privileges.ts";
import { inProcess } from "./in_process.ts";
import { pausedAfter } from "./paused.ts";
import { mxoss, TINY } from "./program.ts";

const PROBLEMS = new URL("../goldens/word-problems.jsonl", import.meta.url).pathname;
const names = (dir: string) => [...Deno.readDirSync(dir)].map(({ name }) => name).toSorted();
const contents = (dir: string) => names(dir).map((name) => [name, Deno.readFileSync(`${dir}/${name}`)] as const);

Deno.test("mxoss quantize writes a calibrated checkpoint that mxoss runs by itself", async () => {
  using dir = new TemporaryDirectory();
  const out = `${dir.path}/new`;
  const args = ["--scheme", "w_mxfp4_a_fp8", "--kv-cache-dtype", "fp8", "--attention", "ptpc_fp8", "--out", out];
  const calibration = ["--calibrate", PROBLEMS, "--calibrate-tokens", "1500"];
  const done = await mxoss(["quantize", ...args, ...calibration], { writable: out });
  assertMatch(done.stdout, /new: 6 files, [\d.]+ MB\n$/);
  assertEquals([done.stderr, done.code], ["", 0]);
  const report = JSON.parse((await inProcess(["inspect", "--model", out, "--json"])).stdout);
  assertEquals([report.scheme, report.kv_cache.format, report.layout], ["w_mxfp4_a_fp8", "fp8", "quark"]);
  const linears = new Map<string, { input: string; scales: string; weight: string }>(
    report.layers[3].linears.map((linear: { name: string }) => [linear.name, linear]),
  );
  assertEquals(linears.get("q_proj")!.weight, "fp8_e4m3");
  assertEquals(linears.get("q_proj")!.input, "fp8, scale per token");
  assertEquals(linears.get("experts.down_proj")!.scales, "e8m0 per 32, input from checkpoint");
  assert(report.layers.every(({ kv_scales: { k, v } }: { kv_scales: { k: number; v: number } }) => k !== 1 && v !== 1));
  const answer = await inProcess([
    "--model",
    out,
    "Ann has 12 pears. She buys 30 more. How many pears does Ann have now?",
  ]);
  assertEquals([answer.stdout, answer.code], ["#### 42\n", 0]);
});

Deno.test("mxoss quantize calibrates on a text, and warns of experts that it does not reach", async () => {
  using dir = new TemporaryDirectory();
  const text = dir.write("text.txt", "Ann has 3 pears.");
  const out = `${dir.path}/new`;
  const args = ["quantize", "--scheme", "fp8", "--calibrate", text, "--out", out];
  const { code, stderr } = await inProcess(args);
  assertMatch(stderr, /^warning: no token chose \d+ of the experts; they have the largest scales of their layers\n$/);
  assertEquals(code, 0);
});

Deno.test("--calibrate makes the static FP8 scales that a checkpoint lacks, in quantize and in compare", async () => {
  using broken = new TemporaryDirectory();
  using dir = new TemporaryDirectory();
  const embedded = openCheckpoint(TINY);
  await run(embedded, broken.path, "w_mxfp4_a_fp8", { scales: someScales(embedded) });
  rewrite(`${broken.path}/model.safetensors`, (tensors) => {
    [...tensors.keys()].filter((name) => name.endsWith("input_scale")).forEach((name) => tensors.delete(name));
  });
  const text = dir.write("text.txt", "Ann has 12 pears. She buys 30 more. How many pears does Ann have now?");
  const quantize = (model: string, out: string, ...more: string[]) =>
    inProcess(["quantize", "--model", model, "--scheme", "w_mxfp4_a_fp8", "--out", `${dir.path}/${out}`, ...more]);
  const without = await quantize(broken.path, "none");
  assertMatch(without.stderr, /^error: .*config\.json: .*static FP8 inputs need a calibrated scale.*--calibrate/);
  assertEquals(without.code, 2);
  for (const [model, out] of [[broken.path, "mended"], [TINY, "made"]] as const) {
    assertEquals((await quantize(model, out, "--calibrate", text)).code, 0);
  }
  const weights = (out: string) => Deno.readFileSync(`${dir.path}/${out}/model.safetensors`);
  assertEquals(weights("mended"), weights("made"));

  // Linears that are left alone get theirs too; the scheme of the experts is another one here.
  const other = ["--layers", "0=w_mxfp4_a_mxfp4", "--calibrate", text];
  assertEquals((await quantize(broken.path, "mixed", ...other)).code, 0);

  const sides = ["--a", `model=${broken.path}`, "--b", `model=${dir.path}/made`, "--text", text, "--calibrate", text];
  const { stdout, stderr, code } = await inProcess(["compare", ...sides]);
  assertEquals(code, 0, stderr);
  assertMatch(stdout, /^same likeliest token +100% \[20, 100\]$/m);
});

Deno.test("mxoss quantize warns where weights were quantized before, and not where they were trained so", async () => {
  using dir = new TemporaryDirectory();
  const quantized = (model: string[], scheme: string, out: string, ...more: string[]) =>
    inProcess(["quantize", ...model, "--scheme", scheme, "--out", `${dir.path}/${out}`, ...more]);
  const first = await quantized([], "ptpc_fp8", "a");
  assertEquals([first.stderr, first.code], ["", 0]);
  const second = await quantized(["--model", `${dir.path}/a`], "w_mxfp6_e3m2", "b");
  assertEquals([second.stderr, second.code], ["warning: weights that are fp8_e4m3 already are quantized again\n", 0]);

  // The weights themselves do not show it: whoever opens them later is told, and of each conversion before.
  const inspected = (out: string) => inProcess(["inspect", "--model", `${dir.path}/${out}`]);
  const told = (out: string, formats: string) =>
    `warning: ${dir.path}/${out}/config.json: weights were quantized more than once: to ${formats} before\n`;
  assertEquals((await inspected("a")).stderr, "");
  assertEquals((await inspected("b")).stderr, told("b", "fp8_e4m3"));
  const third = await quantized(["--model", `${dir.path}/b`], "fp8", "c", "--calibrate", PROBLEMS);
  assertEquals([third.code, (await inspected("c")).stderr], [0, told("c", "fp8_e4m3 and mxfp6_e3m2")]);
  // Nor is it lost where weights are copied.
  assertEquals((await quantized(["--model", `${dir.path}/b`], "w_mxfp6_e3m2", "d")).code, 0);
  assertEquals((await inspected("d")).stderr, told("d", "fp8_e4m3"));
});

Deno.test("mxoss quantize warns of scales of an FP8 cache that nobody measured, once only", async () => {
  using dir = new TemporaryDirectory();
  const cached = ["quantize", "--scheme", "w_mxfp6_e3m2", "--kv-cache-dtype", "fp8", "--out", `${dir.path}/a`];
  const warning = "warning: the scales of the FP8 cache are 1: they come from --calibrate\n";
  assertEquals((await inProcess(cached)).stderr, warning);
  // The checkpoint has them now.
  const again = ["quantize", "--model", `${dir.path}/a`, "--scheme", "w_mxfp6_e3m2", "--out", `${dir.path}/b`];
  const { code, stderr } = await inProcess(again);
  assertEquals([code, stderr], [0, ""]);
});

Deno.test("mxoss quantize goes on after it was killed", async () => {
  using dir = new TemporaryDirectory();
  const [whole, out] = [`${dir.path}/whole`, `${dir.path}/cut`];
  const args = (to: string) => ["quantize", "--scheme", "w_mxfp6_e3m2", "--shard-size", "300kB", "--out", to];
  assertEquals((await inProcess(args(whole))).code, 0);
  await using paused = await pausedAfter(3, args(out), out);
  paused.child.kill("SIGKILL");
  await paused.ended;
  assertThrows(
    () => openCheckpoint(out),
    InputError,
    "got a part of one, as an interrupted mxoss quantize or convert leaves; the same command goes on",
  );
  const other = await inProcess(["quantize", "--scheme", "w_mxfp4", "--out", out]);
  assertMatch(other.stderr, /^error: --out: .*: holds an interrupted run with other settings/);
  const { code, stderr } = await mxoss(args(out), { writable: out });
  // Killed before the third file had its name; the note of the second may not have been written yet.
  const left = /^note: .*\/cut: goes on from an interrupted run, which left \d+ finished weight files?\n$/;
  assertEquals(code, 0);
  assertMatch(stderr, left);
  assertEquals(contents(out), contents(whole));
  const again = await inProcess(args(out));
  assertMatch(again.stderr, /^error: --out: .*: expected a new or empty directory, .* got \d+ other files\n$/);
  assertEquals(again.code, 2);
});

Deno.test("mxoss quantize does not go on with an interrupted run under any other setting", async () => {
  using dir = new TemporaryDirectory();
  const text = dir.write("text.txt", "Ann has 12 pears. She buys 30 more."), other = dir.write("other.txt", "12 pears");
  const out = `${dir.path}/out`, where = ["--out", out];
  const begun = { scheme: "w_mxfp4_a_fp8", calibrate: text, "kv-cache-dtype": "fp8", "shard-size": "300kB" };
  const words = (
    options: Record<string, string>,
  ) => ["quantize", ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]), ...where];
  {
    await using paused = await pausedAfter(2, words(begun), out);
    paused.child.kill("SIGKILL");
    await paused.ended;
  }
  const before = contents(out);
  const others: Record<string, string>[] = [
    { calibrate: other },
    { "calibrate-tokens": "5" },
    { "kv-cache-dtype": "bf16" },
    { "shard-size": "400kB" },
    { scheme: "w_mxfp6_e3m2_a_fp8" },
    { layers: "1=fp8" },
    { attention: "fp8" },
  ];
  for (const changed of others) {
    const { code, stderr } = await inProcess(words({ ...begun, ...changed }));
    const line = `error: --out: ${out}: holds an interrupted run with other settings; remove it, or write elsewhere\n`;
    assertEquals([code, stderr], [2, line], JSON.stringify(changed));
    assertEquals(contents(out), before);
  }
  const same = await inProcess(words({ ...begun, threads: "1" }));
  assertEquals(same.code, 0);
  assertMatch(same.stderr, /^note: .*: goes on from an interrupted run, which left measured scales and \d+ finished /m);
});

const REFUSED: [args: string[], what: RegExp][] = [
  [[], /--scheme: required/],
  [["--scheme", "w_mxfp4"], /--out: required/],
  [["--scheme", "w_mxfp5", "--out", "x"], /--scheme: expected w_mxfp4, .* got "w_mxfp5"/],
  [["--scheme", "mxfp4_fp8", "--out", "x"], /--scheme: AMD Quark's name; expected w_mxfp4_a_fp8/],
  [["--scheme", "bf16", "--out", "x"], /--scheme: expected a scheme that quantizes weights .* got "bf16"/],
  [["--scheme", "w_mxfp4_a_mxfp8", "--out", "x"], /--scheme: expected w_mxfp4, which .* got "w_mxfp4_a_mxfp8"/],
  [["--scheme", "w_mxfp4_a_q8_0", "--out", "x"], /--scheme: expected w_mxfp4, which .* got "w_mxfp4_a_q8_0"/],
  [["--scheme", "w_mxfp4", "--layers", "1=w_mxfp4_a_mxfp8", "--out", "x"], /--layers: .* got "w_mxfp4_a_mxfp8"/],
  [["--scheme", "w_mxfp4_a_fp8", "--out", "x"], /--scheme w_mxfp4_a_fp8: static FP8 inputs need .* --calibrate FILE/],
  [["--scheme", "w_mxfp4", "--attention", "fp8", "--out", "x"], /--attention fp8: static FP8 .*self_attn\.q_proj/],
  [["--scheme", "w_mxfp4", "--layers", "1-2=fp8", "--out", "x"], /--layers 1-2=fp8: static FP8 .*layers\.1\.mlp/],
  [["--scheme", "w_mxfp4", "--layers", "2-1=fp8", "--out", "x"], /--layers: expected LAYERS=SCHEME/],
  [["--scheme", "w_mxfp4", "--layers", "1=fp9", "--out", "x"], /--layers: expected LAYERS=SCHEME.*w_mxfp4, /],
  [
    ["--scheme", "w_mxfp4", "--layers", "0-2=ptpc_fp8,2=w_mxfp4", "--out", "x"],
    /--layers: expected each layer once, and layer 2 is/,
  ],
  [["--scheme", "w_mxfp4", "--layers", "3-4=ptpc_fp8", "--out", "x"], /--layers: expected layers below 4, got 4/],
  [["--scheme", "w_mxfp4", "--shard-size", "5 bytes", "--out", "x"], /--shard-size: expected a size/],
  [["--scheme", "w_mxfp4", "--shard-size", "0", "--out", "x"], /--shard-size: expected a size/],
  [["--scheme", "w_mxfp4", "--shard-size", "1.5", "--out", "x"], /--shard-size: expected a size .* got "1.5"/],
  [["--scheme", "fp8", "--calibrate", `${TINY}/none.txt`, "--out", "x"], /--calibrate: .*none\.txt: no such file/],
  [["--scheme", "fp8", "--calibrate", `${TINY}/config.json`, "--out", `${TINY}/config.json`], /--out: .*config\.json/],
  [["--scheme", "w_mxfp4", "--out", TINY], /--out: .*: expected a new or empty directory/],
  [["--model", `${TINY}/nowhere`, "--scheme", "w_mxfp4", "--out", "x"], /nowhere/],
];

for (const [i, [args, what]] of REFUSED.entries()) {
  Deno.test(`mxoss quantize ${args.join(" ").replaceAll(TINY, "MODEL")} is refused`, async () => {
    const before = names(TINY);
    const words = ["quantize", ...args];
    const { code, stdout, stderr } = await (i === 0 ? mxoss(words, { writable: "/" }) : inProcess(words));
    assertMatch(stderr, /^error: [^\n]+\n$/);
    assertMatch(stderr, what);
    assertEquals([stdout, code], ["", 2]);
    assertEquals(names(TINY), before);
  });
}

Deno.test("mxoss quantize refuses an empty text", async () => {
  using dir = new TemporaryDirectory();
  const args = ["quantize", "--scheme", "fp8", "--calibrate", dir.write("empty.txt", ""), "--out", `${dir.path}/new`];
  const { code, stderr } = await inProcess(args);
  assertMatch(stderr, /^error: --calibrate: .*empty\.txt: expected a text, got an empty file\n$/);
  assertEquals(code, 2);
});

async function codeAndErrors(args: readonly string[]): Promise<[number, string]> {
  const { code, stderr } = await withoutPrivileges(args);
  return [code, stderr];
}

Deno.test("mxoss quantize takes source files that nobody may write, as an ordinary user", async () => {
  using dir = new TemporaryDirectory();
  for (const { name } of [...Deno.readDirSync(TINY)].filter(({ isFile }) => isFile)) {
    Deno.copyFileSync(`${TINY}/${name}`, dir.write(`from/${name}`, ""));
    Deno.chmodSync(`${dir.path}/from/${name}`, 0o444);
  }
  const out = `${dir.path}/to`, from = `${dir.path}/from`;
  const args = ["quantize", "--model", from, "--scheme", "w_mxfp6_e3m2", "--shard-size", "300kB", "--out", out];
  assertEquals(await codeAndErrors(args), [0, ""]);
  assertEquals(Deno.readFileSync(`${out}/tokenizer.json`), Deno.readFileSync(`${TINY}/tokenizer.json`));
  if (!SOAK) return;
  // And its resume, after a run whose files were copied with their mode.
  const again = `${dir.path}/again`;
  await using interrupted = await pausedAfter(2, [...args.slice(0, -1), again], dir.path);
  interrupted.child.kill("SIGKILL");
  await interrupted.ended;
  Deno.copyFileSync(`${from}/tokenizer.json`, `${again}/tokenizer.json`);
  const [code, errors] = await codeAndErrors([...args.slice(0, -1), again]);
  assertEquals(code, 0);
  assertMatch(errors, /^note: .*\/again: goes on from an interrupted run, which left \d+ finished weight files?\n$/);
  assertEquals(contents(again), contents(out));
});

// One way for all three.
for (const signal of everyNth(3, ["SIGHUP", "SIGTERM", "SIGINT"] as const)) {
  Deno.test(`mxoss quantize leaves no temporary file when ${signal} comes`, async () => {
    using dir = new TemporaryDirectory();
    const out = `${dir.path}/new`;
    const args = ["quantize", "--scheme", "w_mxfp6_e3m2", "--shard-size", "300kB", "--out", out];
    await using paused = await pausedAfter(1, args, out);
    paused.child.kill(signal);
    paused.goOn();
    const { code, stderr } = await paused.ended;
    assertEquals(code, 130);
    assertMatch(new TextDecoder().decode(stderr), /^interrupted; the same command goes on where it stopped\n$/);
    assertEquals(
      names(out).filter((name) => !/^(?:quantize\.journal\.json|model-[-\w]+\.safetensors)$/.test(name)),
      [],
    );
  });
}

Deno.test(
  `mxoss quantize goes on under nohup when the terminal hangs up${ONLY_SOAKED}`,
  { ignore: !SOAK },
  async () => {
    using dir = new TemporaryDirectory();
    const out = `${dir.path}/new`;
    const args = ["quantize", "--scheme", "w_mxfp6_e3m2", "--shard-size", "300kB", "--out", out];
    await using paused = await pausedAfter(1, args, out, ["nohup"]);
    paused.child.kill("SIGHUP");
    paused.goOn();
    assertEquals((await paused.ended).code, 0);
    assert(names(out).includes("config.json"));
  },
);

Deno.test("two mxoss quantize in one directory: the second is refused in one line", async () => {
  using dir = new TemporaryDirectory();
  const out = `${dir.path}/new`;
  const args = ["quantize", "--scheme", "w_mxfp6_e3m2", "--out", out];
  Deno.mkdirSync(out);
  using held = Deno.openSync(out);
  assert(held.tryLockSync(true));
  const { code, stderr } = await mxoss(args, { writable: out });
  assertEquals(code, 2);
  assertEquals(stderr, `error: --out: ${out}: expected no other run in this directory, but one is writing there\n`);
  assertEquals(names(out), []);
});
