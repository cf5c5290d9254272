/** Command lines that `mxoss eval` refuses. */
import { TINY } from "./program.ts";

/** The folder of goldens. */
export const GOLDENS = new URL("../goldens/", import.meta.url).pathname;
/** Held-out problems of the embedded model. */
export const PROBLEMS = `${GOLDENS}word-problems.jsonl`;

/** What follows `mxoss eval`, and what is said. */
export const REFUSED_EVALS: readonly [args: string[], what: RegExp][] = [
  [[], /TASK: expected gsm8k or perplexity, got none/],
  [["mmlu"], /TASK: expected gsm8k or perplexity, got "mmlu"/],
  [["gsm8k"], /--data: required/],
  [
    ["gsm8k", "--data", PROBLEMS, "--model", "models/tiny-gpt-oss", "--model", "models/../models/tiny-gpt-oss"],
    /--model: expected every model once, got models\/\.\.\/models\/tiny-gpt-oss twice\n/,
  ],
  [
    ["gsm8k", "--data", PROBLEMS, "--out", "x", "--shard", "2/1"],
    /--shard: expected auto, none or I\/N with I from 1 to N, such as 3\/8, got "2\/1"\n/,
  ],
  [["gsm8k", "--data", "/nowhere.jsonl"], /--data: \/nowhere\.jsonl: no such file/],
  [["gsm8k", "--data", `${TINY}/config.json`], /config\.json:1: expected a JSON object/],
  [["gsm8k", "--data", PROBLEMS, "--text", PROBLEMS], /--text: expected with mxoss eval perplexity only/],
  [["perplexity", "--text", PROBLEMS, "--data", PROBLEMS], /--data: expected with mxoss eval gsm8k only/],
  [
    ["gsm8k", "--data", PROBLEMS, "--sequence-length", "9"],
    /--sequence-length: expected with mxoss eval perplexity only/,
  ],
  [["perplexity", "--text", PROBLEMS, "--shots", "0"], /--shots: expected with mxoss eval gsm8k only/],
  [["perplexity", "--text", PROBLEMS, "--prompt", "chat"], /--prompt: expected with mxoss eval gsm8k only/],
  [["gsm8k", "--data", PROBLEMS, "--seed", "1"], /--seed: expected with --shots, which is 0/],
  [["gsm8k", "--data", PROBLEMS, "--shots-from", PROBLEMS], /--shots-from: expected with --shots, which is 0/],
  [["perplexity"], /--text: required/],
  [["gsm8k", "--data", PROBLEMS, "--scheme", "w_mxfp5"], /--scheme: expected w_mxfp4, .* got "w_mxfp5"/],
  [
    ["gsm8k", "--data", PROBLEMS, "--backend", "hip", "--scheme", "w_mxfp4,w_mxfp4_a_q8_0"],
    /--scheme w_mxfp4_a_q8_0: expected --backend emulate or reference, got --backend hip$/m,
  ],
  [["gsm8k", "--data", PROBLEMS, "--scheme", "mxfp4"], /--scheme: .*w_mxfp4_a_mxfp4.*got "mxfp4"/],
  [
    ["gsm8k", "--data", PROBLEMS, "--scheme", "w_mxfp4,w_mxfp4_a_fp4"],
    /--scheme: with w_mxfp4 expected .*, got a_fp4\n$/,
  ],
  [["gsm8k", "--data", PROBLEMS, "--scheme", "w_mxfp4,w_mxfp4"], /--scheme: expected w_mxfp4 once/],
  [
    ["gsm8k", "--data", PROBLEMS, "--scheme", "w_mxfp4,w_mxfp6_e2m3", "--weights", "map"],
    /--weights: expected --weights read, or none.*got map, with mxfp4 converted to mxfp6_e2m3/,
  ],
  [["gsm8k", "--data", PROBLEMS, "--scheme", "fp8"], /scheme fp8: static FP8 inputs need a calibrated scale/],
  [["gsm8k", "--data", PROBLEMS, "--scheme", "fp8", "--calibrate", "/nowhere"], /--calibrate: \/nowhere: no such file/],
  [["gsm8k", "--data", PROBLEMS, "--tp", "1,0"], /--tp: expected an integer from 1/],
  [["gsm8k", "--data", PROBLEMS, "--tp", "9"], /--tp 9: the model has 8 attention heads/],
  [["gsm8k", "--data", PROBLEMS, "--kv-cache-dtype", "fp4"], /--kv-cache-dtype: expected auto, bf16 or fp8/],
  [["gsm8k", "--data", PROBLEMS, "--shots", "1000"], /--shots: expected an integer from 0 to 100/],
  [["gsm8k", "--data", PROBLEMS, "--max-tokens", "131072"], /problem 0: .*--max-tokens.*131072/],
  [["gsm8k", "--data", PROBLEMS, "--export", "lm-eval"], /--export: expected together with --out/],
  [["gsm8k", "--data", PROBLEMS, "--export", "csv"], /--export: expected lm-eval, got "csv"/],
  [["gsm8k", "--data", PROBLEMS, "--prompt", "completion", "--reasoning", "low"], /--reasoning: expected with a chat/],
];
