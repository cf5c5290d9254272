/** Tokens that are picked without most logits are those that all logits pick, whoever computes them. */
import { openEmulate } from "../../src/backends/emulate/open.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import type { LocalEngine } from "../../src/model/engine.ts";
import { GptOss } from "../../src/model/gpt_oss.ts";
import { likeliestOf } from "../../src/model/likeliest.ts";
import { planModel } from "../../src/plan/planned.ts";
import type { Feed } from "../../src/session/batch.ts";
import { pickGreedily } from "../../src/session/greedy.ts";
import type { Session } from "../../src/session/session.ts";
import { assert, assertEquals, assertRejects } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { requestFor } from "../backends/gpu/opened.ts";
import { isMx, randomModel, storageName, STORAGES, testConfig } from "../backends/random_model.ts";
import { openSession } from "../session/open_session.ts";
import { multipliesBytes } from "../wasm/fixed_rows.ts";
import { openTiny, TINY } from "./tiny.ts";

/** More than a backend takes at once, with a rest that is too few to be worth it. */
const SLOTS = 70, STEPS = 3;
const sizes = { slots: SLOTS, context: 16, maxTokens: 2 * SLOTS };

/** Prompts of one token or two, then tokens that were picked. */
const first = Array.from({ length: SLOTS }, (_, slot): Feed => {
  return { slot, tokens: [(slot * 97 + 5) % 900, ...(slot % 3 === 0 ? [slot + 1] : [])], logits: "last" };
});

/** The tokens of some steps. */
async function tokensOf(session: Session, step: (feeds: readonly Feed[]) => Promise<number[]>): Promise<number[][]> {
  const all: number[][] = [];
  let feeds = first;
  for (let i = 0; i < STEPS; i++) {
    all.push(await step(feeds));
    feeds = all.at(-1)!.map((id, slot) => ({ slot, tokens: [id], logits: "last" }));
  }
  await session.close();
  return all;
}

async function byLogits(session: Session): Promise<number[][]> {
  return await tokensOf(session, async (feeds) => {
    const ids: number[] = [];
    await session.run(feeds, (i, _position, logits) => ids[i] = likeliestOf(logits));
    return ids;
  });
}

async function greedily(session: Session): Promise<number[][]> {
  return await tokensOf(session, async (feeds) => {
    const ids: number[] = [];
    await pickGreedily(session, feeds, (i, id) => ids[i] = id);
    return ids;
  });
}

/** Counts how often the backend picks without logits, and how often it leaves that to others. */
function watch(session: Session): { picked: number; left: number } {
  const { model: { backend } } = session.engine as LocalEngine, counts = { picked: 0, left: 0 };
  const greedy = backend.greedy!.bind(backend);
  backend.greedy = (...asked) => {
    const ids = greedy(...asked);
    counts[ids === undefined ? "left" : "picked"]++;
    return ids;
  };
  return counts;
}

for (const dtype of ["bf16", "f32"] as const) {
  Deno.test(`pickGreedily() in ${dtype} picks what logits pick, by one thread and by more`, async () => {
    const expected = await byLogits(await openTiny({ ...sizes, dtype, threads: 1 }));
    assertEquals(expected.map((ids) => new Set(ids).size > 5), [true, true, true]);
    for (const threads of [1, 3]) {
      const session = await openTiny({ ...sizes, dtype, threads }), counts = watch(session);
      assertEquals(await greedily(session), expected, `${threads}`);
      // 64 rows of each step, and six: the head's digits are kept.
      assertEquals(counts, { picked: 2 * STEPS, left: 0 });
    }
    assertEquals(await greedily(await openTiny({ ...sizes, dtype, apart: true, threads: 1 })), expected, "apart");
    // Their sums are rounded otherwise in bf16.
    const ranks = () => openTiny({ ...sizes, dtype, tp: 2, threads: 2 });
    assertEquals(await greedily(await ranks()), await byLogits(await ranks()), "ranks");
  });
}

Deno.test("Session.decode() of many sequences picks what logits pick", async () => {
  const options = { ...sizes, dtype: "bf16", threads: 1 } as const;
  const expected = await byLogits(await openTiny(options)), session = await openTiny({ ...options, apart: true });
  const got: number[][] = [];
  await pickGreedily(session, first, (i, id) => (got[0] ??= [])[i] = id);
  const greedy = { temperature: 0, topP: 1, topK: 0, uniforms: new Float32Array(0) };
  await session.decode(got[0]!.map((token, slot) => ({ slot, token })), {
    steps: STEPS - 1,
    sampling: first.map(() => greedy),
    onTokens: (ids) => got.push([...ids]) > 0,
  });
  assertEquals(got, expected);
  await session.close();
});

Deno.test("pickGreedily() shows a tap what run() does, and picks the same", async () => {
  const seen = (step: "greedy" | "run") => async (apart: boolean) => {
    const session = await openTiny({ ...sizes, threads: 1, apart }), operations: string[] = [];
    const tap = ({ layer, operation }: { layer: number; operation: string }) =>
      operations.push(`${layer} ${operation}`);
    await (step === "run" ? session.run(first, () => {}, tap) : pickGreedily(session, first, () => {}, tap));
    await session.close();
    return operations;
  };
  const expected = await seen("run")(false);
  assert(expected.length > 20);
  assertEquals(await seen("greedy")(false), expected);
  assertEquals(await seen("greedy")(true), expected);
});

