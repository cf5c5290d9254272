/**
 * mxoss and llama.cpp on a machine with many cores that is ours for some minutes: both in turns on the whole shape, how
 * speed grows with threads, and the whole command `eval` beside the rates of its parts. What is measured is written
 * down at once, so that a run that is cut off leaves what it had.
 *
 *     deno run -A bench/peers/cores.ts --models DIR --out FILE [--bench llama-bench --batched llama-batched-bench]
 *         [--gguf FILE] [--main main.ts] [--threads 16] [--layers 24] [--seconds 500] [--data problems.jsonl]
 *         [--schemes w_mxfp4,w_mxfp4_a_mxfp4,w_mxfp4_a_fp8] [--parts turns,threads,eval,start,large]
 *         [--shape gpt-oss-20b] [--tokenizer tokenizer.json]
 *
 * DIR holds the checkpoints of random weights, and they are written where they are not there: in memory (/dev/shm) they
 * are mapped like files in the page cache. Parts run in the order in which they are named, and one may be named again.
 * bench/peers/cores.sh runs it on a machine that has no Deno and no network.
 */
import { parseArgs } from "node:util";
import { measureLimits } from "../../src/bench/limits.ts";
import { collectGarbage } from "../../src/bench/garbage.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import type { Layout } from "../../src/checkpoint/random/layouts.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { missingScales } from "../../src/plan/planned.ts";
import { openSetting } from "../../src/session/open.ts";
import type { Room } from "../../src/session/request.ts";
import type { Session } from "../../src/session/session.ts";
import { DEFAULTS, planSetting } from "../../src/session/setting.ts";
import { writeRandomCheckpoint } from "../../tools/random_checkpoint.ts";
import { machine } from "../machine.ts";
import { choicesOf, countOf, countsOf, optionsOrEnd } from "../options.ts";
import { runCommand } from "./commands.ts";
import { decode, prefill } from "./rates.ts";

/** Parts, in the order of the file. */
const PARTS = ["turns", "threads", "eval", "start", "large"] as const;

const { flags, counts, lists, chosen } = optionsOrEnd(() => {
  const { values: flags } = parseArgs({
    options: {
      models: { type: "string", default: "/dev/shm" },
      out: { type: "string", default: "/tmp/cores.json" },
      bench: { type: "string" },
      batched: { type: "string" },
      gguf: { type: "string" },
      main: { type: "string" },
      shape: { type: "string", default: "gpt-oss-20b" },
      threads: { type: "string", default: `${navigator.hardwareConcurrency}` },
      counts: { type: "string", default: "1,2,4,8,16" },
      layers: { type: "string", default: "24" },
      few: { type: "string", default: "4" },
      seconds: { type: "string", default: "500" },
      rounds: { type: "string", default: "9" },
      starts: { type: "string", default: "7" },
      data: { type: "string" },
      problems: { type: "string", default: "128" },
      evals: { type: "string", default: "2" },
      reply: { type: "string", default: "48" },
      deep: { type: "string", default: "8192" },
      batches: { type: "string", default: "32,64" },
      large: { type: "string", default: "36" },
      tokenizer: { type: "string" },
      schemes: { type: "string", default: "w_mxfp4,w_mxfp4_a_mxfp4,w_mxfp4_a_fp8" },
      parts: { type: "string", default: "turns,threads,eval" },
    },
  });
  type Count =
    | "threads"
    | "layers"
    | "few"
    | "seconds"
    | "rounds"
    | "starts"
    | "problems"
    | "evals"
    | "reply"
    | "large";
  const count = (name: Count) => countOf(`--${name}`, flags[name]);
  const list = (name: "counts" | "deep" | "batches") => countsOf(`--${name}`, flags[name]);
  return {
    flags,
    counts: {
      ...{ threads: count("threads"), layers: count("layers"), few: count("few"), large: count("large") },
      ...{ seconds: count("seconds"), rounds: count("rounds"), starts: count("starts"), evals: count("evals") },
      ...{ problems: count("problems"), reply: count("reply") },
    },
    lists: { counts: list("counts"), deep: list("deep"), batches: list("batches") },
    chosen: choicesOf("--parts", flags.parts, PARTS),
  };
});
const started = performance.now(), { threads: all, seconds } = counts, schemes = flags.schemes.split(",");
/** Layers of the whole shape, and of what is measured on fewer of them. */
const { layers: whole, few } = counts;
const CONTEXT = 128, PROMPT_TOKENS = 512, DEEP = lists.deep, STEPS = 16;
const PROMPT = "Tom has 12 apples. He buys 30 more. How many has he now?";
const BATCHES = lists.batches;

const left = (): number => seconds - (performance.now() - started) / 1000;
const found: Record<string, unknown>[] = [];
/** Notes a figure, and all of them in the file. */
function note(figure: Record<string, unknown>): void {
  found.push({ at: Math.round((performance.now() - started) / 100) / 10, ...figure });
  console.log(JSON.stringify(found.at(-1)));
  Deno.writeTextFileSync(flags.out, `${JSON.stringify({ machine: machine(), flags, found }, null, 1)}\n`);
}

