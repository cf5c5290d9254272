/** `mxoss eval --shard`: parts that several processes answer are the one run that would have answered all. */
import { chosenShard, dividesProcesses } from "../../src/cli/eval/shard.ts";
import { InputError } from "../../src/errors.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { sealedNote } from "../eval/reseal.ts";
import { SOAK } from "../soak.ts";
import { inProcess as run } from "./in_process.ts";

const TEXT = "<|start|>user<|message|>Wen has 14 peaches. Ben has 8 fewer than Wen. How many do they have?<|end|>";
const PROBLEMS = new URL("../goldens/word-problems.jsonl", import.meta.url).pathname;

const contents = (dir: string) =>
  ["results.json", "report.html", "samples.html"].map((name) => Deno.readTextFileSync(`${dir}/${name}`));

async function done(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(args);
  assertEquals(code, 0, stderr);
  return stdout;
}

/** Files of attempts in a part, by the kind of what they hold. */
function journals(dir: string): string[] {
  return Array.from(Deno.readDirSync(dir), ({ name }) => name).filter((name) => name.endsWith(".jsonl")).sort();
}

Deno.test("parts of a run, repeated, cut off and overlapping, give its results byte for byte", async () => {
  using dir = new TemporaryDirectory();
  const at = (name: string) => `${dir.path}/${name}`;
  Deno.writeTextFileSync(at("text.txt"), TEXT.repeat(2));
  const args = ["eval", "perplexity", "--text", at("text.txt"), "--sequence-length", "3", "--limit", "36"];
  const how = ["--threads", "1", "--kv-cache-dtype", "auto,fp8", "--divergence", "9"];
  const printed = await done([...args, ...how, "--out", at("one")]);
  const part = (shard: string) => done([...args, ...how, "--out", at("parts"), "--shard", shard]);
  assertMatch(await part("1/4"), /part 1\/4 is done; when all are, mxoss report .*parts gives the results\n/);
  await part("4/4");

  const report = () => run(["report", at("parts"), "--out", at("joined")]);
  const missing = await report();
  assertEquals(missing.code, 2);
  // The first part compares layers, so it takes the eight sequences of that, and the second has nothing to add.
  assertMatch(
    missing.stderr,
    /^mxoss eval perplexity --text .* --divergence 9 --out .* --shard 3\/4 {2}# 2 of 3 done\n/,
  );
  assertMatch(missing.stderr, /\nerror: DIR: 1 of 4 parts is not finished \(1 sequence left\): .* --shard 3\/4\n$/);
  assertEquals(journals(at("parts/shards/1-of-4")).map((name) => name.split(".")[0]), [
    "divergence",
    "nll",
    "nll",
    "predictions",
    "worst",
  ]);
  // One of another division gives what is missing, and takes what is there.
  await part("1/1");
  assertEquals(await done(["report", at("parts"), "--out", at("joined")]), printed);
  assertEquals(contents(at("joined")), contents(at("one")));

  // Of more parts than sequences several begin at the first one.
  await part("6/64");
  const kinds = new Set(journals(at("parts/shards/6-of-64")).map((name) => name.split(".")[0]));
  assert(kinds.has("nll") && !kinds.has("divergence"), [...kinds].join());
  Deno.removeSync(at("parts/shards/6-of-64"), { recursive: true });

  // An attempt that was cut off, and another one after it.
  Deno.removeSync(at("parts/shards/1-of-1"), { recursive: true });
  await part("3/4");
  const torn = `${at("parts/shards/3-of-4")}/${journals(at("parts/shards/3-of-4"))[0]!}`;
  const bytes = Deno.readFileSync(torn);
  Deno.writeFileSync(torn.replace(/[0-9a-f]{16}(?=\.jsonl$)/, "a".repeat(16)), bytes.subarray(0, bytes.length - 9));
  Deno.removeSync(torn);
  assertMatch((await report()).stderr, /--shard 3\/4 {2}# 2 of 3 done\n/);
  await part("3/4");
  assertEquals(journals(at("parts/shards/3-of-4")).filter((name) => name.startsWith("nll")).length, 3);
  await part("2/4");
  assertEquals(await done(["report", ...[3, 1, 4, 2].map((i) => at(`parts/shards/${i}-of-4`))]), printed);
  assertEquals(await done(["report", at("parts"), "--json"]), Deno.readTextFileSync(at("one/results.json")));
  // The same command without a part takes all answers, and gives all files.
  assertEquals(await done([...args, ...how, "--out", at("parts")]), printed);
  assertEquals(contents(at("parts")), contents(at("one")));
  assertEquals(await done(["report", at("parts"), at("one")]), printed);

  const other = await run([...args, "--threads", "1", "--out", at("parts"), "--shard", "2/4"]);
  assertEquals(other.code, 2);
  assertMatch(
    other.stderr,
    /shard\.json: was written with other settings \(order is "[^"]*", not "[^"]* [^"]*" as there\); choose/,
  );
  const shorter = await run([...args, ...how, "--limit=35", "--out", at("parts"), "--shard=1/4"].toSpliced(6, 2));
  assertMatch(shorter.stderr, /error: .*results\.json: was written with other settings \(tokens was 36, is 35\)/);
  const note = Deno.readTextFileSync(at("parts/shards/2-of-4/shard.json"));
  Deno.writeTextFileSync(at("parts/shards/2-of-4/shard.json"), note.replace('"alarm": 0.01', '"alarm": 0.5'));
  Deno.removeSync(at("parts/results.json"));
  assertMatch(
    (await report()).stderr,
    /2-of-4\/shard\.json: is damaged: expected checksum "[0-9a-f]{8}", got "[0-9a-f]{8}"; remove it, and run/,
  );
  Deno.writeTextFileSync(at("parts/shards/2-of-4/shard.json"), sealedNote(note.replace("0.01", "0.5")));
  assertMatch((await report()).stderr, /2-of-4\/shard\.json: alarm is 0\.5, not 0\.01 as in .*1-of-4\n/);
});

/** Every part reads the words of the vocabulary anew. */
const COSTLY = SOAK ? "" : " (skipped but in deno task test:soak: takes seconds)";

Deno.test({
  name: `parts of word problems join where predictions decide how many are enough${COSTLY}`,
  ignore: !SOAK,
  fn: async () => {
    using dir = new TemporaryDirectory();
    const args = ["eval", "gsm8k", "--data", PROBLEMS, "--limit", "5", "--max-tokens", "4", "--threads", "1"];
    const how = [...args, "--shots", "1", "--scheme", "w_mxfp4,w_mxfp4_a_mxfp4", "--divergence", "auto"];
    const printed = await done([...how, "--out", `${dir.path}/one`]);
    for (const shard of ["2/2", "1/2"]) await done([...how, "--out", `${dir.path}/parts`, "--shard", shard]);
    assertEquals(await done(["report", `${dir.path}/parts`, "--out", `${dir.path}/joined`]), printed);
    assertEquals(contents(`${dir.path}/joined`), contents(`${dir.path}/one`));
  },
});

Deno.test("a part is found by itself only where its results cannot be lost or taken for the whole", () => {
  using dir = new TemporaryDirectory();
  const srun = new Map(Object.entries({ SLURM_STEP_ID: "0", SLURM_STEP_NUM_TASKS: "8", SLURM_PROCID: "2" }));
  const alone = new Map(Object.entries({ SLURM_STEP_ID: "0", SLURM_STEP_NUM_TASKS: "1", SLURM_PROCID: "0" }));
  const chosen = (options: Parameters<typeof chosenShard>[0], variables = srun) =>
    chosenShard(options, (name) => variables.get(name));
  const out = dir.path, none = new Map<string, string>();
  assertEquals(chosen({ out }), { number: 3, of: 8, from: "Slurm task 2" });
  assertEquals(chosen({ out, shard: "auto" }), { number: 3, of: 8, from: "Slurm task 2" });
  assertEquals(chosen({ out, shard: { number: 2, of: 3 } }), { number: 2, of: 3, from: "as --shard says" });
  assertEquals(chosen({ shard: "none" }), null);
  assertEquals(chosen({}, none), null);
  assertEquals(chosen({ out }, alone), null);
  assertEquals(chosen({ "dry-run": true })?.number, 3);
  // Processes share a model, rather than problems, where the part is another's affair.
  const divided = (options: Parameters<typeof dividesProcesses>[0], variables = srun) =>
    dividesProcesses(options, [], (name) => variables.get(name));
  assertEquals(divided({}), true);
  assertEquals(divided({ shard: "auto" }), true);
  assertEquals(divided({ shard: "none" }), false);
  assertEquals(divided({ shard: { number: 1, of: 2 } }), false);
  assertEquals(divided({}, new Map([...srun, ["SLURM_ARRAY_TASK_ID", "4"]])), false);
  const refused = (line: RegExp, ...args: Parameters<typeof chosen>) => {
    const { message } = assertThrows(() => chosen(...args), InputError);
    assertMatch(message, line);
  };
  refused(
    /^--out: expected a directory that all parts share, .*is part 3\/8 \(Slurm task 2\), got none; .*processes share/,
    {},
  );
  refused(/^--json: expected a run that answers everything, got part 3\/8 \(Slurm task 2\)$/, { out, json: true });
  refused(/^--export: expected a run that answers everything, got part 1\/2/, {
    ...{ out, export: "lm-eval" },
    shard: { number: 1, of: 2 },
  });
  refused(/^--shard auto: expected a Slurm job array or step, .*, got none of them$/, { out, shard: "auto" }, none);
  // One task that is repeated alone does not begin a run of its own among the parts of another.
  Deno.mkdirSync(`${out}/shards/1-of-8`, { recursive: true });
  refused(
    /^--out: .*: expected one of 8 parts, as those that are there; give --shard I\/N.*got part 1\/1/,
    { out },
    alone,
  );
  assertEquals(chosen({ out })?.of, 8);
  assert(chosen({ out, shard: { number: 1, of: 1 } }, alone) !== null);
});
