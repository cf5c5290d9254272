/** `mxoss report`: runs that were made apart are the one run that would have given all their settings. */
import { PerplexityResults } from "../../src/eval/results_schema.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { writeTiny } from "../model/tiny_layouts.ts";
import { sealedNote } from "../eval/reseal.ts";
import { inProcess as run } from "./in_process.ts";
import { TINY } from "./program.ts";

const TEXT = "<|start|>user<|message|>Wen has 14 peaches. Ben has 8 fewer than Wen. How many do they have?<|end|>";
const PROBLEMS = new URL("../goldens/word-problems.jsonl", import.meta.url).pathname;

/** What a run with several settings writes for people to read. */
const contents = (dir: string, names = ["results.json", "report.html", "samples.html"]) =>
  names.map((name) => Deno.readTextFileSync(`${dir}/${name}`));

async function done(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(args);
  assertEquals(code, 0, stderr);
  return stdout;
}

Deno.test("report of runs made apart is what one run gives, and others are refused by field", async () => {
  using dir = new TemporaryDirectory();
  const at = (name: string) => `${dir.path}/${name}`;
  Deno.writeTextFileSync(at("text.txt"), TEXT);
  const evaluate = (out: string, schemes: string, ...more: string[]) => {
    const args = ["--text", at("text.txt"), "--threads", "1", "--divergence", "1", "--sequence-length", "12"];
    return done(["eval", "perplexity", ...args, "--limit", "13", "--scheme", schemes, "--out", at(out), ...more]);
  };
  const printed = await evaluate("one", "w_mxfp4,w_mxfp4_a_mxfp4,ptpc_fp8", "--bandwidth", "h100");
  await evaluate("a", "w_mxfp4,ptpc_fp8");
  await evaluate("c", "w_mxfp4,w_mxfp4_a_mxfp4");
  const report = (...args: string[]) => done(["report", ...args, "--bandwidth", "h100", "--out", at("merged")]);
  assertEquals(await report(at("c"), at("a")), printed);
  assertEquals(contents(at("merged")), contents(at("one")));
  assertStringIncludes(contents(at("merged")).at(-1)!, "Tokens that differ the most");
  // Of one that has all, and of one again.
  assertEquals(await report(at("one")), printed);
  assertEquals(await report(`${at("c")}/`, at("c"), at("a")), printed);

  const refusal = async (line: RegExp, ...dirs: string[]) => {
    const { code, stderr } = await run(["report", ...dirs]);
    assertEquals(code, 2, stderr);
    assertMatch(stderr, line);
  };
  await refusal(/one\/results\.json: bandwidth is .*h100.*, not null as in .*a\n$/, at("a"), at("one"));
  /** A copy of a run with another results.json. */
  const changed = (change: (results: PerplexityResults) => unknown) => {
    for (const { name } of Deno.readDirSync(at("a"))) {
      Deno.mkdirSync(at("other"), { recursive: true }), Deno.copyFileSync(at(`a/${name}`), at(`other/${name}`));
    }
    const results = PerplexityResults.parse(JSON.parse(Deno.readTextFileSync(at("a/results.json"))));
    change(results);
    Deno.writeTextFileSync(at("other/results.json"), sealedNote(JSON.stringify(results)));
    return [at("a"), at("other")];
  };
  // A run that told its own settings apart has not told them from those of another run.
  changed((r) => r.divergences.forEach((one) => one.stopped = "settled"));
  assertEquals(await report(at("other"), at("c")), await report(at("a"), at("c")));
  await refusal(
    /other\/results\.json: protocol\.text\.tokens is 12, not 13 as in .*a\n/,
    ...changed((r) => r.protocol.text.tokens = 12),
  );
  await refusal(/mxoss is "9", not ".*" as in/, ...changed((r) => r.mxoss = "9"));
  changed((r) => r.mxoss = "9");
  const kept = Deno.readTextFileSync(at("other/results.json"));
  Deno.writeTextFileSync(at("other/results.json"), kept.replace('"mxoss":"9"', '"mxoss":"8"'));
  await refusal(
    /other\/results\.json: is damaged: expected checksum "[0-9a-f]{8}", got "[0-9a-f]{8}"; remove/,
    at("other"),
  );
  const f32 = changed(({ cells }) => cells.forEach(({ protocol }) => protocol.dtype = "f32"));
  await refusal(/cells w_mxfp4\.kv-auto\.tp1: protocol\.dtype is "f32", not "bf16" as in/, ...f32);
  const hip = changed(({ cells }) => cells.forEach((cell) => (cell.asked.tp = 2, cell.protocol.backend = "hip")));
  await refusal(/cells w_mxfp4\.kv-auto\.tp1: protocol\.backend is "hip", not "emulate" as in/, ...hip);
  const alone = changed((r) => (r.cells.splice(0, 1), r.cells[0]!.asked.tp = 2, r.divergences.splice(0)));
  await refusal(/other.*expected w_mxfp4\.kv-auto\.tp1 as the first setting, which ptpc_fp8\.kv-auto\.tp2/, ...alone);
  const alarm = changed((r) => (r.cells[1]!.asked.tp = 2, r.divergences[0]!.divergence.alarm = 0.5));
  await refusal(/divergences ptpc_fp8\.kv-auto\.tp2\.alarm is 0\.5, not 0\.01 as in/, ...alarm);
  Deno.writeTextFileSync(at("c/nll.w_mxfp4_a_mxfp4.kv-auto.tp1.jsonl"), "{}\n");
  await refusal(/tp1\.jsonl: is not of the results\.json beside it/, at("a"), at("c"));
  await refusal(/none\/results\.json: no such file; mxoss eval and mxoss compare write it with --out/, at("none"));
  // A link to itself is something, and what is wrong with it is another thing.
  Deno.mkdirSync(at("loop")), Deno.symlinkSync("results.json", at("loop/results.json"));
  await refusal(/loop\/results\.json: (?!no such file)/, at("loop"));
  await refusal(/file: expected the directory that eval or compare wrote, got a file/, dir.write("file", {}));
  await refusal(/DIR: expected a directory of results, got none/);
});

