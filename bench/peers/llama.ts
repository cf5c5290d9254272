/**
 * mxoss beside llama.cpp: the same shape, the same threads, in turns (A B A B), and the ratio of each pair of turns.
 *
 *     deno run -A bench/peers/llama.ts [--shape gpt-oss-20b] [--layers 4] [--threads N] [--rounds 3]
 *         [--schemes w_mxfp4,w_mxfp4_a_mxfp4] [--what decode,prefill,batch,deep] [--dir .cache/peers] [--json]
 *
 * `decode` is one sequence after 128 positions, `prefill` a prompt of 512 tokens, `batch` 32 sequences after 128
 * positions each, and `deep` one sequence after 8,192 (not measured unless asked for: llama.cpp has to compute its way
 * there, in each turn). llama.cpp computes bf16 products with MXFP4 experts whatever the scheme; both have weights of
 * random numbers, attention and head in bf16.
 *
 * Beside the ratio stands the most that it could be if all products were multiply-adds of float32: what the plain loops
 * make that our turn begins with, but for one multiply-add of nine, which scales the sum of a block (wasm/ABI.md).
 *
 * It needs python3, cmake, a C++ compiler and, the first time, the package registry: llama.cpp is built from the source
 * that a package ships, into `--dir`.
 */
import { parseArgs } from "node:util";
import type { BenchResults, Subject } from "../../src/bench/figures.ts";
import { spreadOf, spreadText } from "../../src/bench/spread.ts";
import { type Shape, SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { InputError } from "../../src/errors.ts";
import { machine } from "../machine.ts";
import { countOf } from "../options.ts";
import { pairedRatio } from "../paired.ts";
import { buildPeer, makeModel, output, type Peer, PeerError } from "./build.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const CONTEXT = 128, DEEP = 8192, PROMPT = 512, BATCH = 32;
/** Tokens that the peer decodes in a turn. */
const DECODED = 16;

/** What is compared: the subject, our options that measure it alone, and the peer's figure. */
interface Comparison {
  readonly subject: Subject;
  readonly ours: Readonly<Record<"prefill" | "contexts" | "batches", number | null>>;
  readonly theirs: (peer: Peer, model: string, threads: number) => Promise<number>;
}

const nothing = { prefill: null, contexts: null, batches: null };
const llamaBench = (args: readonly string[]) => async (peer: Peer, model: string, threads: number) => {
  const common = ["-m", model, "-ngl", "0", "-t", `${threads}`, "-r", "1", "-o", "json"];
  const [test] = JSON.parse(await output(peer.bench, [...common, ...args])) as { readonly avg_ts: number }[];
  return test!.avg_ts;
};
const decodeAt = (depth: number) => llamaBench(["-p", "0", "-n", `${DECODED}`, "-d", `${depth}`]);

const COMPARISONS: Readonly<Record<string, Comparison>> = {
  decode: {
    subject: { kind: "decode", sequences: 1, context: CONTEXT },
    ours: { ...nothing, contexts: CONTEXT },
    theirs: decodeAt(CONTEXT),
  },
  prefill: {
    subject: { kind: "prefill", tokens: PROMPT },
    ours: { ...nothing, prefill: PROMPT },
    theirs: llamaBench(["-p", `${PROMPT}`, "-n", "0"]),
  },
  batch: {
    subject: { kind: "decode", sequences: BATCH, context: CONTEXT },
    ours: { ...nothing, batches: BATCH },
    theirs: async (peer, model, threads) => {
      const room = BATCH * (CONTEXT + DECODED);
      const sizes = ["-c", `${room}`, "-npp", `${CONTEXT}`, "-ntg", `${DECODED}`, "-npl", `${BATCH}`];
      const args = ["-m", model, "-ngl", "0", "-t", `${threads}`, ...sizes, "--output-format", "jsonl"];
      const lines = (await output(peer.batchedBench, args)).split("\n").filter((line) => line.startsWith("{"));
      return (JSON.parse(lines.at(-1)!) as { readonly speed_tg: number }).speed_tg;
    },
  },
  deep: {
    subject: { kind: "decode", sequences: 1, context: DEEP },
    ours: { ...nothing, contexts: DEEP },
    theirs: decodeAt(DEEP),
  },
};

/** Products of a block's lane, to which one multiply-add comes that is none. */
const PRODUCTS = 8;

/** What we measure in a turn. */
interface Own {
  readonly tokens: number;
  /** Tokens a second, if all products ran as fast as plain loops of float32 multiply-adds allow. */
  readonly float32: number;
}

/** Our figures of a scheme, in one process. */
async function measureOurs(
  what: readonly string[],
  scheme: string,
  { shape, layers, threads }: { shape: string; layers: number; threads: number },
): Promise<Own[]> {
  const lists = (["prefill", "contexts", "batches"] as const).flatMap((name) => {
    const values = what.flatMap((key) => COMPARISONS[key]!.ours[name] ?? []);
    return [`--${name}`, values.length === 0 ? "none" : values.join(",")];
  });
  const args = ["--shape", shape, "--layers", `${layers}`, "--scheme", scheme, "--threads", `${threads}`, ...lists];
  const run = ["run", "--no-prompt", "--allow-read", "--allow-ffi", MAIN, "bench", ...args, "--seconds", "86400"];
  const { figures, limits } = JSON.parse(await output(Deno.execPath(), [...run, "--json"])) as BenchResults;
  return what.map((key) => {
    const wanted = JSON.stringify(COMPARISONS[key]!.subject);
    const figure = figures.find(({ subject }) => JSON.stringify(subject) === wanted);
    if (figure === undefined) throw new PeerError(`mxoss bench measured no ${key}`);
    const tokens = figure.tokens_per_second.median, products = figure.macs_per_second.median / tokens;
    return { tokens, float32: PRODUCTS / (PRODUCTS + 1) * limits!.float32.median / products };
  });
}

/** Turns of both, by what was measured. */
interface Turns {
  readonly what: string;
  readonly scheme: string;
  readonly theirs: number[];
  readonly ours: number[];
  /** {@linkcode Own.float32} of each turn. */
  readonly float32: number[];
}

function report(turns: readonly Turns[]): string[] {
  const rows = turns.map(({ what, scheme, theirs, ours, float32 }) => [
    what,
    scheme,
    spreadText(spreadOf(theirs)),
    spreadText(spreadOf(ours)),
    spreadText(pairedRatio(ours, theirs)),
    spreadText(pairedRatio(float32, theirs)),
  ]);
  const all = [["", "scheme", "llama.cpp tok/s", "mxoss tok/s", "ratio", "float32 at most"], ...rows];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  return all.map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd());
}

