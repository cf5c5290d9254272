/**
 * mxoss and llama.cpp on a machine with many cores that is ours for some minutes: both in turns on the whole shape, how
 * speed grows with threads, and the whole command `eval` beside the rates of its parts. What is measured is written
 * down at once, so that a run that is cut off leaves what it had.
 *
 *     deno run -A bench/peers/cores.ts --models DIR --out FILE [--bench llama-bench --batched llama-batched-bench]
 *         [--gguf FILE] [--main main.ts] [--threads 16] [--layers 24] [--seconds 500] [--data problems.jsonl]
 *         [--schemes w_mxfp4,w_mxfp4_a_mxfp4,w_mxfp4_a_fp8] [--parts turns,threads,eval] [--shape gpt-oss-20b]
 *
 * DIR holds the checkpoints of random weights, and they are written where they are not there: in memory (/dev/shm) they
 * are mapped like files in the page cache. bench/cores.sh runs it on a machine that has no Deno and no network.
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
    data: { type: "string" },
    problems: { type: "string", default: "128" },
    reply: { type: "string", default: "48" },
    deep: { type: "string", default: "8192" },
    schemes: { type: "string", default: "w_mxfp4,w_mxfp4_a_mxfp4,w_mxfp4_a_fp8" },
    parts: { type: "string", default: "turns,threads,eval" },
  },
});
const started = performance.now(), all = Number(flags.threads), schemes = flags.schemes.split(",");
/** Layers of the whole shape, and of what is measured on fewer of them. */
const whole = Number(flags.layers), few = Number(flags.few);
const CONTEXT = 128, PROMPT = 512, DEEP = Number(flags.deep), STEPS = 16;
const BATCHES = [32, 64];
const shape = SHAPES[flags.shape as keyof typeof SHAPES];

const left = (): number => Number(flags.seconds) - (performance.now() - started) / 1000;
const found: Record<string, unknown>[] = [];
/** Notes a figure, and all of them in the file. */
function note(figure: Record<string, unknown>): void {
  found.push({ at: Math.round((performance.now() - started) / 100) / 10, ...figure });
  console.log(JSON.stringify(found.at(-1)));
  Deno.writeTextFileSync(flags.out, `${JSON.stringify({ machine: machine(), flags, found }, null, 1)}\n`);
}

function checkpointOf(layers: number, layout: Layout): string {
  const dir = `${flags.models}/${flags.shape}-${layers}-${layout}`;
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

const tokenAt = (session: Session, i: number): number => (i * 7919 + 13) % session.limits.vocab;

/** Tokens per second of prompts of so many tokens, `runs` times after a short one. */
async function prefill(session: Session, tokens: number, runs: number): Promise<number[]> {
  const ids = Array.from({ length: tokens }, (_, i) => tokenAt(session, i));
  const run = async (count: number) => {
    session.reset(0);
    const began = performance.now();
    await session.feed({ slot: 0, tokens: ids.slice(0, count), logits: "last" });
    return 1000 * count / (performance.now() - began);
  };
  await run(Math.min(tokens, 64));
  const rates: number[] = [];
  while (rates.length < runs) rates.push(await run(tokens));
  return rates;
}

/** Tokens per second of steps that decode one token of each of so many sequences: the median step. */
async function decode(session: Session, sequences: number, context: number, steps: number): Promise<number> {
  for (let slot = 0; slot < sequences; slot++) {
    session.reset(slot);
    await session.pretend(slot, context);
  }
  const times: number[] = [];
  for (let i = 0; i <= steps; i++) {
    const entries = Array.from({ length: sequences }, (_, slot) => ({
      slot,
      token: tokenAt(session, i * sequences + slot),
    }));
    const began = performance.now();
    await session.step(entries, () => {});
    times.push(performance.now() - began);
  }
  const sorted = times.slice(1).sort((a, b) => a - b);
  return 1000 * sequences / sorted[sorted.length >> 1]!;
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
  for (
    const [what, test] of [["prefill", ["-p", `${PROMPT}`, "-n", "0"]], ["decode", ["-p", "0", "-n", "16"]]] as const
  ) {
    const depth = what === "decode" ? ["-d", `${CONTEXT}`] : [];
    const json = await output(flags.bench!, [...common, ...test, ...depth, "-r", "1", "-o", "json"]);
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
    { layers: whole, scheme, threads: all, room: { slots: 1, context: DEEP + 64 } },
    async (session) => {
      for (const rate of await prefill(session, PROMPT, 1)) note({ what: "prefill", ...about, rate });
      for (let turn = 0; turn < 2; turn++) {
        note({ what: "decode", ...about, rate: await decode(session, 1, CONTEXT, STEPS) });
        note({ what: "deep", ...about, rate: await decode(session, 1, DEEP, STEPS) });
      }
    },
  );
  const room = { slots: Math.max(...BATCHES), context: CONTEXT + 64 };
  await withSession({ layers: whole, scheme, threads: all, room }, async (session) => {
    for (const sequences of BATCHES) {
      note({ what: `batch ${sequences}`, ...about, rate: await decode(session, sequences, CONTEXT, 3) });
    }
  });
}

async function turns(): Promise<void> {
  for (let round = 1; round <= Number(flags.rounds); round++) {
    const began = performance.now();
    if (flags.gguf !== undefined) await theirs(round);
    for (const scheme of schemes) await ours(round, scheme);
    // Another round must leave a third of the time to the other parts.
    const took = (performance.now() - began) / 1000;
    if (left() - took < Number(flags.seconds) * 0.4) break;
  }
}

async function threads(): Promise<void> {
  for (const scheme of schemes.slice(0, 2)) {
    for (const count of flags.counts.split(",").map(Number)) {
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
  for (let run = 0; run < 2 && left() > 30; run++) {
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

const parts: Readonly<Record<string, () => Promise<void>>> = { turns, threads, eval: evaluation };
note({ what: "machine", machine: machine(), load: Deno.loadavg()[0] });
for (const part of flags.parts.split(",")) {
  try {
    await parts[part]!();
  } catch (thrown) {
    note({ what: "failed", part, error: String(thrown) });
  }
}
Deno.exit(0);
