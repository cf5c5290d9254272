/**
 * mxoss and llama.cpp on a machine with many cores that is ours for some minutes: both in turns on the whole shape, how
 * speed grows with threads, and the whole command `eval` beside the rates of its parts. What is measured is written
 * down at once, so that a run that is cut off leaves what it had.
 *
 *     deno run -A bench/peers/cores.ts --models DIR --out FILE [--bench llama-bench --batched llama-batched-bench]
 *         [--gguf FILE] [--main main.ts] [--threads 16] [--layers 24] [--seconds 500] [--data problems.jsonl]
 *         [--schemes w_mxfp4,w_mxfp4_a_mxfp4,w_mxfp4_a_fp8] [--parts turns,steps,threads,eval,start,large]
 *         [--shape gpt-oss-20b] [--tokenizer tokenizer.json]
 *
 * DIR holds the checkpoints of random weights, and they are written where they are not there: in memory (a tmpfs) they
 * are mapped like files in the page cache. Parts run in the order in which they are named, and one may be named again.
 * bench/peers/cores.sh runs it on a machine that has no Deno and no network.
 */
import { measureLimits } from "../../src/bench/limits.ts";
import type { Layout } from "../../src/checkpoint/random/layouts.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import type { Room } from "../../src/session/request.ts";
import type { Session } from "../../src/session/session.ts";
import { writeRandomCheckpoint } from "../../tools/random_checkpoint.ts";
import { machine } from "../machine.ts";
import { optionsOrEnd } from "../options.ts";
import { runCommand } from "./commands.ts";
import { coresOptions, type Part } from "./cores_options.ts";
import { decode, decodeQuarters, prefill } from "./rates.ts";
import type { Peer } from "./sides.ts";
import { output, peerBatches, peerRate, withSession as openSide } from "./sides.ts";

const { flags, counts, lists, chosen } = optionsOrEnd(coresOptions);
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

/** A session over a mapped checkpoint of random weights. */
function withSession(
  { layers, scheme, threads, room }: { layers: number; scheme: string; threads: number; room: Room },
  work: (session: Session) => Promise<void>,
): Promise<void> {
  const dir = checkpointOf(layers, "hf_mxfp4");
  const opened = (seconds: number) => note({ what: "open", scheme, threads, layers, seconds });
  return openSide({ dir, scheme, threads, room }, opened, work);
}

/** llama.cpp, if it is here. */
const peer = flags.gguf === undefined
  ? null
  : { bench: flags.bench!, batched: flags.batched!, gguf: flags.gguf, threads: all };

/** A turn of llama.cpp. */
async function theirs(round: number, peer: Peer): Promise<void> {
  const about = { who: "llama.cpp", round };
  // A prompt takes seconds, and the bench computes one before it.
  note({ what: "prefill", ...about, rate: await peerRate(peer, ["-p", `${PROMPT_TOKENS}`, "-n", "0"], 1) });
  const steps = ["-p", "0", "-n", `${STEPS}`, "-d", `${CONTEXT}`];
  note({ what: "decode", ...about, rate: await peerRate(peer, steps, 3) });
  for (const { sequences, rate } of await peerBatches(peer, CONTEXT, 8, BATCHES)) {
    note({ what: `batch ${sequences}`, ...about, rate });
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
    await prefill(session, CONTEXT, 1);
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
    if (peer !== null) await theirs(rounds, peer);
    for (const scheme of schemes) await ours(rounds, scheme);
    // Another round must leave a third of the time to the other parts.
    roundTook = (performance.now() - began) / 1000;
    if (left() - roundTook < seconds * 0.4) break;
  }
}

/**
 * Decoding alone, in longer turns than those of `turns`: one sequence, then each of the batches picked greedily, ours
 * and llama.cpp's by turns, every second round in the other order. Both have computed a prompt before, which starts
 * threads and maps the pages of nearly all experts. Of ours the median step of each quarter is noted, too, since the
 * number of threads is chosen in the second.
 */
