/** Tensor and expert parallel runs of the embedded model against one rank. */
import { nmse } from "../nmse.ts";
import { InputError } from "../../src/errors.ts";
import type { TapPoint } from "../../src/model/gpt_oss.ts";
import type { SessionOptions } from "../session/open_session.ts";
import { threadsOf } from "../../src/parallel/ranked_engine.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "../assert.ts";
import { integers, readGolden } from "../golden.ts";
import { logitsOf, openTiny, TINY } from "../model/tiny.ts";
import { dose, everyNth, SOAK } from "../soak.ts";

const ids = integers(readGolden("logits.safetensors"), "two_turns.ids").slice(0, dose(72, Infinity));

/** Mean over rows of KL(softmax(b) || softmax(a)), in nats. */
function meanKl(a: Float32Array, b: Float32Array, vocab: number): number {
  const logSoftmax = (row: Float32Array) => {
    const most = row.reduce((m, x) => Math.max(m, x), -Infinity);
    const sum = Math.log(row.reduce((s, x) => s + Math.exp(x - most), 0)) + most;
    return Array.from(row, (x) => x - sum);
  };
  let total = 0;
  for (let at = 0; at < a.length; at += vocab) {
    const p = logSoftmax(b.subarray(at, at + vocab)), q = logSoftmax(a.subarray(at, at + vocab));
    total += p.reduce((s, x, i) => s + Math.exp(x) * (x - q[i]!), 0);
  }
  return total / (a.length / vocab);
}

/** Logits of one rank, computed once. */
const oneRank = new Map<string, Promise<Float32Array>>();

/** Logits of `ids`. */
async function computed(options: Partial<SessionOptions>): Promise<Float32Array> {
  const session = await openTiny(options);
  const logits = await logitsOf(session, ids);
  await session.close();
  return logits;
}

function ofOneRank(options: Partial<SessionOptions>): Promise<Float32Array> {
  const name = JSON.stringify(options);
  const logits = oneRank.get(name) ?? computed(options);
  oneRank.set(name, logits);
  return logits;
}

const SIZES = [[2, 1], [4, 1], [8, 1], [1, 2], [1, 4], [2, 2], [3, 1], [2, 4]] as const;

const DTYPES = ["f32", "bf16"] as const;

for (const [i, [tp, ep]] of SIZES.entries()) {
  // Outside a soak the larger of those that cut alike, and of both cuts the smallest.
  if (!SOAK && ([2, 4].includes(tp) && ep === 1 || tp === 1 && ep === 2 || tp === 2 && ep === 4)) continue;
  Deno.test(`tp ${tp}, ep ${ep} computes the logits of one rank`, async () => {
    // Outside a soak by turns.
    for (const dtype of SOAK ? DTYPES : [DTYPES[i % 2]!]) {
      const expected = await ofOneRank({ dtype }), got = await computed({ dtype, tp, ep });
      if (dtype === "f32") assert(nmse(got, expected) <= 1e-10, `NMSE is ${nmse(got, expected)}`);
      else assert(meanKl(got, expected, 1024) <= 1e-4, `mean KL is ${meanKl(got, expected, 1024)}`);
    }
  });
}

Deno.test("more ranks than heads compute the logits of one rank, in groups that have all heads", async () => {
  const expected = await ofOneRank({ dtype: "f32" });
  const distance = nmse(await computed({ dtype: "f32", tp: 3, ep: 3 }), expected);
  assert(distance <= 1e-10, `NMSE is ${distance}`);
});

for (const [i, input] of (["mxfp4", "mxfp6_e3m2", "mxfp6_e2m3"] as const).entries()) {
  Deno.test(`ranks compute the logits of one rank with ${input} inputs, whose blocks are the same`, async () => {
    const options = { dtype: "f32", scheme: `w_mxfp4_a_${input}` } as const;
    const expected = await ofOneRank(options);
    const sizes = [[2, 1], [4, 1], [8, 1], [1, 2], [1, 4]] as const;
    // Outside a soak by turns.
    for (const [tp, ep] of sizes.filter((_, j) => SOAK || j % 3 === i)) {
      const distance = nmse(await computed({ ...options, tp, ep }), expected);
      assert(distance <= 1e-10, `tp ${tp}, ep ${ep}: NMSE is ${distance}`);
    }
  });
}