function checkpointOf(layers: number, layout: Layout, name = flags.shape): string {
  const dir = `${flags.models}/${name}-${layers}-${layout}`, shape = SHAPES[name as keyof typeof SHAPES];
  try {
    Deno.statSync(`${dir}/config.json`);
  } catch {
    const began = performance.now(), bytes = writeRandomCheckpoint(dir, { shape: { ...shape, layers }, layout });
    note({ what: "wrote", dir, bytes, seconds: (performance.now() - began) / 1000 });
  }
  return dir;
}

/** A session over a mapped checkpoint; closed when the work is done. */
async function withSession(
  { layers, scheme, threads, room }: { layers: number; scheme: string; threads: number; room: Room },
  work: (session: Session) => Promise<void>,
): Promise<void> {
  const began = performance.now();
  const checkpoint = openCheckpoint(checkpointOf(layers, "hf_mxfp4"), {});
  const linears = scheme.endsWith("_a_fp8") ? { scales: missingScales(checkpoint), from: "one" } : null;
  const setting = planSetting({ ...DEFAULTS, checkpoint, scheme, threads, inputScales: linears });
  const session = await openSetting(setting, room);
  note({ what: "open", scheme, threads, layers, seconds: (performance.now() - began) / 1000 });
  try {
    await work(session);
  } finally {
    await session.close();
    await collectGarbage();
  }
}

const output = async (command: string, args: readonly string[]): Promise<string> => {
  const { success, code, stdout, stderr } = await new Deno.Command(command, { args: [...args], stdin: "null" })
    .output();
  if (!success) throw new Error(`${command}: exit code ${code}\n${new TextDecoder().decode(stderr).slice(-2000)}`);
  return new TextDecoder().decode(stdout);
};

/** A turn of llama.cpp. */
async function theirs(round: number): Promise<void> {
  const common = ["-m", flags.gguf!, "-ngl", "0", "-t", `${all}`];
  const tests = { prefill: ["-p", `${PROMPT_TOKENS}`, "-n", "0"], decode: ["-p", "0", "-n", "16", "-d", `${CONTEXT}`] };
  for (const [what, test] of Object.entries(tests)) {
    // A prompt takes seconds, and the bench computes one before it.
    const runs = what === "prefill" ? "1" : "3";
    const json = await output(flags.bench!, [...common, ...test, "-r", runs, "-o", "json"]);
    note({ what, who: "llama.cpp", round, rate: (JSON.parse(json) as { readonly avg_ts: number }[])[0]!.avg_ts });
  }
  // One prompt for all: otherwise it would be computed for each.
  const sizes = ["-c", "10240", "-npp", `${CONTEXT}`, "-ntg", "8", "-npl", BATCHES.join(","), "-pps"];
  const lines = (await output(flags.batched!, [...common, ...sizes, "--output-format", "jsonl"])).split("\n");
  for (const line of lines.filter((line) => line.startsWith("{"))) {
    const { pl, speed_tg } = JSON.parse(line) as { readonly pl: number; readonly speed_tg: number };
    note({ what: `batch ${pl}`, who: "llama.cpp", round, rate: speed_tg });
  }
}

/** A turn of ours, with one scheme. */
async function ours(round: number, scheme: string): Promise<void> {
  const about = { who: "mxoss", scheme, round };
  await withSession(
    { layers: whole, scheme, threads: all, room: { slots: 1, context: Math.max(PROMPT_TOKENS, ...DEEP) + 64 } },
    async (session) => {
      for (const rate of await prefill(session, PROMPT_TOKENS, 1)) note({ what: "prefill", ...about, rate });
      for (let turn = 0; turn < 2; turn++) {
        note({ what: "decode", ...about, rate: await decode(session, 1, CONTEXT, STEPS) });
        for (const deep of DEEP) note({ what: `deep ${deep}`, ...about, rate: await decode(session, 1, deep, STEPS) });
      }
    },
  );
  const room = { slots: Math.max(...BATCHES), context: CONTEXT + 64 };
  await withSession({ layers: whole, scheme, threads: all, room }, async (session) => {
    for (const sequences of BATCHES) {
      const run = (picks: boolean) => decode(session, sequences, CONTEXT, 5, picks);
      note({ what: `batch ${sequences}`, ...about, rate: await run(false), picked: await run(true) });
    }
  });
}

/** Rounds of turns so far, in all parts of that name, and the seconds of the last one. */
let rounds = 0, roundTook = 0;

async function turns(): Promise<void> {
  for (let i = 0; i < counts.rounds; i++) {
    if (left() < roundTook) return note({ what: "no time", part: "turns", left: left() });
    const began = performance.now();
    rounds++;
    if (flags.gguf !== undefined) await theirs(rounds);
    for (const scheme of schemes) await ours(rounds, scheme);
    // Another round must leave a third of the time to the other parts.
    roundTook = (performance.now() - began) / 1000;
    if (left() - roundTook < seconds * 0.4) break;
  }
}

