/** What an interrupted run takes for finished, and for the weights that it was begun with. */
import { InputError } from "../../src/errors.ts";
import { SafetensorsWriter, type WrittenTensor } from "../../src/checkpoint/write_safetensors.ts";
import { Sources, TensorHashes } from "../../src/quantize/hashes.ts";
import { JOURNAL, Journal } from "../../src/quantize/journal.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { makeCheckpoint } from "../checkpoint/make.ts";
import { Random } from "../checkpoint/random.ts";
import { run as quantizeInto } from "./run.ts";

const NONE = (await Sources.read([]))!;

Deno.test("Journal takes a file for finished only with the tensors that are wanted, of their dtypes and shapes", () => {
  using dir = new TemporaryDirectory();
  using journal = Journal.open(dir.path, { settings: "a", sources: NONE });
  const a: WrittenTensor = { name: "a", dtype: "BF16", shape: [2, 3] }, b = { ...a, name: "b" };
  const hashes = new TensorHashes();
  {
    using writer = SafetensorsWriter.create(`${dir.path}/one`, [a, b], { force: true });
    for (const { name } of [a, b]) {
      const bytes = new Uint8Array(12).fill(name.charCodeAt(0));
      writer.append(name, bytes);
      hashes.add(name, bytes);
    }
    writer.commit();
  }
  assertEquals([journal.has("one", [a, b]), journal.recorded("one")], [false, false]);
  journal.record("one", hashes.digest());
  const wanted: [finished: boolean, ...tensors: WrittenTensor[]][] = [
    [true, a, b],
    [true, b, a],
    [false, a],
    [false, a, b, { ...a, name: "c" }],
    [false, a, { ...a, name: "c" }],
    [false, a, { ...b, dtype: "F16" }],
    [false, a, { ...b, shape: [3, 2] }],
    [false, a, { ...b, shape: [6] }],
  ];
  for (const [finished, ...tensors] of wanted) {
    assertEquals(journal.has("one", tensors), finished, JSON.stringify(tensors));
  }
  Deno.removeSync(`${dir.path}/one`);
  assertEquals([journal.has("one", [a, b]), journal.recorded("one")], [false, true]);
});

Deno.test("an interrupted run is not gone on with from more weight files, nor from fewer", async () => {
  using from = new TemporaryDirectory();
  const files = ["a", "b"].map((name) => ({ path: from.write(name, name), bytes: 1 }));
  const [one, both] = [await Sources.read(files.slice(0, 1)), await Sources.read(files)];
  for (const [before, now, named] of [[one, both, files[1]!.path], [both, one, "b"]] as const) {
    using dir = new TemporaryDirectory();
    const run = (sources: Sources | null) => ({ settings: "a", sources: sources! });
    {
      using journal = Journal.open(dir.path, run(before));
      journal.record("model.safetensors", "0");
    }
    const line = `holds an interrupted run from other weights: ${named} is not as it was; remove`;
    assertThrows(() => Journal.open(dir.path, run(now)), InputError, line);
    Journal.open(dir.path, run(before))[Symbol.dispose]();
  }
});

Deno.test("a note of nothing stays where a file is left beside it, so that the run can go on there", () => {
  using dir = new TemporaryDirectory();
  const run = { settings: "a", sources: NONE };
  const names = () => [...Deno.readDirSync(dir.path)].map(({ name }) => name).sort();
  {
    using _journal = Journal.open(dir.path, run);
    dir.write("model.safetensors.0123456789abcdef.partial", "half");
  }
  assertEquals(names(), ["model.safetensors.0123456789abcdef.partial", JOURNAL]);
  Journal.open(dir.path, run)[Symbol.dispose]();
  assertEquals(names(), []);
});

Deno.test("a run that was killed while it wrote its first note begins anew, and takes no other file for one", () => {
  using dir = new TemporaryDirectory();
  const names = () => [...Deno.readDirSync(dir.path)].map(({ name }) => name), open = { settings: "a", sources: NONE };
  for (const token of ["0123456789abcdef", "fedcba9876543210"]) dir.write(`${JOURNAL}.${token}.partial`, "{");
  {
    using journal = Journal.open(dir.path, open);
    assertEquals(names(), [JOURNAL]);
    assertEquals(journal.isEmpty, true);
  }
  assertEquals(names(), []);
  for (const other of ["x.0123456789abcdef.partial", `${JOURNAL}.partial`, `${JOURNAL}.0123456789abcdef`]) {
    dir.write(`${JOURNAL}.0123456789abcdef.partial`, "{");
    dir.write(other, "");
    assertThrows(() => Journal.open(dir.path, open), InputError, "got 1 other file");
    assertEquals(names().length, 2);
    for (const name of names()) Deno.removeSync(`${dir.path}/${name}`);
  }
});

Deno.test("quantize() writes no config where the source's changed, and counts what it finds finished", async () => {
  using from = new TemporaryDirectory();
  using to = new TemporaryDirectory();
  makeCheckpoint(from, new Random(9), { shape: SHAPES.tiny, layout: "hf_bf16" });
  const names = () => [...Deno.readDirSync(to.path)].map(({ name }) => name);
  const config = `${from.path}/config.json`, seen: (readonly [number, number])[] = [];
  const before = Deno.readFileSync(config);
  const onProgress = (...[done, total]: [number, number]) => {
    if (seen.length === 0) Deno.writeTextFileSync(config, new TextDecoder().decode(before) + "\n");
    seen.push([done, total]);
  };
  const into = () => quantizeInto(from.path, to.path, "w_mxfp4", { shardBytes: 20_000, watch: { onProgress } });
  await assertRejects(into, InputError, `${config}: changed while it was in use`);
  assertEquals(names().includes("config.json"), false);
  const shards = names().filter((name) => /^model-.*safetensors$/.test(name)).length;
  const { length } = seen;
  await into();
  // Each file once, all of them in the end.
  const again = seen.slice(length), [, total] = seen[0]!;
  assertEquals([again.length, again.at(-1)], [shards, [total, total]]);
  assert(again.every(([done], i) => i === 0 || done > again[i - 1]![0]));
});
