/** What every option of every command is tried with; see every_option_test.ts. */
import { measuringTrials } from "./measuring_trials.ts";
import { TINY } from "./program.ts";
import { changes, computing, type Files, formats, refuses, type Trials } from "./trial.ts";

/** Everything that is tried, by command and option; `OUT` stands for a path that is there for one run only. */
export function trials(files: Files): Readonly<Record<string, Trials>> {
  const { fp8, text, chat: conversation, other } = files;
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
    date: [
      changes(asked, ["--date", "2026-01-31"]),
      refuses(raw, ["--date", "2026-01-31"], /--date: expected without --raw/),
      refuses(
        asked,
        ["--date", "2026-02-30"],
        /--date: expected a day of the calendar, as in 2026-01-31, got "2026-02-30"/,
      ),
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
    date: [changes(said, ["--date", "2026-01-31"])],
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

  const looked = (added: readonly string[]) => [changes([], added, false)];
  const inspect = {
    model: looked(["--model", fp8]),
    scheme: looked(["--scheme", "w_mxfp4_a_mxfp4"]),
    dtype: looked(["--dtype", "f32"]),
    "fp8-scales": [
      changes(["--model", fp8], ["--fp8-scales", "own"], false),
      refuses([], ["--fp8-scales", "own"], /--fp8-scales own: expected experts with static FP8 inputs, got none/),
    ],
    "kv-cache-dtype": looked(["--kv-cache-dtype", "fp8"]),
    tp: looked(["--tp", "2"]),
    ep: looked(["--ep", "2"]),
    sequences: looked(["--sequences", "2"]),
    context: [
      changes([], ["--context", "100"], false),
      refuses([], ["--context", "131073"], /--context: expected at most 131072, the model's context, got 131073/),
    ],
    chunk: looked(["--chunk", "3"]),
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

  const goldens = new URL("../goldens/gguf/", import.meta.url).pathname;
  const gguf = ["--gguf", `${goldens}model-bf16.gguf`];
  const convert = {
    gguf: [changes([...gguf, "--out", "OUT/m"], ["--gguf", `${goldens}model-q8_0.gguf`])],
    out: [changes(gguf, ["--out", "OUT/m"])],
    "shard-size": [changes([...gguf, "--out", "OUT/m"], ["--shard-size", "20kB"])],
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
    date: [changes(elsewhere, ["--date", "2026-01-31"])],
    sequences: [changes(elsewhere.filter((_, i) => i !== 4 && i !== 5), ["--sequences", "3"])],
    context: [
      changes(elsewhere.slice(0, -2), ["--context", "65"]),
      refuses(
        elsewhere.slice(0, -2),
        ["--context", "131073"],
        /--context: expected at most 131072, the model's context/,
      ),
    ],
    "cache-memory": [
      changes(elsewhere.slice(0, -2), ["--cache-memory", "9000000"]),
      refuses(elsewhere, ["--cache-memory", "5000"], /--cache-memory: expected at least \d+, what 2 sequences of 64 /),
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
    ...measuringTrials(files),
    inspect,
    list,
    quantize,
    convert,
    serve,
    devices,
    completions,
    help,
  };
}
