/** What `--out` keeps is not computed again, and several models and numbers of expert groups make one matrix. */
import { relative } from "node:path";
import { CompareResults, PerplexityResults } from "../../src/eval/results_schema.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { SHORT, TemporaryDirectory } from "../checkpoint/container.ts";
import { sealedJournal } from "../eval/reseal.ts";
import { writeTiny } from "../model/tiny_layouts.ts";
import { inProcess as run } from "./in_process.ts";
import { TINY } from "./program.ts";

const TEXT = "<|start|>user<|message|>Wen has 14 peaches. Ben has 8 fewer than Wen. How many do they have?<|end|>";
const SMALL = ["--limit", "12", "--threads", "1"];

function inDirectory(use: (dir: string, text: string) => Promise<void>) {
  return async () => {
    using made = new TemporaryDirectory(SHORT);
    const dir = relative(Deno.cwd(), made.path);
    Deno.writeTextFileSync(`${dir}/text.txt`, TEXT);
    await use(dir, `${dir}/text.txt`);
  };
}

/** Changes the first number that follows a key in a file. */
function tamper(path: string, key: string, value: number): void {
  const text = Deno.readTextFileSync(path), changed = text.replace(new RegExp(`(${key}":)[^,}]+`), `$1${value}`);
  assert(changed !== text);
  Deno.writeTextFileSync(path, sealedJournal(changed));
}

