/**
 * mxoss beside llama.cpp on a machine that others use as well: one thread of each, in turns, by processor time.
 *
 *     deno run -A bench/peers/processor_time.ts [--layers 4] [--rounds 3] [--schemes w_mxfp4,w_mxfp4_a_mxfp4]
 *         [--prompt 128] [--input-scale 1] [--dir .cache/peers]
 *
 * `--input-scale` is the static scale of FP8 inputs: one that is no power of two, as checkpoints have them, makes them
 * as many digits long as bf16 numbers.
 *
 * Threads that wait for each other, and the memory that cores share, are left out: bench/peers/llama.ts measures those,
 * on an idle machine. Of llama.cpp the difference counts between runs of few and of many repetitions, which leaves its
 * start out; of mxoss the thread's own time, after a first prompt and token, or steps of a batch. Tokens of one
 * sequence are decoded at the beginning of a context, those of 32 after 128 positions; of mxoss also those of one after
 * 8,192. A batch of mxoss is picked greedily, and once more with all logits. Linux, with GNU time.
 */
import { parseArgs } from "node:util";
import { intervalText, medianText, spreadOf } from "../../src/bench/spread.ts";
import { randomCheckpoint } from "../../src/checkpoint/random/checkpoint.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { InputError } from "../../src/errors.ts";
import { missingScales } from "../../src/plan/planned.ts";
import { feedOf } from "../../src/session/batch.ts";
import { pickGreedily } from "../../src/session/greedy.ts";
import { openSetting } from "../../src/session/open.ts";
import type { Room } from "../../src/session/request.ts";
import type { Session } from "../../src/session/session.ts";
import { DEFAULTS, planSetting } from "../../src/session/setting.ts";
import { collectGarbage } from "../../src/bench/garbage.ts";
import { machine } from "../machine.ts";
import { countOf, inputScaleOf } from "../options.ts";
import { buildPeer, makeModel, type Peer, PeerError } from "./build.ts";

const PROMPT = 128, DECODED = 6, BATCH = 32, DEEP = 8192;
/** Repetitions of the peer's shorter and longer runs, and tokens that one decodes. */
const FEW = 1, MANY = 3, PEER_DECODED = 4;
/** Steps of a batch that mxoss makes. */
const STEPS = 3;

/** Tokens per second of processor time. */
interface Rates {
  readonly prefill: number;
  readonly decode: number;
  /** Of all sequences of a batch. */
  readonly batch: number;
}
/** Those of mxoss. */
interface OwnRates extends Rates {
  /** One sequence, at the end of a long context. */
  readonly deep: number;
  /** Of all sequences of a batch whose logits are all computed, as llama.cpp does; `batch` is picked greedily. */
  readonly batchLogits: number;
}

/** User time of a run of the peer, in seconds. */
async function userTime(program: string, args: readonly string[]): Promise<number> {
  const command = new Deno.Command("/usr/bin/time", { args: ["-f", "%U user", program, ...args], stdin: "null" });
  const { success, stderr } = await command.output(), said = new TextDecoder().decode(stderr);
  const seconds = /^([\d.]+) user$/m.exec(said)?.[1];
  if (!success || seconds === undefined) throw new PeerError(`${program}: ${said}`);
  return Number(seconds);
}

async function theirs({ bench, batchedBench }: Peer, model: string, prompt: number): Promise<Rates> {
  const common = ["-m", model, "-ngl", "0", "-t", "1", "--no-warmup"];
  const perToken = async (test: readonly string[], tokens: number) => {
    const few = await userTime(bench, [...common, ...test, "-r", `${FEW}`]);
    return (await userTime(bench, [...common, ...test, "-r", `${MANY}`]) - few) / ((MANY - FEW) * tokens);
  };
  // One prompt for all sequences: otherwise it would be computed for each.
  const sizes = ["-c", `${BATCH * (PROMPT + PEER_DECODED * MANY)}`, "-npp", `${PROMPT}`, "-npl", `${BATCH}`, "-pps"];
  const batched = (steps: number) =>
    userTime(batchedBench, ["-m", model, "-ngl", "0", "-t", "1", ...sizes, "-ntg", `${steps}`]);
  const steps = (MANY - FEW) * PEER_DECODED;
  const few = await batched(FEW * PEER_DECODED), many = await batched(MANY * PEER_DECODED);
  return {
    prefill: 1 / await perToken(["-p", `${prompt}`, "-n", "0"], prompt),
    decode: 1 / await perToken(["-p", "0", "-n", `${PEER_DECODED}`], PEER_DECODED),
    batch: BATCH * steps / (many - few),
  };
}

/** Processor time of this thread, in seconds. */
const threadTime = () => Number(Deno.readTextFileSync("/proc/thread-self/schedstat").split(" ")[0]) / 1e9;

/** What of mxoss is measured. */
interface Own {
  readonly layers: number;
  readonly scheme: string;
  /** Static scale of FP8 inputs. */
  readonly scale: number;
}

/** A session of one thread over random weights. */
function sessionOf({ layers, scheme, scale }: Own, room: Room): Promise<Session> {
  const checkpoint = randomCheckpoint({ shape: { ...SHAPES["gpt-oss-20b"], layers }, layout: "hf_mxfp4" });
  const scales = new Map([...missingScales(checkpoint).keys()].map((module) => [module, scale]));
  const inputScales = scheme.endsWith("_a_fp8") ? { scales, from: "--input-scale" } : null;
  return openSetting(planSetting({ ...DEFAULTS, checkpoint, scheme, inputScales, threads: 1 }), room);
}

