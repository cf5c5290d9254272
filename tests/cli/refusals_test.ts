import { assertEquals, assertMatch } from "../assert.ts";
import { BrokenCheckpoint } from "./broken.ts";
import { inProcess } from "./in_process.ts";
import { type Finished, mxoss, TINY } from "./program.ts";

const NORM = "model.norm.weight";
const SCALES = "model.layers.1.mlp.experts.down_proj_scales";

/** One line on stderr that says `what`, nothing on stdout, exit code 2. */
function assertRefused({ code, stdout, stderr }: Finished, what: RegExp): void {
  assertMatch(stderr, /^error: [^\n]+\n$/);
  assertMatch(stderr, what);
  assertEquals(stdout, "");
  assertEquals(code, 2);
}

/** Each: what is wrong, what the line must name, and how it is brought about. */
const CHECKPOINTS: [wrong: string, names: RegExp, make: (checkpoint: BrokenCheckpoint) => void][] = [
  ["a truncated file", /model\.safetensors/, (c) => c.bytes((b) => b.subarray(0, b.length - 100))],
  ["a file without a header", /model\.safetensors/, (c) => c.bytes((b) => b.subarray(0, 5))],
  ["a header length over the file", /model\.safetensors/, (c) =>
    c.bytes((b) => {
      new DataView(b.buffer).setBigUint64(0, BigInt(b.length), true);
      return b;
    })],
  ["a header length of 2^63", /model\.safetensors/, (c) =>
    c.bytes((b) => {
      new DataView(b.buffer).setBigUint64(0, 1n << 63n, true);
      return b;
    })],
  ["overlapping offsets", /model\.safetensors.*overlap|overlap.*model\.safetensors/, (c) =>
    c.header((header) => {
      const [first, second] = inFileOrder(header);
      const size = second!.data_offsets[1] - second!.data_offsets[0];
      second!.data_offsets = [first!.data_offsets[1] - 64, first!.data_offsets[1] - 64 + size];
    })],
  ["a hole", /model\.safetensors/, (c) =>
    c.headerText((text, data) => {
      const header = JSON.parse(text);
      const last = inFileOrder(header).at(-1)!;
      last.data_offsets = [last.data_offsets[0] + 64, last.data_offsets[1] + 64];
      const longer = new Uint8Array(data.length + 64);
      longer.set(data);
      return { text: JSON.stringify(header), data: longer };
    })],
  ["trailing bytes", /model\.safetensors/, (c) =>
    c.bytes((b) => {
      const longer = new Uint8Array(b.length + 8);
      longer.set(b);
      return longer;
    })],
  ["a duplicate tensor", new RegExp(NORM), (c) =>
    c.headerText((text) => {
      const entry = JSON.stringify(JSON.parse(text)[NORM]);
      return `${text.trimEnd().slice(0, -1)},"${NORM}":${entry}}`;
    })],
  ["an unknown dtype", new RegExp(`${NORM}.*F7|F7.*${NORM}`), (c) => c.header((h) => h[NORM]!.dtype = "F7")],
  ["a shape that overflows", new RegExp(NORM), (c) => c.header((h) => h[NORM]!.shape = [2 ** 40, 2 ** 40])],
  ["a missing tensor", new RegExp(NORM), (c) =>
    c.header((h) => {
      h["model.other.weight"] = h[NORM]!;
      delete h[NORM];
    })],
  ["a wrong shape", new RegExp(`${NORM}.*288`), (c) => c.header((h) => h[NORM]!.shape = [2, 144])],
  ["a missing shard", /model-00001-of-00002\.safetensors/, (c) => c.index("model-00001-of-00002.safetensors")],
  ["../ in a shard name", /\.\.\/model\.safetensors/, (c) => c.index("../model.safetensors")],
  ["an absolute shard name", /\/etc\/passwd/, (c) => c.index("/etc/passwd")],
  ["a config that is not JSON", /config\.json/, (c) => c.edit("config.json", (text) => text.slice(0, -20))],
  [
    "a config without num_local_experts",
    /config\.json.*num_local_experts/,
    (c) => c.config((config) => delete config["num_local_experts"]),
  ],
  ["another architecture", /config\.json.*LlamaForCausalLM/, (c) =>
    c.config((config) => {
      config["architectures"] = ["LlamaForCausalLM"];
      config["model_type"] = "llama";
    })],
  [
    "a scale byte 255",
    new RegExp(`${SCALES}.*255|255.*${SCALES}`),
    (c) => c.tensor(SCALES, (data) => data[1000] = 255),
  ],
  ["a missing tokenizer", /tokenizer\.json/, (c) => Deno.removeSync(c.path("tokenizer.json"))],
  ["a missing config", /config\.json/, (c) => Deno.removeSync(c.path("config.json"))],
  ["missing weights", /safetensors/, (c) => Deno.removeSync(c.path("model.safetensors"))],
];