Deno.test("report joins models and problems that share no first setting, where nothing was compared", async () => {
  using dir = new TemporaryDirectory(), plain = new TemporaryDirectory();
  writeTiny(plain, "hf_bf16");
  const args = [
    "gsm8k",
    "--data",
    PROBLEMS,
    "--limit",
    "2",
    "--max-tokens",
    "6",
    "--threads",
    "1",
    "--divergence",
    "0",
  ];
  const evaluate = (out: string, ...more: string[]) => done(["eval", ...args, "--out", `${dir.path}/${out}`, ...more]);
  const printed = await evaluate("one", "--model", TINY, "--model", plain.path);
  await evaluate("a", "--model", TINY);
  await evaluate("b", "--model", plain.path);
  const merged = ["report", `${dir.path}/a`, `${dir.path}/b`, "--out", `${dir.path}/merged`];
  assertEquals(await done(merged), printed);
  const numbers = ["results.json"], pages = ["report.html"];
  assertEquals(contents(`${dir.path}/merged`, numbers), contents(`${dir.path}/one`, numbers));
  // Neither of the two has both settings, whose replies could be laid side by side.
  const namesIn = (out: string) => Array.from(Deno.readDirSync(`${dir.path}/${out}`), ({ name }) => name);
  assert(!namesIn("merged").includes("samples.html"));
  const mentions = (out: string) => contents(`${dir.path}/${out}`, pages)[0]!.includes("samples.html");
  assertEquals([mentions("merged"), mentions("one")], [false, true]);
  const again = () => run(["report", `${dir.path}/one`, "--out", `${dir.path}/again`]);
  assertEquals((await again()).stderr, "");
  assertEquals(contents(`${dir.path}/again`), contents(`${dir.path}/one`));
  // As a run of an earlier version would be.
  Deno.removeSync(`${dir.path}/one/${namesIn("one").find((name) => /^samples\..*jsonl$/.test(name))}`);
  assertMatch((await again()).stderr, /^no samples\.html: /);
  assertEquals([mentions("again"), namesIn("again").includes("samples.html")], [false, false]);
  assert(printed.includes("tiny-gpt-oss, w_mxfp4"));
});