async function ours(own: Own, length: number): Promise<OwnRates> {
  const session = await sessionOf(own, { slots: 1, context: DEEP + 2 * length });
  const ids = idsOf(session, length);
  const prompt = (tokens: readonly number[]) => {
    session.reset(0);
    return session.feed({ slot: 0, tokens, logits: "last" });
  };
  const step = (token: number) => session.step([{ slot: 0, token }], () => {});
  await prompt(ids.slice(0, Math.ceil(length / 4)));
  const prefill = length / await timed(() => prompt(ids));
  session.reset(0);
  await step(5);
  const decoded = async () => {
    for (let i = 0; i < DECODED; i++) await step(ids[i]!);
  };
  const decode = DECODED / await timed(decoded);
  await session.pretend(0, DEEP);
  await step(5);
  const deep = DECODED / await timed(decoded);
  await session.close();
  await collectGarbage();
  return { prefill, decode, deep, ...await batchOf(own) };
}

/** Tokens per second of many sequences. */
async function batchOf(own: Own): Promise<Pick<OwnRates, "batch" | "batchLogits">> {
  const session = await sessionOf(own, { slots: BATCH, context: 2 * PROMPT });
  for (let slot = 0; slot < BATCH; slot++) await session.pretend(slot, PROMPT);
  const ids = idsOf(session, PROMPT);
  const steps = async (logits: boolean) => {
    for (let step = 0; step < STEPS; step++) {
      const entries = Array.from({ length: BATCH }, (_, slot) => ({ slot, token: ids[slot * (step + 1) % PROMPT]! }));
      await (logits ? session.step(entries, () => {}) : pickGreedily(session, entries.map(feedOf), () => {}));
    }
  };
  const rateOf = async (logits: boolean) => {
    // Beside other programs V8 takes several steps to replace its first, slow code.
    await steps(logits);
    return BATCH * STEPS / await timed(() => steps(logits));
  };
  const batch = await rateOf(false), batchLogits = await rateOf(true);
  await session.close();
  await collectGarbage();
  return { batch, batchLogits };
}

/** Tokens that choose many experts. */
const idsOf = (session: Session, length: number): number[] =>
  Array.from({ length }, (_, i) => (i * 7919 + 13) % session.limits.vocab);

/** Seconds of this thread that some work takes. */
async function timed(work: () => Promise<void>): Promise<number> {
  const began = threadTime();
  await work();
  return threadTime() - began;
}

async function main(): Promise<void> {
  const { values: flags } = parseArgs({
    options: {
      layers: { type: "string", default: "4" },
      rounds: { type: "string", default: "3" },
      schemes: { type: "string", default: "w_mxfp4,w_mxfp4_a_mxfp4" },
      prompt: { type: "string", default: `${PROMPT}` },
      "input-scale": { type: "string", default: "1" },
      dir: { type: "string", default: new URL("../../.cache/peers", import.meta.url).pathname },
    },
  });
  const [layers, rounds, prompt] = (["layers", "rounds", "prompt"] as const).map((name) =>
    countOf(`--${name}`, flags[name])
  ) as [number, number, number];
  const schemes = flags.schemes.split(","), scale = inputScaleOf(flags["input-scale"]);
  const say = (line: string) => console.error(line);
  const peer = await buildPeer(flags.dir, say);
  const model = await makeModel(flags.dir, { ...SHAPES["gpt-oss-20b"], layers }, say);
  const turns: { readonly peer: Rates; readonly own: readonly OwnRates[] }[] = [];
  for (let round = 0; round < rounds; round++) {
    const own: OwnRates[] = [], other = await theirs(peer, model, prompt);
    for (const scheme of schemes) own.push(await ours({ layers, scheme, scale }, prompt));
    turns.push({ peer: other, own });
    say(`round ${round + 1}: ${JSON.stringify(turns.at(-1))}`);
  }
  const text = (values: readonly number[]) => `${medianText(spreadOf(values), 3)} ${intervalText(spreadOf(values))}`;
  console.log(`${machine()}; load ${Deno.loadavg()[0]!.toFixed(1)}; one thread, by processor time, ${layers} layers`);
  for (const what of ["prefill", "decode", "batch"] as const) {
    console.log(`llama.cpp ${what}: ${text(turns.map((turn) => turn.peer[what]))} tok/s`);
    schemes.forEach((scheme, i) => {
      const ratios = turns.map((turn) => turn.own[i]![what] / turn.peer[what]);
      console.log(`${scheme} ${what}: ${text(turns.map((t) => t.own[i]![what]))} tok/s, ratio ${text(ratios)}`);
      if (what !== "batch") return;
      const own = turns.map((turn) => turn.own[i]!.batchLogits),
        all = own.map((rate, r) => rate / turns[r]!.peer.batch);
      console.log(`${scheme} batch, all logits: ${text(own)} tok/s, ratio ${text(all)}`);
    });
  }
  schemes.forEach((scheme, i) => {
    const own = turns.map((turn) => turn.own[i]!), ratios = own.map(({ deep, decode }) => deep / decode);
    console.log(
      `${scheme} after ${DEEP} positions: ${text(own.map(({ deep }) => deep))} tok/s, of a first ${text(ratios)}`,
    );
  });
}

if (import.meta.main) {
  try {
    await main();
    Deno.exit(0);
  } catch (thrown) {
    if (!(thrown instanceof PeerError || thrown instanceof InputError || thrown instanceof TypeError)) throw thrown;
    console.error(`error: ${thrown.message}`);
    Deno.exit(2);
  }
}