for (const [i, [wrong, names, make]] of CHECKPOINTS.entries()) {
  Deno.test(`generate refuses ${wrong}`, async () => {
    using checkpoint = new BrokenCheckpoint();
    make(checkpoint);
    const run = i === 0 ? mxoss : inProcess;
    assertRefused(await run(["--model", checkpoint.dir, "--max-tokens", "1", "2 + 2?"]), names);
  });
}

const ARGUMENTS: [args: string[], what: RegExp][] = [
  [["--model", `${TINY}/nowhere`, "hi"], /tiny-gpt-oss\/nowhere/],
  [["--model", `${TINY}/config.json`, "hi"], /tiny-gpt-oss\/config\.json/],
  [["--temprature", "1", "hi"], /--temprature: unknown option of mxoss generate; did you mean --temperature\?/],
  [["--hepl"], /--hepl: unknown option of mxoss generate; did you mean --help\?/],
  [["--verison"], /--verison: unknown option of mxoss generate; did you mean --version\?/],
  [["generate", "--quite", "hi"], /--quite: unknown option of mxoss generate; mxoss generate --help/],
  [["-x", "hi"], /-x: unknown option .* goes after --/],
  [["-5 plus 3?"], /-5 plus 3\?: unknown option .* goes after --/],
  [["inspect", "--threads", "1"], /--threads: unknown option of mxoss inspect/],
  [["--threads", "0", "hi"], /--threads: expected an integer from 1 to \d+, got "0"/],
  [["--threads", "-1", "hi"], /--threads: expected an integer .* got "-1"/],
  [["--threads=two", "hi"], /--threads: expected an integer .* got "two"/],
  [["--max-tokens", "1.5", "hi"], /--max-tokens: expected an integer of at least 1, got "1\.5"/],
  [["--max-tokens", "1e99", "hi"], /--max-tokens: expected an integer/],
  [["--max-tokens", "200000", "hi"], /--max-tokens: .*131072/],
  [["--temperature", "-1", "hi"], /--temperature: expected a number of at least 0, got "-1"/],
  [["--temperature", "NaN", "hi"], /--temperature: expected a number .* got "NaN"/],
  [["--temperature", "", "hi"], /--temperature: expected a number .* got ""/],
  [["--top-p", "1.5", "hi"], /--top-p: expected a number above 0 and up to 1, got "1\.5"/],
  [["--top-k", "-2", "hi"], /--top-k: expected an integer/],
  [["--seed", "-3", "hi"], /--seed: expected an integer of at least 0/],
  [["--seed", "9".repeat(20), "hi"], /--seed: expected an integer from 0 to 9007199254740991, got "9+"/],
  [["--chunk", "0", "hi"], /--chunk: expected an integer/],
  [["--dtype", "f16", "hi"], /--dtype: expected bf16 or f32, got "f16"/],
  [["--scheme", "w_mxfp5", "hi"], /--scheme: expected w_mxfp4, .* got "w_mxfp5"/],
  [
    ["--scheme", "w_mxfp4_a_q8_0", "--backend", "cuda", "hi"],
    /--scheme w_mxfp4_a_q8_0: expected --backend emulate or reference, got --backend cuda$/m,
  ],
  [["--scheme", "mxfp4_fp8", "hi"], /--scheme: AMD Quark's name; expected w_mxfp4_a_fp8, .* got "mxfp4_fp8"/],
  [["--scheme", "w_mxfp6_e2m3_a_mxfp8", "hi"], /--scheme: with w_mxfp6_e2m3 expected a_mxfp6_e2m3, a_fp8 or nothing, /],
  [["--scheme", "w_mxfp6_e3m2", "--weights", "map", "hi"], /--weights: .*mxfp4 converted to mxfp6_e3m2/],
  [["--scheme", "w_mxfp4_a_fp8", "hi"], /input_scale/],
  [["--backend", "tpu", "hi"], /--backend: expected .*emulate.* got "tpu"/],
  [["--reasoning", "extreme", "hi"], /--reasoning: expected low, medium or high, got "extreme"/],
  [["--seed", "1", "--seed", "2", "hi"], /--seed: expected once, got 2 times/],
  [["--json", "--json", "hi"], /--json: expected once, got 2 times/],
  [["--json=yes", "hi"], /--json: takes no value, got "yes"/],
  [["--help=all"], /--help: takes no value, got "all"/],
  [["inspect", "--version"], /--version: expected mxoss --version alone, got --version/],
  [["--version", "--json"], /--version: expected nothing after it, got "--json"/],
  [["completions", "bash", "zsh"], /SHELL: expected one, got also "zsh"$/m],
  [["eval", "perplexity", "--text", "x", "--limit", "1"], /--limit: expected 2 tokens or more of a text, got 1/],
  [["Hi", "--model"], /--model: expected a value/],
  [["--model", "--json", "hi"], /--model: expected a value, got the option --json/],
  [["How", "many?"], /PROMPT: expected one, got also "many\?"/],
  [["--prompt-file", "questions.txt", "hi"], /--prompt-file: .*PROMPT/],
  [["--prompt-file", `${TINY}/nothing.txt`], /--prompt-file: .*nothing\.txt/],
  [["--prompt-file", `${TINY}/model.safetensors`], /--prompt-file: .*expected at most 1048576 bytes/],
  [["--raw", "--system", "Be brief.", "hi"], /--system: .*--raw/],
  [["--raw", "--reasoning", "low", "hi"], /--reasoning: .*--raw/],
  [["--raw", "--analysis", "always", "hi"], /--analysis: .*--raw/],
  [[""], /PROMPT: .*empty/],
  [["chat", ""], /PROMPT: expected a prompt, got an empty text/],
  [["list", ""], /DIR: expected a directory, got ""/],
  [["report", ""], /DIR: expected a directory, got ""/],
  [[], /stdin: .*empty/],
  [["logits", "--tokens", "1,2"], /--out: required/],
  [["logits", "--out", "x.safetensors"], /--tokens.*--prompt/],
  [["logits", "--out", "x.safetensors", "--tokens", "1,2", "--prompt", "hi"], /--tokens.*--prompt/],
  [["logits", "--out", "x.safetensors", "--tokens", "1,,2"], /--tokens: expected token ids/],
  [
    ["logits", "--out", "x.safetensors", "--tokens", "1,1024"],
    /--tokens: token id 1024: expected 0 to 1023, the vocabulary\n/,
  ],
  [["logits", "hi"], /mxoss logits: expected options only, got "hi"\n/],
  [["inspect", "gpt-oss"], /mxoss inspect: expected options only, got "gpt-oss"; did you mean --model gpt-oss\?\n/],
  [["compare", "a.txt"], /mxoss compare: expected options only, got "a\.txt"; did you mean --text a\.txt\?\n/],
  [["serve", "fp8"], /mxoss serve: expected options only, got "fp8"; did you mean --scheme fp8\?\n/],
  [["serve", "fp4"], /mxoss serve: expected options only, got "fp4"; did you mean --model fp4\?\n/],
  [["serve", "w_mxfp4_fp8"], /got "w_mxfp4_fp8"; did you mean --scheme w_mxfp4_a_fp8\?\n/],
  [["serve", "gpt-oss-20b-w_mxfp4"], /got "gpt-oss-20b-w_mxfp4"; did you mean --model gpt-oss-20b-w_mxfp4\?\n/],
  [["compare", "--constructor"], /--constructor: unknown option of mxoss compare; mxoss compare --help/],
  [["compare", "--scheme", "fp8"], /--scheme: unknown option of mxoss compare; each side has its own: --b scheme=/],
];

for (const [i, [args, what]] of ARGUMENTS.entries()) {
  Deno.test(`mxoss ${args.join(" ").replaceAll(TINY, "MODEL")} is refused`, async () => {
    assertRefused(await (i === 0 || args.length === 0 ? mxoss(args) : inProcess(args)), what);
  });
}

/** Entries of a header by their place in the data. */
function inFileOrder(header: Record<string, { data_offsets?: [number, number] }>) {
  return Object.values(header)
    .filter((entry): entry is { data_offsets: [number, number] } => entry.data_offsets !== undefined)
    .sort((a, b) => a.data_offsets[0] - b.data_offsets[0]);
}