Deno.test("report shows a comparison again, and refuses to join two", async () => {
  using dir = new TemporaryDirectory();
  Deno.writeTextFileSync(`${dir.path}/text.txt`, TEXT);
  const out = `${dir.path}/out`;
  const args = ["--text", `${dir.path}/text.txt`, "--limit", "12", "--threads", "1", "--b", "kv=fp8", "--out", out];
  const printed = await done(["compare", ...args]),
    read = (name: string) => Deno.readTextFileSync(`${dir.path}/${name}`);
  const again = `${dir.path}/again`;
  assertEquals(await done(["report", out, "--out", again]), printed);
  for (const name of ["results.json", "report.html", "samples.html"]) {
    assertEquals(read(`again/${name}`), read(`out/${name}`), name);
  }
  assert(/<section id="first">.*<a href="samples.html">.*<\/section>/s.test(read("out/report.html").split("<h2>")[0]!));
  const { stderr } = await run(["report", out, out]);
  assertMatch(stderr, /DIR: expected one of mxoss compare, which compares two settings/);
});

Deno.test("report says of a file that is not as it was written what is wrong, in words of its own", async () => {
  using dir = new TemporaryDirectory();
  const at = (name: string) => `${dir.path}/${name}`, results = at("out/results.json");
  Deno.writeTextFileSync(at("text.txt"), TEXT);
  await done(["eval", "perplexity", "--text", at("text.txt"), "--threads", "1", "--limit", "13", "--out", at("out")]);
  const { crc32: _, ...written } = JSON.parse(Deno.readTextFileSync(results));
  for (
    const [change, line] of [
      [{ version: 9 }, "version: expected 2, as results of this version of mxoss have it, got 9"],
      [
        { cells: [] },
        "cells: expected a list of at least 1, as results of this version of mxoss have it, got an array of 0",
      ],
      [{ cells: 3 }, "cells: expected a list, as results of this version of mxoss have it, got 3"],
      [{ protocol: null }, "protocol: expected an object, as results of this version of mxoss have it, got null"],
    ] as const
  ) {
    Deno.writeTextFileSync(results, JSON.stringify({ ...written, ...change }));
    const { code, stdout, stderr } = await run(["report", at("out")]);
    assertEquals([code, stdout], [2, ""]);
    assertStringIncludes(stderr, `error: ${results}: ${line}`);
    assertEquals(stderr.split("\n").length, 2);
  }
  Deno.mkdirSync(at("parts/shards/1-of-2"), { recursive: true });
  Deno.writeTextFileSync(at("parts/shards/1-of-2/shard.json"), "{}");
  const { stderr } = await run(["report", at("parts")]);
  assertMatch(
    stderr,
    /shard\.json: schema: expected "mxoss\.shard", which this version of mxoss writes, got nothing\n$/,
  );
});

Deno.test("report says of a run that has not ended how it goes on", async () => {
  using dir = new TemporaryDirectory();
  for (const name of ["answers.w_mxfp4.kv-auto.tp1.jsonl", "nll.w_mxfp4.kv-auto.tp1.jsonl"]) {
    const out = `${dir.path}/${name}.run`;
    Deno.mkdirSync(out);
    Deno.writeTextFileSync(`${out}/${name}`, "{}\n");
    const said = "expected the results of a finished run, got answers of one that has not ended";
    const stderr = `error: ${out}: ${said}; the same mxoss eval goes on with it\n`;
    assertEquals(await run(["report", out]), { code: 2, stdout: "", stderr });
  }
});

Deno.test("report and inspect say what is in the place of a directory, or that nothing is", async () => {
  using dir = new TemporaryDirectory();
  const pipe = `${dir.path}/pipe`, file = dir.write("file", "x");
  assertEquals(new Deno.Command("mkfifo", { args: [pipe] }).outputSync().code, 0);
  const wanted = "expected the directory that eval or compare wrote, got";
  const missing = "results.json: no such file; mxoss eval and mxoss compare write it with --out";
  const cases: [string[], string][] = [
    [["report", pipe], `${pipe}: ${wanted} a device or pipe`],
    [["report", file], `${file}: ${wanted} a file`],
    [["report", `${file}/x`], `${file}/x/${missing}`],
    [["report", `${dir.path}/none`], `${dir.path}/none/${missing}`],
    [["inspect", "--model", pipe], `${pipe}: expected a checkpoint directory, got a device or pipe`],
    [["inspect", "--model", file], `${file}: expected a checkpoint directory, got a file`],
  ];
  for (const [args, said] of cases) {
    assertEquals(await run(args), { code: 2, stdout: "", stderr: `error: ${said}\n` });
  }
});
