import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { InputError } from "../../src/errors.ts";
import { JOURNAL, Journal } from "../../src/quantize/journal.ts";
import { type Shape, SHAPES } from "../../tools/random_layouts.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { makeCheckpoint, Random } from "../checkpoint/make.ts";
import { run } from "./run.ts";

const SHAPE: Shape = { ...SHAPES.tiny, layers: 2, hidden: 64, intermediate: 96, experts: 3, topK: 2, vocab: 40 };
const OPTIONS = { shardBytes: 20_000 };

const names = (dir: string) => [...Deno.readDirSync(dir)].map(({ name }) => name).toSorted();
const contents = (dir: string) => names(dir).map((name) => [name, Deno.readFileSync(`${dir}/${name}`)] as const);

Deno.test("quantize() goes on after every place it can be stopped at, and the result is that of one run", async () => {
  using from = new TemporaryDirectory();
  using whole = new TemporaryDirectory();
  makeCheckpoint(from, new Random(9), { shape: SHAPE, layout: "hf_bf16" });
  await run(from.path, whole.path, "w_mxfp4", OPTIONS);
  const shards = names(whole.path).filter((name) => name.endsWith(".safetensors")).length;
  for (let stopAfter = 0; stopAfter < shards; stopAfter++) {
    using to = new TemporaryDirectory();
    // What breaks off in the midst of a file: an error like that of a full disk.
    const onProgress = () => {
      const whole = names(to.path).filter((name) => name.endsWith(".safetensors")).length;
      if (whole === stopAfter) throw new Error("stop here");
    };
    const failed = await run(from.path, to.path, "w_mxfp4", { ...OPTIONS, watch: { onProgress } })
      .then(() => false, (thrown) => (thrown as Error).message === "stop here");
    assert(failed);
    const left = names(to.path).filter((name) => name !== JOURNAL);
    assertEquals(left.filter((name) => !name.endsWith(".safetensors")), []);
    assertEquals(left.length, stopAfter);
    // Not a checkpoint yet, however many of its files are there.
    assertThrows(() => openCheckpoint(to.path), InputError, "config.json: no such file");
    const before = left.map((name) => Deno.statSync(`${to.path}/${name}`).ino);
    // A process that was killed leaves its temporary file.
    to.write("model-00001-of-00009.safetensors.0123456789abcdef.partial", "half");
    await run(from.path, to.path, "w_mxfp4", OPTIONS);
    assertEquals(left.map((name) => Deno.statSync(`${to.path}/${name}`).ino), before);
    assertEquals(contents(to.path), contents(whole.path));
  }
});

Deno.test("quantize() stops when it is asked to, and says so", async () => {
  using from = new TemporaryDirectory();
  using to = new TemporaryDirectory();
  makeCheckpoint(from, new Random(9), { shape: SHAPE, layout: "hf_bf16" });
  // Slow progress, so that the event loop is let in.
  const onProgress = () => {
    const until = performance.now() + 5;
    while (performance.now() < until);
  };
  assertEquals(await run(from.path, to.path, "w_mxfp4", { watch: { stop: () => true, onProgress } }), null);
  assertEquals(names(to.path), [JOURNAL]);
});

Deno.test("Journal.open() refuses directories that hold anything else", () => {
  using dir = new TemporaryDirectory();
  const refused = (line: string) => assertThrows(() => Journal.open(dir.path, "a"), InputError, line);
  dir.write("model.safetensors", "x");
  refused(`--out: ${dir.path}: expected a new or empty directory, or one of an interrupted run, got 1 other files`);
  Deno.removeSync(`${dir.path}/model.safetensors`);
  Journal.open(dir.path, "b");
  refused(`--out: ${dir.path}: holds an interrupted run with other settings`);
  dir.write(JOURNAL, "{");
  refused(`${dir.path}/${JOURNAL}: not JSON`);
  dir.write(JOURNAL, {});
  refused(`${dir.path}/${JOURNAL}: run: expected`);
  const file = dir.write("file", "x");
  assertThrows(() => Journal.open(file, "a"), InputError, `--out: ${file}: expected a directory`);
});

Deno.test("Journal keeps calibrated scales for the run that goes on", () => {
  using dir = new TemporaryDirectory();
  const first = Journal.open(dir.path, "a");
  assertEquals(first.observed, null);
  const observed = {
    inputs: new Map([["m", Math.fround(0.1)]]),
    kv: [{ k: Math.fround(1 / 3), v: 2 }],
    unseenExperts: 3,
  };
  first.keep(observed);
  assertEquals(Journal.open(dir.path, "a").observed, observed);
});