Deno.test("ranks that read keep the file's bytes once, and compute the same bits as ranks that map", async () => {
  const bytes = Deno.statSync(`${TINY}/model.safetensors`).size;
  const run = async (weights: "map" | "read") => {
    const session = await openTiny({ dtype: "f32", tp: 2, weights });
    const logits = await logitsOf(session, ids);
    await session.close();
    return { logits, held: session.engine.info.weightBytes };
  };
  const read = await run("read"), mapped = await run("map");
  // Norms and routers, which every rank has whole, are less than a hundredth of the model.
  assert(read.held >= 0.99 * bytes && read.held <= 1.01 * bytes, `${read.held} bytes held for a file of ${bytes}`);
  assertEquals(read.logits, mapped.logits);
});

Deno.test("taps of several ranks are put together to what one rank sees", async () => {
  const see = async (tp: number, ep: number) => {
    const session = await openTiny({ dtype: "f32", tp, ep });
    const seen = new Map<string, { values: Float32Array; experts: Int32Array | undefined; width: number }>();
    await session.feed({ slot: 0, tokens: ids.slice(0, 40), logits: "last" }, undefined, (point: TapPoint) => {
      seen.set(`${point.layer} ${point.operation}`, {
        values: point.read().slice(),
        experts: point.experts?.(),
        width: point.width,
      });
    });
    await session.close();
    return seen;
  };
  const expected = await see(1, 1);
  for (const [tp, ep] of everyNth(2, [[2, 2], [8, 1]] as const)) {
    const got = await see(tp, ep);
    assertEquals([...got.keys()].sort(), [...expected.keys()].sort());
    for (const [name, want] of expected) {
      const have = got.get(name)!;
      assertEquals(have.width, want.width, name);
      assert(
        nmse(have.values, want.values) <= 1e-9,
        `tp ${tp}, ep ${ep}, ${name}: NMSE ${nmse(have.values, want.values)}`,
      );
      assertEquals(have.experts, want.experts, name);
    }
  }
});

Deno.test("ranks fork sequences", async () => {
  const session = await openTiny({ dtype: "f32", tp: 2, slots: 2 });
  const { vocab } = session.limits;
  const expected = await logitsOf(session, ids.slice(0, 60));
  session.reset(0);
  await session.feed({ slot: 0, tokens: ids.slice(0, 50), logits: "none" });
  session.fork(0, 1);
  let last: Float32Array | undefined;
  await session.feed(
    { slot: 1, tokens: ids.slice(50, 60), logits: "last" },
    (_position, logits) => last = logits.slice(),
  );
  await session.close();
  assertEquals(last, expected.slice(59 * vocab));
});

Deno.test("threadsOf() shares threads fairly, and gives every rank one", () => {
  const shares = (threads: number, world: number) =>
    Array.from({ length: world }, (_, rank) => threadsOf(rank, threads, world));
  assertEquals(shares(16, 4), [4, 4, 4, 4]);
  assertEquals(shares(7, 3), [3, 2, 2]);
  assertEquals(shares(8, 8), [1, 1, 1, 1, 1, 1, 1, 1]);
  assertEquals(shares(2, 4), [1, 1, 1, 1]);
});

Deno.test("ranks have their share of the threads", async () => {
  const session = await openTiny({ tp: 2, threads: 4 });
  await session.close();
  assertMatch(session.engine.info.description, /^tp 2, ep 1, each rank: wasm simd128, 2 threads, /);
});

Deno.test("openSession() refuses more ranks than heads or experts", async () => {
  await assertRejects(() => openTiny({ tp: 9 }), InputError, "tp 9: the model has 8 attention heads");
  await assertRejects(() => openTiny({ ep: 17 }), InputError, "ep 17: the model has 16 experts");
});
