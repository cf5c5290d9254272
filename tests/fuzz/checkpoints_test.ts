/**
 * Damaged checkpoints, whole: config, generation config, index, headers, tokenizer and chat template. Whatever is in
 * them, they are read or refused in one line, within a second and half a gigabyte.
 *
 * `deno task fuzz:checkpoints` tries 100,000 of them; MXOSS_MUTANTS says how many, MXOSS_SEED where to begin.
 */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { InputError } from "../../src/errors.ts";
import { planModel } from "../../src/plan/planned.ts";
import { ChatRenderer } from "../../src/text/chat.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { type Layout, type QuarkOptions, type Shape, SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { assert } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { makeCheckpoint } from "../checkpoint/make.ts";
import { Random } from "../checkpoint/random.ts";
import { assertCpuTime, threadMemory, threadTime } from "../quickly.ts";
import { dose } from "../soak.ts";
import { mutateBytes, mutateJson, mutateTemplate } from "./mutate.ts";

const MUTANTS = Number(Deno.env.get("MXOSS_MUTANTS") ?? dose(500, 2000)),
  FIRST = Number(Deno.env.get("MXOSS_SEED") ?? 1);
/** Milliseconds of processor time (twice that beside other tests), and bytes above what is held at the start. */
const MOST_CPU = Deno.env.has("MXOSS_MUTANTS") ? 1000 : 2000, MOST_MEMORY = 500_000_000;

const SHAPE: Shape = {
  ...SHAPES.tiny,
  ...{ layers: 1, hidden: 32, intermediate: 32, experts: 2, topK: 1, heads: 2, kvHeads: 1, headDim: 16, vocab: 8 },
};
const MODELS: readonly (readonly [layout: Layout, shards: number, quark?: QuarkOptions])[] = [
  ["hf_mxfp4", 1],
  ["hf_mxfp4", 2],
  ["hf_bf16", 2],
  ["original", 1],
  ["quark", 1, { attention: "fp8", inputScales: true }],
  ["quark", 2, { attention: "fp8_channel", kvScales: "output_scale", experts: "fused" }],
  ["quark", 1, { weights: "mxfp6_e2m3", attention: "mxfp6_e2m3", kvScales: "legacy" }],
];
const TINY = new URL("../../models/tiny-gpt-oss/", import.meta.url);
const TEMPLATES = [
  new URL("chat_template.jinja", TINY),
  new URL("../goldens/text/chat/chat_template.jinja", import.meta.url),
].map((url) => Deno.readTextFileSync(url));
const TEXT = `A <|end|> of\n\n\n 'S 12345 \u4e00\u{1f600}${"\n ".repeat(50)}<|start|>`;

/** A checkpoint, and its files by name. */
interface Original {
  readonly dir: TemporaryDirectory;
  readonly files: readonly (readonly [name: string, bytes: Uint8Array<ArrayBuffer>])[];
}

function makeOriginal([layout, shards, quark = {}]: (typeof MODELS)[number]): Original {
  const dir = new TemporaryDirectory();
  makeCheckpoint(dir, new Random(7), { shape: SHAPE, layout, shards, quark });
  dir.write("generation_config.json", { eos_token_id: [1, 2], pad_token_id: 3, bos_token_id: 0 });
  const names = [...Deno.readDirSync(dir.path)].map(({ name }) => name).sort();
  return { dir, files: names.map((name) => [name, Deno.readFileSync(`${dir.path}/${name}`)]) };
}

/** Tokenizers with short vocabularies: the bytes, a few words, special tokens. */
function makeText(): Original {
  const dir = new TemporaryDirectory();
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
    dir.write(name, Deno.readFileSync(new URL(name, TINY)));
  }
  dir.write("chat_template.jinja", TEMPLATES[0]!);
  const names = ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"];
  return { dir, files: names.map((name) => [name, Deno.readFileSync(`${dir.path}/${name}`)]) };
}

function mutate(random: Random, name: string, bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (name.endsWith(".jinja")) {
    const text = random.pick(TEMPLATES);
    return random.below(8) === 0 ? mutateBytes(random, new TextEncoder().encode(text)) : mutateTemplate(random, text);
  }
  const inBytes = random.below(3) === 0;
  if (!name.endsWith(".safetensors")) {
    return inBytes ? mutateBytes(random, bytes) : mutateJson(random, new TextDecoder().decode(bytes));
  }
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const old = bytes.slice(8, 8 + length), data = bytes.subarray(8 + length);
  const header = inBytes ? mutateBytes(random, old) : mutateJson(random, new TextDecoder().decode(old));
  const whole = new Uint8Array(8 + header.length + data.length);
  const claimed = random.below(20) === 0 ? random.pick([0, 1, 2 ** 31, 2 ** 53, bytes.length]) : header.length;
  new DataView(whole.buffer).setBigUint64(0, BigInt(claimed), true);
  whole.set(header, 8);
  whole.set(data, 8 + header.length);
  return whole;
}