/** The tiny model with other numbers in its head. */
function changed(change: (file: Deno.FsFile, head: { offset: number; rowStride: number; rows: number }) => void) {
  const dir = new TemporaryDirectory();
  for (const name of ["config.json", "model.safetensors", "tokenizer.json"]) {
    Deno.copyFileSync(`${TINY}/${name}`, `${dir.path}/${name}`);
  }
  const { source } = planModel(openCheckpoint(dir.path), { dtype: "bf16", kvCacheDtype: "auto" });
  using file = Deno.openSync(`${dir.path}/model.safetensors`, { read: true, write: true });
  change(file, source.tree.head.weight);
  return dir;
}

Deno.test("pickGreedily() picks the first of equal tokens, and pauses where that saves nothing", async () => {
  using dir = changed((file, { offset, rowStride, rows }) => {
    const row = new Uint8Array(rowStride);
    file.seekSync(offset, Deno.SeekMode.Start);
    file.readSync(row);
    file.seekSync(offset, Deno.SeekMode.Start);
    for (let i = 0; i < rows; i++) file.writeSync(row);
  });
  const session = await openSession(openCheckpoint(dir.path), {
    ...{ ...sizes, threads: 1, backend: "emulate", dtype: "bf16", kvCacheDtype: "auto" },
  });
  const counts = watch(session), tokens = await greedily(session);
  assertEquals(new Set(tokens.flat()), new Set([0]));
  // All logits of the first 64 rows were computed one by one, so that the steps after that ask for all at once.
  assertEquals(counts, { picked: 1, left: 2 * STEPS - 1 });
});

Deno.test("pickGreedily() names the first logit that is no number, and the sequence whose it is", async () => {
  using dir = changed((file, { offset, rowStride }) => {
    for (const row of [700, 55]) {
      file.seekSync(offset + row * rowStride + 6, Deno.SeekMode.Start);
      file.writeSync(Uint8Array.of(0xc0, 0x7f));
    }
  });
  const checkpoint = openCheckpoint(dir.path);
  for (const apart of [false, true]) {
    const session = await openSession(checkpoint, {
      ...{ ...sizes, apart, threads: 1, backend: "emulate", dtype: "bf16", kvCacheDtype: "auto" },
    });
    const got: number[] = [];
    await assertRejects(
      () => pickGreedily(session, first, (_, id) => got.push(id)),
      Error,
      "logits of position 1, token 55: expected numbers",
    );
    assertEquals(got, []);
    await session.close();
  }
});

Deno.test("a backend picks few rows by bytes where it keeps those of the head, and the same tokens", async () => {
  const config = testConfig({ vocab: 400, hidden: 96 }), n = 20;
  const batch = { ids: Int32Array.from({ length: n }, (_, i) => i * 19), slots: new Int32Array(n) };
  const positions = batch.ids.map((_, i) => i);
  using model = randomModel(3, { config, table: { format: "bf16", scale: "none", transposed: false } });
  const available = { bytes: 2 ** 34, by: "a test" };
  for (const slots of [4, 3]) {
    const backend = await openEmulate(requestFor(model, { slots }), { threads: 2, weights: "auto", available });
    const graph = new GptOss(backend, config), { weights: { head }, tensors: { normed } } = backend;
    graph.forward({ ...batch, positions });
    const logits = graph.logits(positions).slice();
    const expected = Array.from(positions, (row) => likeliestOf(logits.subarray(row * 400, (row + 1) * 400)));
    for (const count of [n, 1, 2, 5, 12, 11, n]) {
      const picked = backend.greedy(normed, head, positions.subarray(0, count));
      const picks = count >= (slots === 4 ? 2 : multipliesBytes() ? 12 : 32);
      assertEquals(picked && [...picked], picks ? expected.slice(0, count) : undefined, `${count} of ${slots}`);
    }
    await backend.close();
  }
});

Deno.test("a backend picks by bytes where its head is bf16 in rows, and leaves others to their logits", async () => {
  const config = testConfig({ vocab: 400, hidden: 96 }), n = 32;
  const batch = { ids: Int32Array.from({ length: n }, (_, i) => i * 12), slots: new Int32Array(n) };
  const positions = batch.ids.map((_, i) => i), rows = positions.slice();
  for (const storage of STORAGES.filter((storage) => !isMx(storage) && !storage.format.startsWith("fp8"))) {
    using model = randomModel(3, { config, table: storage });
    const backend = await openEmulate(requestFor(model), { threads: 1, weights: "auto" });
    const graph = new GptOss(backend, config);
    graph.forward({ ...batch, positions });
    const name = storageName(storage), picked = backend.greedy(backend.tensors.normed, backend.weights.head, rows);
    assertEquals(picked !== undefined, name === "bf16", name);
    const ids = graph.greedy(rows).slice(), logits = graph.logits(rows);
    const expected = Array.from(
      rows,
      (row) => likeliestOf(logits.subarray(row * config.vocab, (row + 1) * config.vocab)),
    );
    assertEquals([...ids], expected, name);
    await backend.close();
  }
});
