/** What every option of every command is tried with; see every_option_test.ts. */
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { unpack } from "../model/quark_exports.ts";
import { SOAK } from "../soak.ts";
import { TINY } from "./program.ts";

const PROBLEMS = new URL("../goldens/word-problems.jsonl", import.meta.url).pathname;
const HARDER = new URL("../goldens/word-problems-harder.jsonl", import.meta.url).pathname;

const MAIN = new URL("../../main.ts", import.meta.url).pathname;

/** One option tried: the command line without it, what is added, and whether that computes anything. */
interface Trial {
  readonly base: readonly string[];
  readonly added: readonly string[];
  readonly computes: boolean;
  /** What the line of a refusal says; null where output changes. */
  readonly refused: RegExp | null;
}

/** Files that trials read and write, in a directory of their own. */
export class Files extends TemporaryDirectory {
  readonly #fp8 = unpack("fp8");
  readonly fp8 = this.#fp8.path;
  readonly text = this.write("text.txt", "Ann has 4 apples and buys 12 more, of which she gives half to Bo.");
  /** A conversation that nothing was said in, as /save of `mxoss chat` writes it. */
  readonly chat = this.write("chat.json", {
    ...{ schema: "mxoss.chat", version: 1, mxoss: "0", system: null, reasoning: null, date: "2026-01-31", turns: [] },
  });
  readonly other = this.write("other.txt", "Bo has 3 plums.");
  /** Results of `mxoss compare`; only trials that compute need them. */
  readonly results = SOAK ? this.#compared() : "nowhere";

  #compared(): string {
    const out = `${this.path}/results`, args = ["compare", "--text", this.text, "--b", "kv=fp8", "--out", out];
    const { success } = new Deno.Command(Deno.execPath(), { args: ["run", "-A", MAIN, ...args] }).outputSync();
    if (!success) throw new Error("no results to try mxoss report with");
    return out;
  }

  override [Symbol.dispose](): void {
    this.#fp8[Symbol.dispose]();
    super[Symbol.dispose]();
  }
}

