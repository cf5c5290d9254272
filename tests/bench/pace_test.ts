import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { forAllLayers, paceOf, truncated } from "../../src/bench/pace.ts";
import type { Engine } from "../../src/model/engine.ts";
import { openSetting } from "../../src/session/open.ts";
import { Session } from "../../src/session/session.ts";
import { DEFAULTS, planSetting } from "../../src/session/setting.ts";
import { randomCheckpoint } from "../../src/checkpoint/random/checkpoint.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { assert, assertEquals } from "../assert.ts";
import { inProcess } from "../cli/in_process.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { logitsOf, TINY } from "../model/tiny.ts";

const PROBLEMS = new URL("../goldens/word-problems.jsonl", import.meta.url).pathname;

Deno.test("forAllLayers() adds to what a few layers take what the others would", async () => {
  const asked: number[] = [];
  const took = await forAllLayers(24, (layers) => {
    asked.push(layers);
    return Promise.resolve({ load: 10, prompt: 3 + 0.5 * layers });
  });
  assertEquals([asked, took], [[2, 4], { load: 10, prompt: 15 }]);
  // What grew by chance must not become less than was measured.
  const odd = await forAllLayers(24, (layers) => Promise.resolve({ x: layers === 2 ? 9 : 8 }));
  assertEquals(odd, { x: 8 });
  assertEquals(await forAllLayers(3, (layers) => Promise.resolve({ x: layers })), { x: 3 });
});

Deno.test("truncated() is the model of the first layers, and paceOf() times it", async () => {
  const shape = { ...SHAPES.tiny, layers: 6, hidden: 64, intermediate: 64, experts: 4, topK: 2, vocab: 64 };
  const checkpoint = randomCheckpoint({ shape, layout: "hf_mxfp4" });
  const setting = planSetting({ ...DEFAULTS, checkpoint, threads: 1 });
  const session = await openSetting(truncated(setting, 2), { slots: 1, context: 4 });
  assert((await logitsOf(session, [1, 2, 3])).every(Number.isFinite));
  await session.close();
  const opened: number[] = [];
  const pace = await paceOf(setting, { sequences: 2, context: 8, allLogits: true, scorer: null }, (few, room) => {
    opened.push(few.planned.source.tree.layers.length);
    return openSetting(few, room);
  });
  assertEquals(opened, [2, 4]);
  assert(pace.load > 0 && pace.prompt > 0 && pace.step > 0);
});

Deno.test("paceOf() asks an engine for tokens in the way in which an evaluation does", async () => {
  const shape = { ...SHAPES.tiny, layers: 2, hidden: 64, intermediate: 64, experts: 4, topK: 2, vocab: 64 };
  const setting = planSetting({ ...DEFAULTS, checkpoint: randomCheckpoint({ shape, layout: "hf_mxfp4" }), threads: 1 });
  const vocab = setting.checkpoint.config.vocab, logits = new Float32Array(vocab);
  /** How tokens of replies were asked for, and how many were scored beside the engine. */
  const asked = async (abilities: readonly ("decode" | "scores" | "pick")[], scored: boolean) => {
    const ways = new Set<string>(), can = (ability: "decode" | "scores" | "pick") => abilities.includes(ability);
    const ones = (ids: Int32Array) => Float64Array.from(ids, () => -1);
    let rows = 0;
    const engine: Engine = {
      info: { description: "", weightBytes: 0, loadMilliseconds: 0 },
      compute: (batch, wanted, onRow) => {
        // That of the prompt has more tokens.
        if (batch.ids.length === 2) ways.add("logits");
        return Promise.resolve(wanted.forEach((row) => onRow(row, logits)));
      },
      copySlot: () => {},
      pretend: () => {},
      ...(can("scores") ? { scores: true } : {}),
      ...(can("pick")
        ? {
          canPick: () => true,
          pick: (_batch, wanted) => {
            ways.add("pick");
            return Promise.resolve({ ids: new Int32Array(wanted.length), logProbabilities: ones(wanted) });
          },
        }
        : {}),
      ...(can("decode")
        ? {
          canDecode: () => true,
          decode: async ({ batch: { ids }, steps, scored, onTokens }) => {
            ways.add(scored ? "decode and score" : "decode");
            for (let step = 0; step < steps; step++) await onTokens(ids, step, ones(ids));
            return { steps, hostMilliseconds: 0 };
          },
        }
        : {}),
      close: () => Promise.resolve(),
    };
    const scorer = () => ({ score: () => rows++, [Symbol.dispose]: () => {} });
    await paceOf(
      setting,
      { sequences: 2, context: 8, allLogits: false, scorer: scored ? scorer : null },
      (_few, { slots, context, chunk }) =>
        Promise.resolve(new Session(engine, { slots, context, maxTokens: chunk!, vocab })),
    );
    return [[...ways].join(), rows > 0];
  };
  // One GPU, several, one process of emulate, several ranks of it.
  const engines = [["decode", "scores", "pick"], ["decode", "pick"], ["decode"], []] as const;
  const found = await Promise.all(engines.map(async (one) => [await asked(one, true), await asked(one, false)]));
  assertEquals(found, [
    [["decode and score", false], ["decode", false]],
    [["pick", false], ["decode", false]],
    [["logits", true], ["decode", false]],
    [["logits", true], ["logits", false]],
  ]);
});

Deno.test("--dry-run says bytes, memory and time, and writes nothing", async () => {
  using dir = new TemporaryDirectory();
  const out = `${dir.path}/out`, fast = ["--threads", "1", "--dry-run", "--json", "--out", out];
  const asked = ["eval", "gsm8k", "--data", PROBLEMS, "--limit", "3", "--max-tokens", "50", "--divergence", "2"];
  const evaluated = await inProcess([...asked, "--scheme", "w_mxfp4,fp8", "--calibrate", PROBLEMS, ...fast]);
  assertEquals(evaluated.code, 0, evaluated.stderr);
  const { steps, seconds, memory_bytes: memory } = JSON.parse(evaluated.stdout);
  assertEquals(steps.map((s: { step: string; setting: string }) => `${s.step} ${s.setting}`), [
    "calibrate ",
    "evaluate w_mxfp4",
    "evaluate fp8",
    "predictions fp8",
    "layer by layer fp8",
  ]);
  const [calibrate, four, eight, , pair] = steps;
  assertEquals(calibrate.tokens, { low: 16384, high: 16384 });
  // Prompts as they are, and 3 replies of at most 50 tokens.
  assert(four.tokens.high > 150 && four.tokens.high - four.tokens.low < 150 && four.tokens.low > 20);
  assertEquals(four.weight_bytes + eight.weight_bytes, pair.weight_bytes);
  assertEquals(memory, Math.max(...steps.map((s: { memory_bytes: number }) => s.memory_bytes)));
  assert(0 < seconds.low && seconds.low < seconds.high);
  assertEquals([...Deno.readDirSync(dir.path)], []);
  const weights = openCheckpoint(TINY).source.files[0]!.bytes;
  assert(four.weight_bytes <= weights && four.weight_bytes > 0.9 * weights);

  Deno.writeTextFileSync(`${dir.path}/text.txt`, "one two three");
  const compared = await inProcess(["compare", "--text", `${dir.path}/text.txt`, "--b", "kv=fp8", ...fast]);
  assertEquals(compared.code, 0, compared.stderr);
  assertEquals(JSON.parse(compared.stdout).steps.length, 1);
  assertEquals([...Deno.readDirSync(dir.path)].length, 1);
});
