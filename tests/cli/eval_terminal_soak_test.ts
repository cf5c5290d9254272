/**
 * `mxoss eval` at a real terminal: progress in the window's width, Ctrl-C on a line of its own, and the last lines
 * (MXOSS_SOAK=1).
 */
import { assert, assertEquals } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { writeRandomCheckpoint } from "../../tools/random_checkpoint.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { TINY } from "./program.ts";
import { CTRL_C, IGNORE, Terminal, WHY } from "./pseudo_terminal.ts";

const PROBLEMS = new URL("../goldens/word-problems.jsonl", import.meta.url).pathname;
const EVAL = ["eval", "gsm8k", "--data", PROBLEMS, "--threads", "1", "--max-tokens", "256"];

/** Lines as they stand on the screen, each piece that is drawn over another by itself; no control sequences. */
function drawn(shown: string): string[] {
  // deno-lint-ignore no-control-regex
  return shown.split(/[\r\n]+/).map((line) => line.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, ""));
}

Deno.test({
  name: `eval at a terminal of 80 columns: Ctrl-C is answered on a line of its own, with what is kept${WHY}`,
  ...IGNORE,
  fn: async () => {
    using dir = new TemporaryDirectory();
    const out = `${dir.path}/out`;
    const terminal = new Terminal([...EVAL, "--limit", "1000", "--out", out], {}, 80);
    await terminal.sees("problems");
    await terminal.type(CTRL_C);
    assertEquals(await terminal.end(), 130);
    const lines = drawn(terminal.shown);
    assert(lines.some((line) => /^w_mxfp4 .*\d+\/1000 problems/.test(line)), terminal.shown);
    for (const line of lines) assert(line.length <= 80, line);
    // The sentence is folded between words; nothing of the bar, and no echo of the key, stands before it.
    assert(lines.some((line) => /^interrupted after \d+ of 1000 answers;/.test(line)), terminal.shown);
  },
});

Deno.test({
  name: `eval at a terminal ends with where the report lies and what to do next${WHY}`,
  ...IGNORE,
  fn: async () => {
    using dir = new TemporaryDirectory();
    const out = `${dir.path}/out`, two = ["--scheme", "w_mxfp4,w_mxfp4_a_mxfp4", "--divergence", "2"];
    const terminal = new Terminal([...EVAL, ...two, "--limit", "3", "--out", out]);
    assertEquals(await terminal.end(), 0);
    const lines = drawn(terminal.shown).filter((line) => line !== "");
    assertEquals(lines.slice(-2), [
      `report: ${out}/report.html, for a browser; mxoss report ${out} prints these tables again`,
      "next: mxoss compare --text FILE --b scheme=... shows two settings operation by operation",
    ]);
  },
});

/** Milliseconds for which a line was empty after the first one, the longest time. */
function longestSilence({ shown, times }: Terminal): number {
  let empty: number | null = null, most = 0;
  for (const { at, length } of times) {
    const line = drawn(shown.slice(0, length)).at(-1)!;
    if (empty !== null) most = Math.max(most, at - empty);
    empty = line === "" ? at : null;
  }
  return most;
}

Deno.test({
  name: `eval of a model that takes long to load says what it does all the time${WHY}`,
  ...IGNORE,
  fn: async () => {
    using dir = new TemporaryDirectory();
    const model = `${dir.path}/model`;
    // 300 million weights, which are converted while they are loaded: nothing is said of the first 0.3 s of that, which
    // has to be little of all also where a processor is several times as fast as those of usual servers.
    const shape = { ...SHAPES.tiny, vocab: 1024, layers: 2, hidden: 1024, intermediate: 1536, experts: 32 };
    writeRandomCheckpoint(model, { shape, layout: "hf_mxfp4" });
    for (const name of ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]) {
      Deno.copyFileSync(`${TINY}/${name}`, `${model}/${name}`);
    }
    const args = ["--model", model, "--limit", "2", "--scheme", "w_mxfp4,w_mxfp6_e3m2"];
    const terminal = new Terminal([...EVAL.slice(0, -1), "4", ...args, "--divergence", "2"], {}, 80);
    assertEquals(await terminal.end(), 0, terminal.shown);
    const lines = drawn(terminal.shown).filter((line) => line !== "");
    const loading = lines.findIndex((line) => /^loading w_mxfp6_e3m2 \[#* *\] \d+% \(\d+s left\)$/.test(line));
    assert(loading >= 0, terminal.shown);
    // What follows a load is said before the first part of it is done, however long that takes.
    const next = lines.slice(loading).find((line) => !line.startsWith("loading"))!;
    assert(/^w_mxfp6_e3m2 \[ *\] 0\/2 problems/.test(next), next);
    const predictions = lines.find((line) => line.includes("predictions"));
    assert(/^w_mxfp6_e3m2: predictions \[ *\] 0\/\d+ tokens/.test(predictions ?? ""), predictions);
    // Seconds on a machine that takes twenty for all of it; where it does much else, both take longer.
    const silence = longestSilence(terminal), all = terminal.times.at(-1)!.at - terminal.times[0]!.at;
    assert(silence < all / 8, `silent for ${silence} of ${all} ms: ${terminal.shown}`);
    for (const line of lines.filter((line) => / \[[# ]*\] /.test(line))) assert(line.length < 80, line);
  },
});