/** Everything that is tried, by command and option; `OUT` stands for a path that is there for one run only. */
export function trials(
  { fp8, text, chat: conversation, other, results }: Files,
): Readonly<Record<string, Readonly<Record<string, readonly Trial[]>>>> {
  const changes = (base: readonly string[], added: readonly string[], computes = true): Trial => ({
    base,
    added,
    computes,
    refused: null,
  });
  const refuses = (base: readonly string[], added: readonly string[], refused: RegExp): Trial => ({
    base,
    added,
    computes: false,
    refused,
  });
  const NO_THREADS = /--threads: expected with --backend emulate, got --backend reference/;
  /** What the commands that compute have in common. */
  const computing = (base: readonly string[]) => ({
    backend: [changes(base, ["--backend", "cuda", "--device", "9"])],
    device: [refuses(base, ["--device", "1"], /--device: expected with --backend hip or cuda/)],
    "collectives-library": [refuses(base, ["--collectives-library", "x"], /expected with --backend hip or cuda/)],
    "hip-library": [refuses(base, ["--hip-library", "x"], /--hip-library: expected with --backend hip/)],
    "fp8-scales": [refuses(base, ["--fp8-scales", "own"], /--fp8-scales own: expected static FP8 inputs, got none/)],
    dtype: [changes(base, ["--dtype", "f32"])],
    ep: [changes(base, ["--ep", "2"])],
    threads: [refuses([...base, "--backend", "reference"], ["--threads", "2"], NO_THREADS)],
    weights: [
      refuses([...base, "--backend", "reference"], ["--weights", "read"], /--weights: expected with --backend emulate/),
    ],
  });
  const formats = (base: readonly string[]) => ({
    scheme: [changes(base, ["--scheme", "w_mxfp4_a_mxfp4"])],
    "kv-cache-dtype": [changes(base, ["--kv-cache-dtype", "fp8"])],
    tp: [changes(base, ["--tp", "2"])],
  });

  const asked = ["Hi", "--max-tokens", "4", "--json"];
  const drawn = [...asked, "--temperature", "2", "--seed", "1"];
  const raw = [...asked, "--raw"];
  const greedy = /expected with --temperature above 0, got 0/;
  const generate = {
    ...computing(asked),
    ...formats(asked),
    model: [changes(asked, ["--model", fp8])],
    "prompt-file": [changes(asked.slice(1), ["--prompt-file", text])],
    raw: [changes(asked, ["--raw"])],
    system: [changes(asked, ["--system", "Be brief."]), refuses(raw, ["--system", "x"], /--system: expected without/)],
    reasoning: [
      changes(asked, ["--reasoning", "high"]),
      refuses(raw, ["--reasoning", "low"], /--reasoning: expected without --raw/),
    ],
    analysis: [
      changes(["Ann has 3 plums and buys 4. How many?", "--max-tokens", "20"], ["--analysis", "always"]),
      refuses(raw, ["--analysis", "always"], /--analysis: expected without --raw/),
    ],
    "max-tokens": [changes(["Hi", "--json"], ["--max-tokens", "5"])],
    temperature: [changes(asked, ["--temperature", "2"])],
    "top-k": [changes(drawn, ["--top-k", "1"]), refuses(asked, ["--top-k", "5"], greedy)],
    "top-p": [changes(drawn, ["--top-p", "0.01"]), refuses(asked, ["--top-p", "0.5"], greedy)],
    seed: [changes([...asked, "--temperature", "2"], ["--seed", "5"]), refuses(asked, ["--seed", "5"], greedy)],
    stop: [changes(["Ann has 3 plums and buys 4. How many?", "--json"], ["--stop", " "])],
    json: [changes(["Hi", "--max-tokens", "4"], ["--json"])],
    stats: [changes(asked, ["--stats"])],
    chunk: [changes(asked, ["--chunk", "3"])],
  };

  const said = ["Ann has 3 plums and buys 4. How many?", "--max-tokens", "60"];
  const saidDrawn = [...said, "--temperature", "9", "--seed", "1"];
  const chat = {
    ...computing(said),
    ...formats(said),
    // What is loaded is said at a terminal only, and answers of the embedded model differ seldom: chat_test.ts looks
    // at what is saved.
    dtype: [],
    ep: [],
    scheme: [],
    "kv-cache-dtype": [],
    tp: [],
    model: [refuses([], ["--model", "/nowhere"], /nowhere/)],
    system: [changes([...said, "--context", "40"], ["--system", "Be brief."])],
    reasoning: [changes(said, ["--reasoning", "high"])],
    analysis: [changes(said, ["--analysis", "always"])],
    context: [changes(said, ["--context", "24"])],
    "max-tokens": [changes(said.slice(0, 1), ["--max-tokens", "3"])],
    temperature: [changes(said, ["--temperature", "9"])],
    "top-k": [changes(saidDrawn, ["--top-k", "1"]), refuses(said, ["--top-k", "5"], greedy)],
    "top-p": [changes(saidDrawn, ["--top-p", "0.01"]), refuses(said, ["--top-p", "0.5"], greedy)],
    seed: [changes([...said, "--temperature", "9"], ["--seed", "5"]), refuses(said, ["--seed", "5"], greedy)],
    stop: [changes(said, ["--stop", " "])],
    load: [
      changes([], ["--load", conversation], false),
      refuses([], ["--load", text], /text.txt: expected a conversation that \/save wrote/),
    ],
    // Where /save may write: chat_test.ts.
    out: [],
    stats: [changes(said, ["--stats"])],
    chunk: [],
  };

  const file = ["--tokens", "1,2,3", "--out", "OUT/x"];
  const logits = {
    ...computing(file),
    ...formats(file),
    model: [changes(file, ["--model", fp8])],
    tokens: [changes(["--out", "OUT/x"], ["--tokens", "1"])],
    prompt: [changes(["--out", "OUT/x"], ["--prompt", "Hi"])],
    "prompt-file": [changes(["--out", "OUT/x"], ["--prompt-file", text])],
    out: [changes(["--tokens", "1,2,3"], ["--out", "OUT/x"])],
    force: [changes(["--tokens", "1,2,3", "--out", other], ["--force"])],
    // No row depends on it: only memory, time and what the bar counts do.
    chunk: [],
  };

  const two = ["--scheme", "w_mxfp4,w_mxfp4_a_mxfp4"];
  const problems = ["gsm8k", "--data", PROBLEMS, "--limit", "2", "--max-tokens", "8", "--json"];
  const predicted = ["perplexity", "--text", text, "--json"];
  const completion = [...problems, "--prompt", "completion"];
  const evaluate = {
    ...computing(predicted),
    ...formats(predicted),
    model: [changes(predicted, ["--model", fp8])],
    data: [refuses(predicted, ["--data", PROBLEMS], /--data: expected with mxoss eval gsm8k only/)],
    text: [refuses(problems, ["--text", text], /--text: expected with mxoss eval perplexity only/)],
    limit: [changes(predicted, ["--limit", "9"])],
    calibrate: [refuses(predicted, ["--calibrate", text], /--calibrate: expected a setting with static FP8 inputs/)],
    prompt: [changes(problems, ["--prompt", "completion"])],
    shots: [changes(problems, ["--shots", "1"])],
    "shots-from": [
      changes([...problems, "--shots", "1"], ["--shots-from", HARDER]),
      refuses(problems, ["--shots-from", HARDER], /--shots-from: expected with --shots/),
    ],
    seed: [
      changes([...problems, "--shots", "1"], ["--seed", "7"]),
      refuses(problems, ["--seed", "7"], /--seed: expected with --shots/),
    ],
    system: [
      changes(problems, ["--system", "Be brief."]),
      refuses(completion, ["--system", "x"], /--system: expected with a chat, got --prompt completion/),
    ],
    reasoning: [
      changes(problems, ["--reasoning", "high"]),
      refuses(completion, ["--reasoning", "low"], /--reasoning: expected with a chat, got --prompt completion/),
    ],
    "max-tokens": [changes(problems.toSpliced(5, 2), ["--max-tokens", "9"])],
    "sequence-length": [changes(predicted, ["--sequence-length", "8"])],
    divergence: [
      changes([...predicted, ...two], ["--divergence", "0"]),
      refuses(predicted, ["--divergence", "2"], /--divergence: expected with two settings or more, got one/),
    ],
    alarm: [
      changes([...predicted, ...two], ["--alarm", "0.5"]),
      refuses(predicted, ["--alarm", "0.5"], /--alarm: expected with two settings or more, got one/),
      refuses([...predicted, ...two, "--divergence", "0"], ["--alarm", "0.5"], /--alarm: expected with --divergence/),
    ],
    format: [
      changes([...predicted.filter((word) => word !== "--json"), ...two], ["--format", "llama.cpp"]),
      refuses([...predicted, ...two], ["--format", "llama.cpp"], /--format: expected without --json/),
    ],
    shard: [
      changes([...predicted.slice(0, -1), "--out", "OUT"], ["--shard", "1/2"]),
      refuses(predicted, ["--shard", "1/2"], /--out: expected a directory that all parts share/),
      refuses([...predicted, "--out", "OUT"], ["--shard", "1/2"], /--json: expected a run that answers everything/),
      refuses(predicted, ["--shard", "auto"], /--shard auto: expected a Slurm job array or step/),
      refuses(predicted, ["--shard", "0/2"], /--shard: expected a part of several from 1\/8 to 8\/8/),
    ],
    out: [changes(predicted, ["--out", "OUT"])],
    export: [
      changes([...problems, "--out", "OUT"], ["--export", "lm-eval"]),
      refuses(problems, ["--export", "lm-eval"], /--export: expected together with --out/),
    ],
    bandwidth: [changes(predicted, ["--bandwidth", "h100"])],
    "dry-run": [changes(predicted, ["--dry-run"])],
    json: [changes(predicted.slice(0, -1), ["--json"])],
    // No result depends on these: only memory, time and what the bar counts do.
    sequences: [],
    chunk: [],
  };

  const figures = ["--shape", "tiny", "--contexts", "none", "--batches", "none", "--seconds", "20", "--json"];
  const prompts = [...figures, "--prefill", "8"];
  const { "fp8-scales": _rule, ...timing } = computing(prompts);
  const bench = {
    ...timing,
    ...formats(prompts),
    model: [
      changes(prompts.slice(2), ["--model", fp8]),
      refuses(prompts, ["--model", fp8], /--shape: expected without/),
    ],
    shape: [refuses(["--model", fp8], ["--shape", "tiny"], /--shape: expected without --model/)],
    layers: [
      changes(prompts, ["--layers", "1"]),
      refuses(["--model", fp8], ["--layers", "1"], /--layers: expected without --model/),
    ],
    "fp8-scales": [refuses(prompts, ["--fp8-scales", "own"], /--fp8-scales own: expected static FP8 inputs, got none/)],
    prefill: [changes(figures, ["--prefill", "16"])],
    contexts: [changes(prompts.filter((_, i) => i !== 2 && i !== 3), ["--contexts", "8"])],
    batches: [changes(prompts.filter((_, i) => i !== 4 && i !== 5), ["--batches", "2"])],
    chunk: [changes(prompts, ["--chunk", "4"])],
    json: [changes(prompts.filter((word) => word !== "--json"), ["--json"])],
    out: [changes(prompts, ["--out", "OUT/x.html"])],
    force: [changes([...prompts, "--out", other], ["--force"])],
    seconds: [
      refuses([...figures.filter((word) => word !== "--seconds" && word !== "20"), "--prefill", "16"], [
        "--seconds",
        "1e-6",
      ], /--seconds: expected time enough/),
    ],
  };

  const pair = ["--text", text, "--json", "--b", "scheme=w_mxfp4_a_mxfp4"];
  const tables = pair.filter((word) => word !== "--json");
  const compare = {
    ...computing(pair),
    "kv-cache-dtype": formats(pair)["kv-cache-dtype"],
    tp: formats(pair).tp,
    model: [changes(pair, ["--model", fp8])],
    a: [changes(pair, ["--a", "dtype=f32"])],
    b: [changes(pair.slice(0, 3), ["--b", "kv=fp8"])],
    text: [changes(pair.slice(2), ["--text", text])],
    limit: [changes(pair, ["--limit", "5"])],
    "sequence-length": [changes(pair, ["--sequence-length", "8"])],
    alarm: [changes(pair, ["--alarm", "0.5"])],
    "fail-above": [changes(pair, ["--fail-above", "kl=0"])],
    calibrate: [refuses(pair, ["--calibrate", text], /--calibrate: expected a setting with static FP8 inputs/)],
    out: [changes(pair, ["--out", "OUT"])],
    bandwidth: [changes(pair, ["--bandwidth", "h100"])],
    "dry-run": [changes(pair, ["--dry-run"])],
    all: [changes(tables, ["--all"]), refuses(pair, ["--all"], /--all: expected without --json/)],
    json: [changes(tables, ["--json"])],
    format: [
      changes(tables, ["--format", "llama.cpp"]),
      refuses(pair, ["--format", "llama.cpp"], /--format: expected without --json/),
    ],
  };

  const report = {
    out: [changes([results], ["--out", "OUT"])],
    bandwidth: [changes([results], ["--bandwidth", "h100"])],
    json: [changes([results], ["--json"])],
  };

  const looked = (added: readonly string[]) => [changes([], added, false)];
  const inspect = {
    model: looked(["--model", fp8]),
    scheme: looked(["--scheme", "w_mxfp4_a_mxfp4"]),
    dtype: looked(["--dtype", "f32"]),
    "fp8-scales": [
      changes(["--model", fp8], ["--fp8-scales", "own"], false),
      refuses([], ["--fp8-scales", "own"], /--fp8-scales own: expected static FP8 inputs, got none/),
    ],
    "kv-cache-dtype": looked(["--kv-cache-dtype", "fp8"]),
    tp: looked(["--tp", "2"]),
    ep: looked(["--ep", "2"]),
    json: looked(["--json"]),
  };

  const completions = {};
  const help = { man: [changes([], ["--man"], false)] };
  const list = { json: [changes([TINY], ["--json"], false)] };

  const made = ["--scheme", "w_mxfp4_a_mxfp4", "--out", "OUT/m"];
  const measured = ["--scheme", "fp8", "--out", "OUT/m", "--calibrate", text];
  const without = (name: string) => new RegExp(`--${name}: expected with --calibrate`);
  const quantize = {
    model: [changes(made, ["--model", fp8])],
    scheme: [changes(["--out", "OUT/m"], ["--scheme", "w_mxfp6_e2m3"])],
    layers: [changes(made, ["--layers", "0=w_mxfp6_e2m3"])],
    attention: [changes(made, ["--attention", "ptpc_fp8"])],
    "kv-cache-dtype": [changes(made, ["--kv-cache-dtype", "fp8"])],
    calibrate: [
      changes(["--scheme", "fp8", "--out", "OUT/m"], ["--calibrate", text]),
      refuses(made, ["--calibrate", text], /--calibrate: expected with static FP8 inputs or an FP8 cache, got neither/),
    ],
    "calibrate-tokens": [
      changes(measured, ["--calibrate-tokens", "5"]),
      refuses(made, ["--calibrate-tokens", "5"], without("calibrate-tokens")),
    ],
    out: [changes(made.slice(0, 2), ["--out", "OUT/m"])],
    "shard-size": [changes(made, ["--shard-size", "4MB"])],
    threads: [refuses(made, ["--threads", "1"], without("threads"))],
    weights: [refuses(made, ["--weights", "read"], without("weights"))],
  };

  const library = ["--hip-library", "/nowhere/libamdhip64.so"];
  const idle = (...added: readonly string[]) => [refuses([], added, /: expected with --verify$/m)];
  const devices = {
    verify: looked(["--verify", "--backend", "hip", ...library]),
    backend: idle("--backend", "hip"),
    device: idle("--device", "1"),
    filter: idle("--filter", "x"),
    issue: [...idle("--issue"), refuses(["--json"], ["--issue"], /--issue: expected without --json/)],
    out: idle("--out", "x.json"),
    force: [refuses([], ["--force"], /--force: expected with --out/)],
    "hip-library": looked(["--hip-library", "/nowhere/libamdhip64.so"]),
    json: looked(["--json"]),
  };

  // No machine has this address: what is said on the way there shows what an option does.
  const elsewhere = ["--host", "192.0.2.1", "--api-key", "k", "--sequences", "2", "--context", "64"];
  const serve = {
    ...computing(elsewhere),
    ...formats(elsewhere),
    model: [changes(elsewhere, ["--model", fp8])],
    name: [changes(elsewhere, ["--name", "other"])],
    host: [refuses([], ["--host", "0.0.0.0"], /--host 0\.0\.0\.0: expected --api-key-file/)],
    port: [changes(elsewhere, ["--port", "8081"])],
    "api-key": [changes(elsewhere.filter((_, i) => i !== 2 && i !== 3), ["--api-key", "k"])],
    "api-key-file": [changes(elsewhere, ["--api-key-file", text])],
    sequences: [changes(elsewhere.filter((_, i) => i !== 4 && i !== 5), ["--sequences", "3"])],
    context: [
      changes(elsewhere.slice(0, -2), ["--context", "65"]),
      refuses(
        elsewhere.slice(0, -2),
        ["--context", "131073"],
        /--context: expected at most 131072, the model's context/,
      ),
    ],
    queue: [changes(elsewhere, ["--queue", "3"])],
    "max-prompt": [changes(elsewhere, ["--max-prompt", "32"])],
    "max-reply": [changes(elsewhere, ["--max-reply", "32"])],
    "max-body": [changes(elsewhere, ["--max-body", "1000"])],
    "time-limit": [changes(elsewhere, ["--time-limit", "9"])],
    "stop-limit": [changes(elsewhere, ["--stop-limit", "9"])],
    log: [changes(elsewhere, ["--log", "none"])],
    chunk: [changes(elsewhere, ["--chunk", "3"])],
  };
  return {
    generate,
    chat,
    logits,
    eval: evaluate,
    compare,
    report,
    inspect,
    list,
    quantize,
    bench,
    serve,
    devices,
    completions,
    help,
  };
}