async function main(): Promise<void> {
  const { values: flags } = parseArgs({
    options: {
      shape: { type: "string", default: "gpt-oss-20b" },
      layers: { type: "string", default: "4" },
      threads: { type: "string", default: `${navigator.hardwareConcurrency}` },
      rounds: { type: "string", default: "3" },
      schemes: { type: "string", default: "w_mxfp4,w_mxfp4_a_mxfp4" },
      what: { type: "string", default: "decode,prefill,batch" },
      dir: { type: "string", default: new URL("../../.cache/peers", import.meta.url).pathname },
      json: { type: "boolean", default: false },
    },
  });
  const count = (name: "layers" | "threads" | "rounds") => countOf(`--${name}`, flags[name]);
  const what = flags.what.split(","), unknown = what.find((key) => !(key in COMPARISONS));
  if (unknown !== undefined) {
    throw new PeerError(`--what: expected ${Object.keys(COMPARISONS).join(", ")}, got "${unknown}"`);
  }
  const shapes: Readonly<Record<string, Shape>> = SHAPES, sizes = shapes[flags.shape];
  if (sizes === undefined) throw new PeerError(`--shape: expected ${Object.keys(shapes).join(", ")}`);
  const choices = { shape: flags.shape, layers: count("layers"), threads: count("threads") }, rounds = count("rounds");
  const say = (line: string) => console.error(line);
  const peer = await buildPeer(flags.dir, say), { layers, threads } = choices;
  const model = await makeModel(flags.dir, { ...sizes, layers }, say);

  const schemes = flags.schemes.split(",");
  const turns = schemes.flatMap((scheme) =>
    what.map((key): Turns => ({ what: key, scheme, theirs: [], ours: [], float32: [] }))
  );
  const load = Deno.loadavg()[0];
  for (let round = 1; round <= rounds; round++) {
    for (const scheme of schemes) {
      say(`round ${round} of ${rounds}: llama.cpp, then mxoss with ${scheme}`);
      const own = turns.filter((turn) => turn.scheme === scheme);
      for (const turn of own) turn.theirs.push(await COMPARISONS[turn.what]!.theirs(peer, model, threads));
      const figures = await measureOurs(what, scheme, choices);
      own.forEach((turn, i) => {
        turn.ours.push(figures[i]!.tokens);
        turn.float32.push(figures[i]!.float32);
      });
    }
  }
  if (flags.json) {
    console.log(JSON.stringify({ machine: machine(), load: [load, Deno.loadavg()[0]], ...choices, turns }, null, 2));
    return;
  }
  console.log(`${machine()}; load ${load} before, ${Deno.loadavg()[0]} after`);
  console.log(`${flags.shape}, ${layers} layers, ${threads} threads, ${rounds} rounds in turns`);
  console.log(report(turns).join("\n"));
}

if (import.meta.main) {
  try {
    await main();
  } catch (thrown) {
    if (!(thrown instanceof PeerError || thrown instanceof InputError || thrown instanceof TypeError)) throw thrown;
    console.error(`error: ${thrown.message}`);
    Deno.exit(2);
  }
}