function readModel(dir: string): void {
  planModel(openCheckpoint(dir), { dtype: "bf16", kvCacheDtype: "auto" });
}

async function readText(dir: string): Promise<void> {
  const tokenizer = await Tokenizer.fromDirectory(dir);
  tokenizer.encode(TEXT, { allowSpecial: true });
  const renderer = await ChatRenderer.fromDirectory(dir, tokenizer);
  renderer.render({ messages: [{ role: "user", content: TEXT }], system: "Be brief.", reasoning: "low" });
}

/** Memory of the process, where it runs nothing else; by itself a test has only its own part. */
const memory = () => Deno.env.has("MXOSS_MUTANTS") ? Deno.memoryUsage().rss : threadMemory();

/** Ends the process, with the seed, when a mutant takes so long that it must hang. */
function watch(): { seed(seed: number): void; end(): void } {
  const seeds = new Int32Array(new SharedArrayBuffer(8));
  const code = `self.onmessage = ({ data }) => {
    let last = -1, turns = 0;
    setInterval(() => {
      turns = data[0] === last ? turns + 1 : 0;
      last = data[0];
      if (turns > 60) { console.error("seed " + last + " hangs"); Deno.exit(1); }
    }, 1000);
  };`;
  const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "application/javascript" })), {
    type: "module",
  });
  worker.postMessage(seeds);
  return { seed: (seed) => void (seeds[0] = seed), end: () => worker.terminate() };
}

Deno.test(`${MUTANTS} damaged checkpoints are read or refused in one line, soon, in little memory`, async () => {
  const models = MODELS.map(makeOriginal), text = makeText(), watcher = watch();
  const start = memory(), wrong: string[] = [], refusals = new Map<string, number>();
  let accepted = 0, slowest = 0, largest = 0;
  try {
    for (let seed = FIRST; seed < FIRST + MUTANTS; seed++) {
      const random = new Random(seed);
      watcher.seed(seed);
      const original = random.below(2) === 0 ? text : random.pick(models), { dir, files } = original;
      const [name, bytes] = random.pick(files), path = `${dir.path}/${name}`;
      Deno.writeFileSync(path, mutate(random, name, bytes));
      const began = threadTime(), say = (what: string) => wrong.push(`seed ${seed}, ${name}: ${what}`);
      try {
        if (original === text) await readText(dir.path);
        else readModel(dir.path);
        accepted++;
      } catch (thrown) {
        if (!(thrown instanceof InputError)) say(`${thrown instanceof Error ? thrown.stack : thrown}`);
        // deno-lint-ignore no-control-regex -- control characters are what must not be there
        else if (/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/.test(thrown.message) || thrown.message.length > 1500) {
          say(`not one line: ${thrown.message.slice(0, 500)}`);
        } else refusals.set(name, (refusals.get(name) ?? 0) + 1);
      }
      const took = threadTime() - began, grown = memory() - start;
      assertCpuTime(took, MOST_CPU, `seed ${seed}, ${name}`);
      if (grown > MOST_MEMORY) say(`holds ${grown} bytes`);
      slowest = Math.max(slowest, took);
      largest = Math.max(largest, grown);
      Deno.writeFileSync(path, bytes);
      assert(wrong.length < 20, wrong.join("\n"));
    }
  } finally {
    watcher.end();
    for (const { dir } of [...models, text]) dir[Symbol.dispose]();
  }
  if (Deno.env.has("MXOSS_MUTANTS")) {
    const mb = Math.round(largest / 1e6);
    console.log(`${MUTANTS} mutants: ${accepted} accepted, slowest ${Math.round(slowest)} ms, at most ${mb} MB more`);
  }
  assert(wrong.length === 0, wrong.join("\n"));
  // Were all accepted, or all refused, nothing would have been tried.
  assert(accepted > MUTANTS / 50 && accepted < MUTANTS * 0.8, `${accepted} accepted`);
  if (MUTANTS >= 500) assert(refusals.size >= 7, `${[...refusals.keys()]}`);
});
