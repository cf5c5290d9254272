/** Trials of the commands that evaluate, compare, report or measure speed; see option_trials.ts. */
import { changes, computing, type Files, formats, refuses, type Trials } from "./trial.ts";

const PROBLEMS = new URL("../goldens/word-problems.jsonl", import.meta.url).pathname;
const HARDER = new URL("../goldens/word-problems-harder.jsonl", import.meta.url).pathname;

/** By command and option. */
export function measuringTrials({ fp8, text, other, results }: Files): Readonly<Record<string, Trials>> {
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
    logprobs: [
      changes(problems, ["--logprobs", "none"]),
      refuses(predicted, ["--logprobs", "none"], /--logprobs: expected with mxoss eval gsm8k only/),
      refuses(problems, ["--logprobs", "no"], /--logprobs: expected keep or none, got "no"/),
    ],
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
      refuses(predicted, ["--shard", "0/2"], /--shard: expected auto, none or I\/N with I from 1 to N/),
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
  const withoutBatches = prompts.filter((_, i) => i !== 4 && i !== 5);
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
    "fp8-scales": [
      refuses(prompts, ["--fp8-scales", "own"], /--fp8-scales own: expected experts with static FP8 inputs, got none/),
    ],
    prefill: [changes(figures, ["--prefill", "16"])],
    contexts: [changes(prompts.filter((_, i) => i !== 2 && i !== 3), ["--contexts", "8"])],
    batches: [changes(withoutBatches, ["--batches", "2"])],
    "batch-contexts": [changes([...withoutBatches, "--batches", "2"], ["--batch-contexts", "16"])],
    chunk: [changes(prompts, ["--chunk", "4"])],
    json: [changes(prompts.filter((word) => word !== "--json"), ["--json"])],
    out: [changes(prompts, ["--out", "OUT/x.html"])],
    force: [changes([...prompts, "--out", other], ["--force"])],
    seconds: [
      refuses([...figures.filter((word) => word !== "--seconds" && word !== "20"), "--prefill", "16"], [
        "--seconds",
        "1e-6",
      ], /--seconds: expected more than the \d+ that the machine.s own limits took, which are measured first, got/),
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

  return { eval: evaluate, bench, compare, report };
}