async function threads(): Promise<void> {
  for (const scheme of schemes.slice(0, 2)) {
    for (const count of lists.counts) {
      if (left() < 15) return;
      const { read, float32, int8 } = await measureLimits(count);
      note({ what: "limits", threads: count, read: read.median, float32: float32.median, int8: int8.median });
      const room = { slots: 1, context: 512 };
      await withSession({ layers: few, scheme, threads: count, room }, async (session) => {
        const about = { who: "mxoss", scheme, threads: count, layers: few };
        for (const rate of await prefill(session, 256, count >= 4 ? 3 : 1)) {
          note({ what: "prefill 256", ...about, rate });
        }
        for (let i = 0; i < 3; i++) {
          note({ what: "decode", ...about, rate: await decode(session, 1, CONTEXT, STEPS) });
        }
      });
    }
  }
}

/** The command `eval gsm8k`, whole, and what the same tokens would take at the rates of the session alone. */
async function evaluation(): Promise<void> {
  const scheme = schemes[1] ?? schemes[0]!, sequences = 64, maxTokens = flags.reply, limit = flags.problems;
  const room = { slots: sequences, context: CONTEXT + 64 };
  let prompts = 0, batch = 0;
  await withSession({ layers: few, scheme, threads: all, room }, async (session) => {
    const runs = await prefill(session, 128, 5);
    prompts = runs.sort((a, b) => a - b)[2]!;
    batch = await decode(session, sequences, CONTEXT, 8);
    note({ what: "rates for eval", scheme, prefill: prompts, [`batch ${sequences}`]: batch });
  });
  const dir = checkpointOf(few, "hf_mxfp4");
  if (flags.tokenizer !== undefined) Deno.copyFileSync(flags.tokenizer, `${dir}/tokenizer.json`);
  for (let run = 0; run < counts.evals && left() > 30; run++) {
    const out = await Deno.makeTempDir();
    const args = ["run", "-A", "--no-config", "--no-lock", "--no-prompt", flags.main!, "eval", "gsm8k", "--model", dir];
    const sizes = ["--limit", limit, "--max-tokens", maxTokens, "--sequences", `${sequences}`];
    const kind = ["--scheme", scheme, "--threads", `${all}`, "--prompt", "completion", "--out", out];
    const began = performance.now();
    await output(Deno.execPath(), [...args, "--data", flags.data!, ...sizes, ...kind]);
    const seconds = (performance.now() - began) / 1000;
    const file = [...Deno.readDirSync(out)].find(({ name }) => name.startsWith("answers"))!.name;
    const answers = Deno.readTextFileSync(`${out}/${file}`).trim().split("\n").map((line) => JSON.parse(line))
      .filter((line) => "promptTokens" in line) as { promptTokens: number; generatedTokens: number }[];
    const prompted = answers.reduce((sum, answer) => sum + answer.promptTokens, 0);
    const generated = answers.reduce((sum, answer) => sum + answer.generatedTokens, 0);
    const alone = prompted / prompts + generated / batch;
    note({ what: "eval", scheme, seconds, prompted, generated, alone, ratio: alone / seconds });
  }
}

/** From the command to the first token: of the whole shape in the page cache, and of the embedded model. */
async function start(): Promise<void> {
  const dir = checkpointOf(whole, "hf_mxfp4");
  if (flags.tokenizer !== undefined) Deno.copyFileSync(flags.tokenizer, `${dir}/tokenizer.json`);
  const commands = {
    [dir]: ["--model", dir, "--raw", "--max-tokens", "1", "--threads", `${all}`, PROMPT],
    embedded: ["--max-tokens", "1", PROMPT],
  };
  // The first run of each fills caches.
  for (let i = 0; i <= counts.starts; i++) {
    for (const [model, args] of Object.entries(commands)) {
      const { first, whole } = await runCommand(flags.main!, args);
      note({ what: i === 0 ? "first start" : "start", model, first, whole });
    }
  }
  await memoryOf(dir);
}

async function memoryOf(dir: string): Promise<void> {
  const args = ["--model", dir, "--raw", "--max-tokens", "32", "--threads", `${all}`, "--stats", PROMPT];
  const { memory, stderr, whole } = await runCommand(flags.main!, args, true);
  note({ what: "memory", model: dir, whole, ...memory, stderr });
}

/** gpt-oss-120b's shape from the page cache; it is deleted afterwards. */
async function large(): Promise<void> {
  const dir = checkpointOf(counts.large, "hf_mxfp4", "gpt-oss-120b");
  for (let run = 0; run < 2; run++) await memoryOf(dir);
  Deno.removeSync(dir, { recursive: true });
}

const parts: Readonly<Record<typeof PARTS[number], () => Promise<void>>> = {
  turns,
  threads,
  eval: evaluation,
  start,
  large,
};
note({ what: "machine", machine: machine(), load: Deno.loadavg()[0] });
for (const part of chosen) {
  // What a part needs at least, in seconds.
  if (left() < (part === "large" ? 60 : 20)) {
    note({ what: "no time", part, left: left() });
    continue;
  }
  try {
    await parts[part]();
  } catch (thrown) {
    note({ what: "failed", part, error: String(thrown) });
  }
}
Deno.exit(0);
