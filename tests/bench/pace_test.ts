import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { forAllLayers, paceOf, truncated } from "../../src/bench/pace.ts";
import { openSetting } from "../../src/session/open.ts";
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
  const pace = await paceOf(setting, { sequences: 2, context: 8, allLogits: true, picks: false }, (few, room) => {
    opened.push(few.planned.source.tree.layers.length);
    return openSetting(few, room);
  });
  assertEquals(opened, [2, 4]);
  assert(pace.load > 0 && pace.prompt > 0 && pace.step > 0);
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
