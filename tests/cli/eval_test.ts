import { Gsm8kResults, PerplexityResults } from "../../src/eval/results_schema.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { dose, SOAK } from "../soak.ts";
import { GOLDENS, PROBLEMS, REFUSED_EVALS } from "./eval_refusals.ts";
import { inProcess } from "./in_process.ts";
import { type Finished, mxoss, program, type RunOptions, TINY } from "./program.ts";

const HARDER = `${GOLDENS}word-problems-harder.jsonl`;

/** Runs `mxoss eval` with a directory of its own to write to. */
async function evaluated(
  args: readonly string[],
  use: (finished: Finished, out: string) => void | Promise<void>,
  run: (args: readonly string[], options: RunOptions) => Promise<Finished> = (args) => inProcess(args),
) {
  const out = await Deno.makeTempDir();
  try {
    await use(await run(["eval", ...args, "--out", out], { writable: out }), out);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
}

Deno.test("eval gsm8k solves held-out problems and says how sure that is", async () => {
  const asked = dose(15, 50);
  const { code, stdout, stderr } = await inProcess(["eval", "gsm8k", "--data", PROBLEMS, "--limit", `${asked}`]);
  assertEquals(code, 0, stderr);
  assertMatch(
    stdout,
    new RegExp(String.raw`^${asked} problems of word-problems\.jsonl, chat, 0 examples, greedy, 95% intervals$`, "m"),
  );
  const [, accuracy, low] = /^w_mxfp4 +([\d.]+)% +\[([\d.]+), 100\]/m.exec(stdout) ?? [];
  // 0.997 of all 1,000: at most one of 50 may be wrong, none of 15.
  assert(Number(accuracy) >= 98, stdout);
  assert(Number(low) > dose(75, 85) && Number(low) < Number(accuracy));
});

Deno.test("eval gsm8k runs a matrix, pairs its cells with the first and measures divergence", async () => {
  const asked = dose(2, 12);
  const args = ["gsm8k", "--data", HARDER, "--limit", `${asked}`, "--scheme", "w_mxfp4,w_mxfp4_a_mxfp4", "--tp", "1,2"];
  await evaluated(
    [...args, "--max-tokens", `${dose(16, 150)}`, "--divergence", `${dose(1, 2)}`],
    async ({ code, stdout, stderr }, out) => {
      assertEquals(code, 0, stderr);
      const results = Gsm8kResults.parse(JSON.parse(await Deno.readTextFile(`${out}/results.json`)));
      assertEquals(results.cells.map(({ label }) => label), [
        "w_mxfp4, tp 1",
        "w_mxfp4, tp 2",
        "w_mxfp4_a_mxfp4, tp 1",
        "w_mxfp4_a_mxfp4, tp 2",
      ]);
      assertEquals(results.comparisons.length, 3);
      const [tp, scheme] = results.divergences.map(({ predictions: { all } }) => all.kl.mean.value!);
      // Ranks change the order of sums; a scheme changes numbers.
      assert(tp! > 0 && tp! < 1e-4, `mean KL of tp 2 is ${tp}`);
      assert(scheme! > 10 * tp!);
      for (const { filters, protocol } of results.cells) {
        assertEquals(filters["strict-match"].outcomes.length, asked);
        assertEquals(protocol.dtype, "bf16");
        assertMatch(protocol.weights_sha256, /^[0-9a-f]{64}$/);
      }
      assertEquals([...new Set(results.cells.map(({ protocol }) => protocol.tp))], [1, 2]);
      const page = await Deno.readTextFile(`${out}/report.html`);
      assert(page.includes("<svg") && page.includes("prefers-color-scheme: dark"));
      assert(!/<script [^>]|<link|https?:\/\/(?!www\.w3\.org)/.test(page), "the page must load nothing");
      assertMatch(stdout, /Accuracy|accuracy/);
    },
  );
});

Deno.test("eval gsm8k shows its examples and never asks them", async () => {
  const args = [
    "eval",
    "gsm8k",
    "--data",
    HARDER,
    "--limit",
    "4",
    "--shots",
    "2",
    "--prompt",
    "completion",
    "--max-tokens",
    "8",
  ];
  const { code, stdout, stderr } = await inProcess([...args, "--json"]);
  assertEquals(code, 0, stderr);
  const { protocol } = Gsm8kResults.parse(JSON.parse(stdout));
  assertEquals(protocol.prompt.shots.length, 2);
  protocol.prompt.shots.forEach(({ index, question }, i) => {
    assert(stderr.includes(`example ${i + 1} of 2: word-problems-harder.jsonl problem ${index}: ${question}`), stderr);
  });
  const other = await inProcess([...args, "--json", "--seed", "7"]);
  const chosen = Gsm8kResults.parse(JSON.parse(other.stdout)).protocol.prompt.shots;
  assert(chosen.some(({ index }) => protocol.prompt.shots.every((shot) => shot.index !== index)));
});

Deno.test("eval gsm8k takes up answers that are there, also when more problems are asked", async () => {
  const args = ["gsm8k", "--data", PROBLEMS, "--max-tokens", `${dose(30, 120)}`, "--divergence", "0"];
  await evaluated([...args, "--limit", "6"], async ({ code, stderr }, out) => {
    assertEquals(code, 0, stderr);
    const first = await Deno.readTextFile(`${out}/answers.as-stored.kv-auto.tp1.jsonl`);
    const more = await inProcess(["eval", ...args, "--limit", "9", "--out", out, "--json"]);
    assertEquals(more.code, 0, more.stderr);
    assertMatch(more.stderr, /6 of 9 answers are there already/);
    assert((await Deno.readTextFile(`${out}/answers.as-stored.kv-auto.tp1.jsonl`)).startsWith(first));
    assertEquals(Gsm8kResults.parse(JSON.parse(more.stdout)).cells[0]!.filters["strict-match"].outcomes.length, 9);

    const others = await inProcess(["eval", ...args, "--limit", "9", "--max-tokens", `${dose(31, 121)}`, "--out", out]);
    assertEquals(others.code, 2);
    assertMatch(others.stderr, /^error: .*--max-tokens: expected once|^error: .*decoding\.max_tokens was \d+, is \d+1/);
  }, mxoss);
});

Deno.test("eval gsm8k asked for more problems compares layer by layer anew, on more of them", async () => {
  const args = ["gsm8k", "--data", PROBLEMS, "--max-tokens", `${dose(30, 60)}`, "--scheme", "w_mxfp4,w_mxfp4_a_mxfp4"];
  await evaluated([...args, "--limit", "1"], async ({ code, stderr }, out) => {
    assertEquals(code, 0, stderr);
    const more = await inProcess(["eval", ...args, "--limit", "2", "--alarm", "0.5", "--out", out, "--json"]);
    assertEquals(more.code, 0, more.stderr);
    const { divergence } = Gsm8kResults.parse(JSON.parse(more.stdout)).divergences[0]!;
    assertEquals([divergence.sequences, divergence.alarm], [2, 0.5]);
  });
});

Deno.test("eval and compare refuse a directory with other results before anything is computed", async () => {
  const args = ["gsm8k", "--data", PROBLEMS, "--limit", "1", "--max-tokens", "20"];
  const text = `${GOLDENS}eval/two_turns.txt`;
  await evaluated([...args, "--scheme", "w_mxfp4"], async ({ code, stderr }, out) => {
    assertEquals(code, 0, stderr);
    const before = await Deno.readFile(`${out}/results.json`);
    const refused: [args: string[], what: RegExp][] = [
      [
        ["eval", "perplexity", "--text", text],
        /expected results of mxoss eval perplexity, got those of mxoss eval gsm8k/,
      ],
      [["compare", "--text", text], /expected results of mxoss compare, got those of mxoss eval gsm8k/],
      // Another scheme has another journal, and only the results tell that the problems are others.
      [
        ["eval", "gsm8k", "--data", HARDER, "--limit", "1", "--max-tokens", "20", "--scheme", "w_mxfp4_a_mxfp4"],
        /results\.json: was written with other settings \(data\.sha256 was "598b.*, is "7540/,
      ],
    ];
    for (const [command, what] of refused) {
      const { code, stderr } = await inProcess([...command, "--out", out]);
      assertMatch(stderr, what);
      assertMatch(stderr, /^error: [^\n]+; choose another --out\n$/);
      assertEquals(code, 2);
    }
    assertEquals(await Deno.readFile(`${out}/results.json`), before);
    await Deno.writeTextFile(`${out}/results.json`, "something");
    const { code: last, stderr: said } = await inProcess(["eval", ...args, "--out", out]);
    assertMatch(said, /results\.json: expected results of mxoss eval gsm8k, got another file/);
    assertEquals(last, 2);
  });
});

Deno.test("eval interrupted by Ctrl-C keeps its answers and says how to go on", async () => {
  const out = await Deno.makeTempDir();
  try {
    const args = ["eval", "gsm8k", "--data", PROBLEMS, "--limit", "200", "--sequences", "2", "--out", out];
    const child = program(args, { writable: out }).spawn();
    await child.stdin.close();
    const path = `${out}/answers.as-stored.kv-auto.tp1.jsonl`;
    const count = () => {
      try {
        return Deno.readTextFileSync(path).split("\n").length - 2;
      } catch {
        return 0;
      }
    };
    let over = false;
    child.status.then(() => over = true);
    while (!over && count() < 3) await new Promise((resolve) => setTimeout(resolve, 50));
    assertEquals(over, false, "it ended by itself");
    child.kill("SIGINT");
    const { code, stderr } = await child.output();
    assertEquals(code, 130);
    assertMatch(
      new TextDecoder().decode(stderr),
      /interrupted after \d+ of 200 answers; they are kept in .*: the same command goes on/,
    );
    assert(count() >= 3);
  } finally {
    await Deno.remove(out, { recursive: true });
  }
});

Deno.test("eval perplexity measures a text under a matrix", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const text = (await Deno.readTextFile(PROBLEMS)).split("\n").slice(0, dose(3, 12)).map((line) => {
      const { question, answer } = JSON.parse(line);
      const asked = `<|start|>user<|message|>${question}<|end|>`;
      return `${asked}<|start|>assistant<|channel|>final<|message|>${answer}<|return|>`;
    }).join("");
    await Deno.writeTextFile(`${dir}/text.txt`, text);
    const args = ["perplexity", "--text", `${dir}/text.txt`, "--scheme", "w_mxfp4,w_mxfp4_a_mxfp4", "--dtype", "f32"];
    await evaluated([...args, "--sequence-length", "256", "--divergence", "1"], async ({ code, stderr }, out) => {
      assertEquals(code, 0, stderr);
      const results = PerplexityResults.parse(JSON.parse(await Deno.readTextFile(`${out}/results.json`)));
      const [first, second] = results.cells;
      assertEquals(first!.predicted, results.protocol.text.tokens - Math.ceil(results.protocol.text.tokens / 256));
      assertEquals(results.protocol.text.bytes, new TextEncoder().encode(text).length);
      assert(first!.perplexity! > 1 && first!.perplexity! < 20, `${first!.perplexity}`);
      const { value: mean, low, high } = results.comparisons[0]!.nll_increase;
      assert(Math.abs(mean! - (second!.nll! - first!.nll!)) < 1e-9);
      // Of so few tokens a rare one may own the change.
      assertEquals([low, high], [null, null]);
      assert(results.divergences[0]!.predictions.all.kl.mean.value! > 1e-5);
      // Again: everything is there already.
      const before = await Deno.readFile(`${out}/results.json`);
      const again = await inProcess(["eval", ...args, "--sequence-length", "256", "--divergence", "1", "--out", out]);
      assertEquals(again.code, 0, again.stderr);
      assertEquals(await Deno.readFile(`${out}/results.json`), before);
    });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("eval calibrates static scales that the checkpoint lacks", async () => {
  const args = [
    "eval",
    "gsm8k",
    "--data",
    HARDER,
    "--limit",
    `${dose(2, 3)}`,
    "--max-tokens",
    `${dose(30, 60)}`,
    "--scheme",
    "w_mxfp4,w_mxfp4_a_fp8",
  ];
  const without = await inProcess(args);
  assertEquals(without.code, 2);
  assertMatch(without.stderr, /^error: --scheme w_mxfp4_a_fp8: static FP8 inputs need a calibrated scale/);
  // Of 1,000 problems as many as calibration takes; outside a soak the first 16 of them.
  using dir = new TemporaryDirectory();
  const lines = (await Deno.readTextFile(PROBLEMS)).split("\n");
  const problems = SOAK ? PROBLEMS : dir.write("word-problems.jsonl", lines.slice(0, 8).join("\n"));
  const { code, stdout, stderr } = await inProcess([...args, "--calibrate", problems, "--json"]);
  assertEquals(code, 0, stderr);
  const results = Gsm8kResults.parse(JSON.parse(stdout));
  assertEquals(results.cells[0]!.protocol.calibrated_on, null);
  assertMatch(
    results.cells[1]!.protocol.calibrated_on!,
    SOAK
      ? /^16384 tokens of conversations of word-problems\.jsonl/
      : /^\d{3,4} tokens of conversations of word-problems\.jsonl/,
  );
  const { tensors, suspects } = results.divergences[0]!.divergence;
  assertEquals(suspects, []);
  // The model's own calibration has 56, SwiGLU's largest value, for the second GEMM of every layer.
  const down = tensors.filter(({ name }) => name === "experts.down_proj.input");
  assertEquals(down.map(({ b }) => b!.scale), [0.125, 0.125, 0.125, 0.125]);
});

for (const [i, [args, what]] of REFUSED_EVALS.entries()) {
  Deno.test(`mxoss eval ${args.join(" ").replaceAll(GOLDENS, "").replaceAll(TINY, "MODEL")} is refused`, async () => {
    using dir = new TemporaryDirectory();
    // Of all but the one that asks for it: nothing is written before a refusal.
    const out = args.includes("--export") || i === 0 ? [] : ["--out", `${dir.path}/new`];
    const { code, stdout, stderr } = await (i === 0 ? mxoss : inProcess)(["eval", ...args, ...out]);
    assertEquals([...Deno.readDirSync(dir.path)], []);
    assertMatch(stderr, what);
    assertMatch(stderr, /^error: [^\n]+\n$/);
    assertEquals([code, stdout], [2, ""]);
  });
}
