import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { InputError } from "../../src/errors.ts";
import { Sources } from "../../src/quantize/hashes.ts";
import { JOURNAL, Journal, makeRoom } from "../../src/quantize/journal.ts";
import { type Shape, SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { makeCheckpoint } from "../checkpoint/make.ts";
import { Random } from "../checkpoint/random.ts";
import { SetClock } from "../timers.ts";
import { run as quantizeInto } from "./run.ts";

const SHAPE: Shape = { ...SHAPES.tiny, layers: 2, hidden: 64, intermediate: 96, experts: 3, topK: 2, vocab: 40 };
const OPTIONS = { shardBytes: 20_000 };

const SOURCES = (await Sources.read([]))!;
const run = (settings: string) => ({ settings, sources: SOURCES });
const names = (dir: string) => [...Deno.readDirSync(dir)].map(({ name }) => name).toSorted();
const contents = (dir: string) => names(dir).map((name) => [name, Deno.readFileSync(`${dir}/${name}`)] as const);

Deno.test("Sources.read() gives the SHA-256 of whole files, and counts their bytes up to all", async () => {
  using dir = new TemporaryDirectory();
  // One of several pieces of 4 MiB, and an empty one.
  const large = new Uint8Array(9 * 2 ** 20 + 5).map((_, i) => i * i >> 5), bytes = [large, new Uint8Array(0)];
  const files = bytes.map((contents, i) => {
    Deno.writeFileSync(`${dir.path}/${i}`, contents);
    return { path: `${dir.path}/${i}`, bytes: contents.length };
  });
  const seen: (readonly [number, number])[] = [];
  const { hashes } = (await Sources.read(files, { onProgress: (done, all) => void seen.push([done, all]) }))!;
  const digests = await Promise.all(bytes.map((contents) => crypto.subtle.digest("SHA-256", contents)));
  assertEquals([...hashes], files.map(({ path }, i) => [path, new Uint8Array(digests[i]!).toHex()]));
  assertEquals(seen, [4, 8, 9].map((mebi) => [mebi * 2 ** 20 + (mebi === 9 ? 5 : 0), large.length]));
});

Deno.test("Sources.read() stops when it is asked to", async () => {
  using dir = new TemporaryDirectory();
  const file = { path: `${dir.path}/file`, bytes: 9 * 2 ** 20 };
  Deno.writeFileSync(file.path, new Uint8Array(file.bytes));
  let seen = 0, asked = 0;
  using clock = new SetClock();
  // Slow progress, so that the event loop is let in.
  const onProgress = () => {
    seen++;
    clock.milliseconds += 50;
  };
  const stop = (after: number) => () => ++asked > after;
  assertEquals([await Sources.read([file], { onProgress, stop: stop(1) }), seen, asked], [null, 2, 2]);
  assertEquals((await Sources.read([file], { onProgress, stop: () => false }))!.hashes.size, 1);
});

Deno.test("quantize() goes on after every place it can be stopped at, and the result is that of one run", async () => {
  using from = new TemporaryDirectory();
  using whole = new TemporaryDirectory();
  makeCheckpoint(from, new Random(9), { shape: SHAPE, layout: "hf_bf16" });
  await quantizeInto(from.path, whole.path, "w_mxfp4", OPTIONS);
  const shards = names(whole.path).filter((name) => name.endsWith(".safetensors")).length;
  for (let stopAfter = 0; stopAfter < shards; stopAfter++) {
    using to = new TemporaryDirectory();
    // What breaks off in the midst of a file: an error like that of a full disk.
    const onProgress = () => {
      const whole = names(to.path).filter((name) => name.endsWith(".safetensors")).length;
      if (whole === stopAfter) throw new Error("stop here");
    };
    const failed = await quantizeInto(from.path, to.path, "w_mxfp4", { ...OPTIONS, watch: { onProgress } })
      .then(() => false, (thrown) => (thrown as Error).message === "stop here");
    assert(failed);
    const left = names(to.path).filter((name) => name !== JOURNAL);
    assertEquals(left.filter((name) => !name.endsWith(".safetensors")), []);
    assertEquals(left.length, stopAfter);
    // Not a checkpoint yet, however many of its files are there.
    const line = stopAfter === 0 ? "config.json: no such file" : "as an interrupted mxoss quantize or convert leaves";
    assertThrows(() => openCheckpoint(to.path), InputError, line);
    const before = left.map((name) => Deno.statSync(`${to.path}/${name}`).ino);
    // A process that was killed leaves its temporary file, beside a note.
    if (stopAfter > 0) to.write("model-00001-of-00009.safetensors.0123456789abcdef.partial", "half");
    await quantizeInto(from.path, to.path, "w_mxfp4", OPTIONS);
    assertEquals(left.map((name) => Deno.statSync(`${to.path}/${name}`).ino), before);
    assertEquals(contents(to.path), contents(whole.path));
  }
});

Deno.test("quantize() fills a file up to the very byte that it may have, and not beyond", async () => {
  using from = new TemporaryDirectory();
  makeCheckpoint(from, new Random(9), { shape: SHAPE, layout: "hf_bf16" });
  const files = async (shardBytes: number) => {
    using to = new TemporaryDirectory();
    const { bytes } = (await quantizeInto(from.path, to.path, "w_mxfp4", { shardBytes }))!;
    return [names(to.path).filter((name) => name.endsWith(".safetensors")).length, bytes] as const;
  };
  const [one, bytes] = await files(2 ** 30);
  assertEquals([one, await files(bytes), await files(bytes - 1)], [1, [1, bytes], [2, bytes]]);
});

Deno.test("quantize() stops when it is asked to, and says so", async () => {
  using from = new TemporaryDirectory();
  using to = new TemporaryDirectory();
  makeCheckpoint(from, new Random(9), { shape: SHAPE, layout: "hf_bf16" });
  using clock = new SetClock();
  // Slow progress, so that the event loop is let in.
  const onProgress = () => void (clock.milliseconds += 5);
  assertEquals(await quantizeInto(from.path, to.path, "w_mxfp4", { watch: { stop: () => true, onProgress } }), null);
  assertEquals(names(to.path), []);
});

Deno.test("Journal.open() refuses directories that hold anything else", () => {
  using dir = new TemporaryDirectory();
  const refused = (line: string) => assertThrows(() => Journal.open(dir.path, run("a")), InputError, line);
  dir.write("model.safetensors", "x");
  refused(`out: ${dir.path}: expected a new or empty directory, or one of an interrupted run, got 1 other file`);
  Deno.removeSync(`${dir.path}/model.safetensors`);
  const other = Journal.open(dir.path, run("b"));
  other.record("model.safetensors", "0");
  other[Symbol.dispose]();
  refused(`out: ${dir.path}: holds an interrupted run with other settings`);
  dir.write(JOURNAL, "{");
  refused(`${dir.path}/${JOURNAL}: not JSON`);
  dir.write(JOURNAL, {});
  refused(`${dir.path}/${JOURNAL}: run: expected`);
  const file = dir.write("file", "x");
  assertThrows(() => Journal.open(file, run("a")), InputError, `out: ${file}: expected a directory, got a file`);
});

Deno.test("Journal keeps calibrated scales for the run that goes on", () => {
  using dir = new TemporaryDirectory();
  const first = Journal.open(dir.path, run("a"));
  assertEquals(first.observed, null);
  const observed = {
    inputs: new Map([["m", Math.fround(0.1)]]),
    kv: [{ k: Math.fround(1 / 3), v: 2 }],
    unseenExperts: 3,
  };
  first.keep(observed);
  first[Symbol.dispose]();
  using second = Journal.open(dir.path, run("a"));
  assertEquals(second.observed, observed);
});

/** Runs until a weight file is finished, then breaks off; gives the names of finished files. */
async function interrupted(from: string, to: string): Promise<string[]> {
  const whole = () => names(to).filter((name) => name.endsWith(".safetensors"));
  const onProgress = () => {
    if (whole().length === 2) throw new Error("stop here");
  };
  await quantizeInto(from, to, "w_mxfp4", { ...OPTIONS, watch: { onProgress } }).catch(() => {});
  return whole();
}

/** Turns one bit of a file without changing its size and times. */
function flip(path: string): void {
  const { atime, mtime } = Deno.statSync(path);
  const bytes = Deno.readFileSync(path);
  bytes[bytes.length - 5]! ^= 1;
  Deno.writeFileSync(path, bytes);
  Deno.utimeSync(path, atime!, mtime!);
}

Deno.test("quantize() makes a finished file again whose data is not as it was, and says so", async () => {
  using from = new TemporaryDirectory();
  using to = new TemporaryDirectory();
  using whole = new TemporaryDirectory();
  makeCheckpoint(from, new Random(9), { shape: SHAPE, layout: "hf_bf16" });
  await quantizeInto(from.path, whole.path, "w_mxfp4", OPTIONS);
  const [first] = await interrupted(from.path, to.path);
  flip(`${to.path}/${first}`);
  const warnings: string[] = [];
  await quantizeInto(from.path, to.path, "w_mxfp4", {
    ...OPTIONS,
    watch: { onWarning: (line) => warnings.push(line) },
  });
  assertEquals(warnings, [`${to.path}/${first}: is not as it was written; it is made again`]);
  assertEquals(contents(to.path), contents(whole.path));
});

Deno.test("quantize() goes on from the same weights by another path", async () => {
  using from = new TemporaryDirectory();
  using to = new TemporaryDirectory();
  using whole = new TemporaryDirectory();
  makeCheckpoint(from, new Random(9), { shape: SHAPE, layout: "hf_bf16", shards: 2 });
  await quantizeInto(from.path, whole.path, "w_mxfp4", OPTIONS);
  const finished = await interrupted(from.path, to.path);
  assertEquals(finished.length, 2);
  const written = () => finished.map((name) => Deno.statSync(`${to.path}/${name}`).ino), before = written();
  using links = new TemporaryDirectory();
  Deno.symlinkSync(from.path, `${links.path}/model`);
  await quantizeInto(`${links.path}/model`, to.path, "w_mxfp4", OPTIONS);
  assertEquals(written(), before);
  assertEquals(contents(to.path), contents(whole.path));
});

Deno.test("quantize() does not go on from a source with other bytes, though of the same size and time", async () => {
  using from = new TemporaryDirectory();
  using to = new TemporaryDirectory();
  makeCheckpoint(from, new Random(9), { shape: SHAPE, layout: "hf_bf16" });
  assertEquals((await interrupted(from.path, to.path)).length, 2);
  const before = contents(to.path), source = `${from.path}/model.safetensors`;
  flip(source);
  const line = `out: ${to.path}: holds an interrupted run from other weights: ${source} is not as it was`;
  await assertRejects(() => quantizeInto(from.path, to.path, "w_mxfp4", OPTIONS), InputError, line);
  assertEquals(contents(to.path), before);
});

Deno.test("quantize() refuses a source that changes while it is read", async () => {
  using from = new TemporaryDirectory();
  using to = new TemporaryDirectory();
  makeCheckpoint(from, new Random(9), { shape: SHAPE, layout: "hf_bf16" });
  const source = `${from.path}/model.safetensors`;
  // Written long ago, so that no clock's coarseness hides a change.
  Deno.utimeSync(source, 1_000_000_000, 1_000_000_000);
  let changed = false;
  const onProgress = () => {
    if (changed) return;
    changed = true;
    Deno.writeFileSync(source, Deno.readFileSync(source));
  };
  const watched = () => quantizeInto(from.path, to.path, "w_mxfp4", { watch: { onProgress } });
  await assertRejects(watched, InputError, `${source}: changed while it was in use`);
  assertEquals(names(to.path), []);
});

Deno.test("Journal.open() refuses a directory that another run is filling", () => {
  using dir = new TemporaryDirectory();
  const first = Journal.open(dir.path, run("a"));
  const line = `out: ${dir.path}: expected no other run in this directory, but one is writing there`;
  assertThrows(() => Journal.open(dir.path, run("a")), InputError, line);
  assertEquals(names(dir.path), [JOURNAL]);
  first[Symbol.dispose]();
  Journal.open(dir.path, run("a"))[Symbol.dispose]();
});

Deno.test("makeRoom() leaves the directories that it made where something was put there, and else none", () => {
  using dir = new TemporaryDirectory();
  const to = `${dir.path}/a/b`;
  {
    using _room = makeRoom(to);
    assertEquals(names(to), []);
  }
  assertEquals(names(dir.path), []);
  {
    using _room = makeRoom(to);
    using journal = Journal.open(to, run("a"));
    journal.record("model.safetensors", "0");
  }
  assertEquals(names(to), [JOURNAL]);
  Deno.removeSync(`${to}/${JOURNAL}`);
  {
    using _room = makeRoom(to);
  }
  assertEquals(names(to), [], "a directory that was there before");
});

Deno.test("an interrupted run with a damaged note is refused, and one of a version without checksums goes on", () => {
  using dir = new TemporaryDirectory();
  const to = `${dir.path}/to`, note = `${to}/${JOURNAL}`;
  {
    using journal = Journal.open(to, run("w_mxfp4"));
    journal.keep({ inputs: new Map([["a.b", 0.125]]), kv: [{ k: 0.5, v: 2 }], unseenExperts: 1 });
  }
  const whole = Deno.readTextFileSync(note);
  const open = () => {
    using journal = Journal.open(to, run("w_mxfp4"));
    return journal.observed;
  };
  const kept = open();
  assertEquals(kept?.inputs.get("a.b"), 0.125);
  for (let at = 0; at < whole.length; at++) {
    const turned = new TextEncoder().encode(whole);
    turned[at]! ^= 1;
    Deno.writeFileSync(note, turned);
    let found: unknown;
    try {
      found = open();
    } catch (thrown) {
      assert(thrown instanceof InputError && thrown.message.includes(to), String(thrown));
      continue;
    }
    // The checksum's own name was turned: all else is whole.
    assertEquals(found, kept, `byte ${at}`);
  }
  Deno.writeTextFileSync(note, whole.replace("0.125", "0.875"));
  assertThrows(open, InputError, `${note}: is damaged: expected checksum "`);
  const { crc32: _, ...old } = JSON.parse(whole);
  Deno.writeTextFileSync(note, JSON.stringify(old));
  assertEquals(open(), kept);
});