Deno.test(
  "eval measures the scales of --calibrate once",
  inDirectory(async (dir, text) => {
    const args = ["eval", "perplexity", "--text", text, "--scheme", "w_mxfp4,fp8", "--calibrate", text, ...SMALL];
    const first = await run([...args, "--divergence", "0", "--out", `${dir}/out`]);
    assertEquals(first.code, 0, first.stderr);
    const again = await run([...args, "--divergence", "0", "--out", `${dir}/out`]);
    assertEquals([again.code, again.stdout], [0, first.stdout]);
    // Other scales are other formats, of which the answers that are there are not.
    tamper(`${dir}/out/calibration.jsonl`, "experts\\.0\\.down_proj", 3);
    const { code, stderr } = await run([...args, "--divergence", "0", "--out", `${dir}/out`]);
    assertEquals(code, 2);
    assertMatch(stderr, /fp8\.kv-auto\.tp1\.jsonl: was written with other settings \(setting\.formats_sha256/);
  }),
);

Deno.test(
  "eval hashes weights once, until a file of theirs is touched",
  inDirectory(async (dir, text) => {
    const args = ["eval", "perplexity", "--text", text, ...SMALL, "--out", `${dir}/out`];
    const first = await run(args);
    assertEquals(first.code, 0, first.stderr);
    const hashes = `${dir}/out/weights.jsonl`, kept = Deno.readTextFileSync(hashes), f = "f".repeat(64);
    const other = sealedJournal(kept.replace(/[0-9a-f]{64}(?=",[^\n]*\n$)/, f));
    Deno.writeTextFileSync(hashes, other);
    assertMatch((await run(args)).stderr, /other settings \(setting\.weights_sha256 was "[0-9a-f]+.*, is "ffff/);
    Deno.writeTextFileSync(hashes, sealedJournal(other.replace(/"modified":\d+/, `"modified":1`)));
    assertEquals((await run(args)).stdout, first.stdout);
    assertEquals(Deno.readTextFileSync(hashes), kept);
  }),
);

Deno.test(
  "compare prints at once what it has compared before",
  inDirectory(async (dir, text) => {
    const args = ["compare", "--text", text, "--a", "scheme=w_mxfp4", "--b", "scheme=w_mxfp6_e3m2", ...SMALL, "--json"];
    const first = await run([...args, "--out", `${dir}/out`]);
    assertEquals(first.code, 0, first.stderr);
    const { protocol, divergence } = CompareResults.parse(JSON.parse(first.stdout));
    assertEquals([protocol.a.converted_from, protocol.b.converted_from], [null, "mxfp4"]);
    // MXFP6 holds what MXFP4 holds.
    assertEquals([divergence.logits.all.kl.max, divergence.suspects.length], [0, 0]);
    tamper(`${dir}/out/divergence.jsonl`, "max_error", 7);
    const again = CompareResults.parse(JSON.parse((await run([...args, "--out", `${dir}/out`])).stdout));
    assertEquals(again.divergence.operations[0]!.total.max_error, 7);
    const other = await run([...args, "--out", `${dir}/out`, "--alarm", "0.5"]);
    assertEquals(CompareResults.parse(JSON.parse(other.stdout)).divergence.operations[0]!.total.max_error, 0);
  }),
);

Deno.test(
  "eval takes several models and numbers of expert groups",
  inDirectory(async (_dir, text) => {
    using plain = new TemporaryDirectory();
    writeTiny(plain, "hf_bf16");
    const args = ["eval", "perplexity", "--text", text, ...SMALL, "--divergence", "0", "--json"];
    const both = await run([...args, "--model", TINY, "--model", plain.path, "--scheme", "bf16", "--ep", "1,2"]);
    assertEquals(both.code, 0, both.stderr);
    const { cells } = PerplexityResults.parse(JSON.parse(both.stdout));
    const other = plain.path.split("/").at(-1)!;
    assertEquals(cells.map(({ label }) => label), [
      "tiny-gpt-oss, ep 1",
      "tiny-gpt-oss, ep 2",
      `${other}, ep 1`,
      `${other}, ep 2`,
    ]);
    assertEquals(cells.map(({ key }) => key).slice(0, 3), [
      "bf16.kv-auto.tp1.model-tiny-gpt-oss",
      "bf16.kv-auto.tp1.ep2.model-tiny-gpt-oss",
      `bf16.kv-auto.tp1.model-${other}`,
    ]);
    assertEquals([cells[0]!.nll, cells[1]!.nll], [cells[2]!.nll, cells[3]!.nll]);
    assertEquals(cells.map(({ protocol }) => protocol.converted_from), ["mxfp4", "mxfp4", null, null]);
    const thrice = await run(["compare", "--text", text, ...["a", "b", "c"].flatMap((model) => ["--model", model])]);
    assertMatch(thrice.stderr, /--model: expected once, or twice: for A, then for B, got 3 times/);
  }),
);

Deno.test(
  "a dry run leaves out what the directory has already",
  inDirectory(async (dir, text) => {
    const out = `${dir}/out`, args = ["eval", "perplexity", "--text", text, "--sequence-length", "3", ...SMALL];
    const both = [...args, "--kv-cache-dtype", "auto,fp8", "--divergence", "2", "--out", out];
    const made = await run(both);
    assertEquals(made.code, 0, made.stderr);
    const finished = await run([...both, "--dry-run"]);
    assertEquals([finished.code, finished.stdout], [0, `nothing is left to compute: ${out} has all\n`]);
    // Half of one setting's four sequences, and a line that was cut off.
    const { name } = Array.from(Deno.readDirSync(out)).find(({ name }) => /^nll\..*kv-fp8/.test(name))!;
    const journal = `${out}/${name}`, lines = Deno.readTextFileSync(journal).split("\n");
    Deno.writeTextFileSync(journal, [...lines.slice(0, 3), lines[3]!.slice(0, 20)].join("\n"));
    const { stdout } = await run([...both, "--dry-run", "--json"]);
    const { steps } = JSON.parse(stdout) as {
      readonly steps: readonly { readonly step: string; readonly tokens: unknown }[];
    };
    assertEquals(steps.map(({ step, tokens }) => ({ step, tokens })), [
      { step: "evaluate", tokens: { low: 6, high: 6 } },
    ]);
  }),
);

Deno.test(
  "a dry run refuses what the run would refuse, and counts nothing that it could not take up",
  inDirectory(async (dir, text) => {
    const out = `${dir}/out`, args = ["eval", "perplexity", "--text", text, ...SMALL, "--out", out];
    const shorter = [...args, "--sequence-length", "3", "--dry-run"];
    const refused = async (command: readonly string[], line: RegExp) => {
      const { code, stdout, stderr } = await run(command);
      assertEquals([code, stdout], [2, ""]);
      assertMatch(stderr, line);
    };
    assertEquals((await run(args)).code, 0);
    await refused(shorter, /^error: .*\/out\/results\.json: was written with other settings \([^\n]*\n$/);
    Deno.removeSync(`${out}/results.json`);
    const journal =
      /^error: .*\/nll\.as-stored\.kv-auto\.tp1\.jsonl: was written with other settings \(text\.s[^\n]*\n$/;
    await refused(shorter, journal);
    assertMatch((await run(shorter.toSpliced(-1))).stderr, journal);
    const elsewhere = (path: string) => [...args.slice(0, -1), path, "--dry-run"];
    await refused(elsewhere(text), /^error: --out: .*text\.txt: expected a directory, got a file\n$/);
    const kept = `${out}/nll.as-stored.kv-auto.tp1.jsonl`, lines = Deno.readTextFileSync(kept);
    Deno.removeSync(kept);
    Deno.mkdirSync(kept);
    await refused(
      [...args, "--dry-run"],
      /tp1\.jsonl: cannot be written: expected a regular file or none, got a dir[^\n]*\n$/,
    );
    Deno.removeSync(kept);
    // What it belongs to was being written.
    Deno.writeTextFileSync(kept, lines.slice(0, 20));
    assertMatch((await run([...args, "--dry-run"])).stdout, /\nevaluate /);
    Deno.writeTextFileSync(kept, lines);
    // Weights are not hashed for an estimate: others of the same shape are found by the run.
    tamper(kept, "weights_sha256", 0);
    assertMatch((await run([...args, "--dry-run"])).stdout, /^nothing is left to compute/);
  }),
);

/** Steps of an estimate, with the most tokens of each. */
async function estimated(args: readonly string[]): Promise<Record<string, number>> {
  const { code, stdout, stderr } = await run([...args, "--dry-run", "--json"]);
  assertEquals(code, 0, stderr);
  const { steps } = JSON.parse(stdout) as {
    readonly steps: readonly { readonly step: string; readonly setting: string; readonly tokens: { high: number } }[];
  };
  return Object.fromEntries(steps.map(({ step, setting, tokens: { high } }) => [`${step} ${setting}`, high]));
}

Deno.test(
  "a dry run counts what parts have, and an estimate of a part what it alone would compute",
  inDirectory(async (dir, text) => {
    Deno.writeTextFileSync(text, Deno.readTextFileSync(text).repeat(4));
    const out = `${dir}/out`, args = ["eval", "perplexity", "--text", text, "--out", out];
    const how = [...args, "--sequence-length", "3", "--limit", "36", "--threads", "1", "--kv-cache-dtype", "auto,fp8"];
    const both = [...how, "--divergence", "9"], part = (shard: string) => [...both, "--shard", shard];
    const all = {
      ...{ "evaluate kv auto": 36, "evaluate kv fp8": 36 },
      ...{ "predictions kv fp8": 27, "layer by layer kv fp8": 24 },
    };
    assertEquals(await estimated(both), all);
    // Of twelve sequences; nine are compared, and eight of them layer by layer, which the first part does.
    const own = (evaluated: number, predicted: number, layered: number) =>
      Object.fromEntries(
        Object.keys(all).map((step, i) => [step, [evaluated, evaluated, predicted, layered][i]!]).filter(([, n]) => n),
      );
    assertEquals(await estimated(part("1/2")), own(24, 24, 24));
    assertEquals(await estimated(part("2/2")), own(18, 9, 0));
    assertEquals(await estimated(part("3/4")), own(9, 9, 0));
    assertEquals(await estimated(part("2/64")), {});
    assertEquals((await run(part("1/2"))).code, 0);
    assertEquals(await estimated(part("1/2")), {});
    assertEquals(await estimated(both), own(12, 3, 0));
    // The first part had eight sequences; the second begins at the seventh of its own, and does those again.
    assertEquals(await estimated(part("2/2")), own(18, 9, 0));
    // Parts of another division take what is there.
    assertEquals(await estimated(part("3/4")), own(3, 3, 0));
    assertEquals((await run(part("2/2"))).code, 0);
    for (const done of [both, part("3/4"), part("1/1")]) assertEquals(await estimated(done), {});
    const { stdout } = await run([...both, "--dry-run"]);
    assertEquals(stdout, `nothing is left to compute: ${out} has all\n`);
    // What the part would refuse is refused, also where only its note tells.
    const { code, stderr } = await run([...how, "--divergence", "8", "--shard", "1/2", "--dry-run"]);
    assertEquals(code, 2);
    assertMatch(
      stderr,
      /^error: .*1-of-2\/shard\.json: was written with other settings \(divergence is 8, not 9 as there\); choose/,
    );
    // The run itself agrees that nothing is left, and its journals then serve parts.
    assertEquals((await run(both)).code, 0);
    Deno.removeSync(`${out}/shards`, { recursive: true });
    assertEquals(await estimated(part("2/3")), {});
    const first = Deno.readTextFileSync(`${out}/nll.as-stored.kv-auto.tp1.jsonl`).split("\n");
    Deno.writeTextFileSync(`${out}/nll.as-stored.kv-auto.tp1.jsonl`, [...first.slice(0, 6), ""].join("\n"));
    assertEquals(await estimated(part("2/3")), { "evaluate kv auto": 9 });
  }),
);

Deno.test(
  "compare keeps a comparison of a version that kept no passages, and makes one again of which some are lost",
  inDirectory(async (dir, text) => {
    const out = `${dir}/out`, args = ["compare", "--text", text, ...SMALL, "--b", "kv=fp8", "--out", out];
    const at = (name: string) => `${out}/${name}`, read = (name: string) => Deno.readTextFileSync(at(name));
    const made = await run(args),
      files = ["results.json", "divergence.jsonl"].map(read),
      passages = read("samples.jsonl");
    assertEquals(made.code, 0, made.stderr);
    Deno.removeSync(at("samples.jsonl"));
    const kept = await run(args);
    assertEquals([kept.code, kept.stdout], [0, made.stdout]);
    assertMatch(kept.stderr, /^note: no samples\.html: an earlier version .* without .*\/divergence\.jsonl it is done/);
    assertEquals(["results.json", "divergence.jsonl"].map(read), files);
    const there = () => Array.from(Deno.readDirSync(out), ({ name }) => name).filter((name) => /^samples/.test(name));
    assertEquals(there(), []);
    assert(!read("report.html").includes("samples.html"));
    assertMatch((await run([...args, "--dry-run"])).stdout, /^nothing is left to compute/);
    // One that was cut off is not of an earlier version.
    Deno.writeTextFileSync(at("samples.jsonl"), `${passages.split("\n")[0]}\n`);
    assertMatch((await run([...args, "--dry-run"])).stdout, /\nlayer by layer +A and B/);
    const again = await run(args);
    assertEquals([again.code, again.stdout, read("samples.jsonl")], [0, made.stdout, passages]);
    assertMatch(again.stderr, /^note: .*\/samples\.jsonl has not all passages: comparing again\n/);
    // One that this version cannot read is none.
    Deno.removeSync(at("samples.jsonl"));
    Deno.writeTextFileSync(at("divergence.jsonl"), sealedJournal(files[1]!.replace('"alarm"', '"alarms"')));
    const other = await run(args);
    assertEquals([other.code, other.stdout, read("samples.jsonl")], [0, made.stdout, passages]);
  }),
);

Deno.test(
  "compare tells another comparison that it finds from its own",
  inDirectory(async (dir, text) => {
    const out = `${dir}/out`, args = ["compare", "--text", text, ...SMALL, "--out", out];
    const first = [...args, "--b", "kv=fp8"], other = [...args, "--b", "scheme=bf16"];
    const nothing = /^nothing is left to compute/;
    assertEquals((await run(first)).code, 0);
    assertMatch((await run([...first, "--dry-run"])).stdout, nothing);
    assertMatch((await run([...other, "--dry-run"])).stdout, /\nlayer by layer +A and B/);
    const replaced = await run(other);
    assertMatch(replaced.stderr, /^note: .*\/out has another comparison, which is replaced \(b\.[^\n]*\n/);
    assertMatch((await run([...other, "--dry-run"])).stdout, nothing);
    assertEquals((await run(other)).stderr.includes("note:"), false);
    await Deno.writeTextFile(`${out}/results.json`, "{}");
    assertMatch(
      (await run([...first, "--dry-run"])).stderr,
      /results\.json: expected results of mxoss compare, got another/,
    );
  }),
);