async function steps(): Promise<void> {
  const count = counts.steps, room = { slots: 1, context: CONTEXT + count + 1 };
  const mine = async (round: number, scheme: string) => {
    const about = { who: "mxoss", scheme, round };
    await withSession({ layers: whole, scheme, threads: all, room }, async (session) => {
      await prefill(session, CONTEXT, 1);
      note({ what: "decode", ...about, ...await decodeQuarters(session, 1, CONTEXT, count) });
    });
    for (const sequences of BATCHES) {
      const batch = { slots: sequences, context: CONTEXT + 64 };
      await withSession({ layers: whole, scheme, threads: all, room: batch }, async (session) => {
        await prefill(session, CONTEXT, 1);
        note({ what: `batch ${sequences}`, ...about, ...await decodeQuarters(session, sequences, CONTEXT, 12, true) });
      });
    }
  };
  const peers = async (round: number, peer: Peer) => {
    const test = ["-p", "0", "-n", `${count}`, "-d", `${CONTEXT}`], about = { who: "llama.cpp", round };
    note({ what: "decode", ...about, rate: await peerRate(peer, test, 2) });
    for (const { sequences, rate } of await peerBatches(peer, CONTEXT, 12, BATCHES)) {
      note({ what: `batch ${sequences}`, ...about, rate });
    }
  };
  for (let round = 1, took = 0; round <= counts.rounds && left() > took; round++) {
    const began = performance.now();
    const sides = [
      ...(peer === null ? [] : [() => peers(round, peer)]),
      ...schemes.map((scheme) => () => mine(round, scheme)),
    ];
    for (const side of round % 2 === 0 ? sides.reverse() : sides) await side();
    took = (performance.now() - began) / 1000;
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

/**
 * The command `eval gsm8k`, whole, and what the same tokens would take at the rates of the session alone: with the log
 * probability of each reply, which takes all logits, and without.
 */
async function evaluation(): Promise<void> {
  const scheme = schemes[1] ?? schemes[0]!, sequences = 64;
  const room = { slots: sequences, context: CONTEXT + 64 };
  const rates = { prompts: 0, logits: 0, picks: 0 };
  await withSession({ layers: few, scheme, threads: all, room }, async (session) => {
    rates.prompts = (await prefill(session, 128, 5)).sort((a, b) => a - b)[2]!;
    rates.logits = await decode(session, sequences, CONTEXT, 8);
    rates.picks = await decode(session, sequences, CONTEXT, 8, true);
    note({ what: "rates for eval", scheme, sequences, ...rates });
  });
  for (let run = 0; run < counts.evals && left() > 30; run++) {
    for (const logprobs of ["keep", "none"] as const) {
      const { seconds, prompted, generated } = await evalRun(scheme, sequences, logprobs);
      const alone = prompted / rates.prompts + generated / rates[logprobs === "none" ? "picks" : "logits"];
      note({ what: "eval", scheme, logprobs, seconds, prompted, generated, alone, ratio: alone / seconds });
    }
  }
}

/** Seconds of the command, and tokens of its prompts and replies. */
async function evalRun(
  scheme: string,
  sequences: number,
  logprobs: "keep" | "none",
): Promise<{ readonly seconds: number; readonly prompted: number; readonly generated: number }> {
  const dir = checkpointOf(few, "hf_mxfp4"), out = await Deno.makeTempDir();
  if (flags.tokenizer !== undefined) Deno.copyFileSync(flags.tokenizer, `${dir}/tokenizer.json`);
  const args = ["run", "-A", "--no-config", "--no-lock", "--no-prompt", flags.main!, "eval", "gsm8k", "--model", dir];
  const sizes = ["--limit", flags.problems, "--max-tokens", flags.reply, "--sequences", `${sequences}`];
  const kind = ["--scheme", scheme, "--threads", `${all}`, "--prompt", "completion", "--logprobs", logprobs];
  const began = performance.now();
  await output(Deno.execPath(), [...args, "--data", flags.data!, ...sizes, ...kind, "--out", out]);
  const seconds = (performance.now() - began) / 1000;
  const file = [...Deno.readDirSync(out)].find(({ name }) => name.startsWith("answers"))!.name;
  const answers = Deno.readTextFileSync(`${out}/${file}`).trim().split("\n").map((line) => JSON.parse(line))
    .filter((line) => "promptTokens" in line) as { promptTokens: number; generatedTokens: number }[];
  const sum = (of: "promptTokens" | "generatedTokens") => answers.reduce((sum, answer) => sum + answer[of], 0);
  return { seconds, prompted: sum("promptTokens"), generated: sum("generatedTokens") };
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

const parts: Readonly<Record<Part, () => Promise<void>>> = {
  turns,
  steps,
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
