/** A rank that fails stops the others, wherever they are, and what is reported is its own message. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { FailureError, InputError } from "../../src/errors.ts";
import type { Engine } from "../../src/model/engine.ts";
import { workspace } from "../../src/model/gpt_oss.ts";
import { planModel } from "../../src/plan/planned.ts";
import type { RankListener, StartRank } from "../../src/parallel/rank_ports.ts";
import { openRanks, type RanksOptions } from "../../src/parallel/ranked_engine.ts";
import { Ranks } from "../../src/parallel/ranks.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { assertEquals, assertMatch, assertRejects, assertThrows } from "../assert.ts";
import { fileOf, rewrite, TemporaryDirectory } from "../checkpoint/container.ts";
import { makeCheckpoint } from "../checkpoint/make.ts";
import { Random } from "../checkpoint/random.ts";
import { TINY } from "../model/tiny.ts";
import { SOAK } from "../soak.ts";
import { HeldTimers } from "../timers.ts";

const TOKENS = 6, CONTEXT = 16;
const NO_BATCH = { ids: new Int32Array(0), slots: new Int32Array(0), positions: new Int32Array(0) };
/** A rank that waits for others does so for ever; no step of these tests takes a hundredth of this. */
const PATIENCE_TICKS = 900, TICK_MS = 100;

async function open(dir: string, options: Partial<RanksOptions>): Promise<Engine> {
  const checkpoint = openCheckpoint(dir), { config } = checkpoint;
  const { plan, source } = planModel(checkpoint, { dtype: "bf16", kvCacheDtype: "auto" });
  const tensors = workspace(config, source);
  return await openRanks(
    {
      ...{ source, config, dtype: "bf16", kvFormat: plan.kvFormat, tensors },
      ...{ maxTokens: TOKENS, slots: 2, context: CONTEXT },
    },
    { sizes: { tp: 2, ep: 2 }, backend: "emulate", threads: 4, weights: "read", ...options },
  );
}

async function compute(engine: Engine): Promise<number> {
  let rows = 0;
  await engine.compute(
    {
      ids: Int32Array.from({ length: TOKENS }, (_, i) => 5 * i + 3),
      slots: new Int32Array(TOKENS),
      positions: Int32Array.from({ length: TOKENS }, (_, i) => i),
    },
    Int32Array.of(TOKENS - 1),
    () => rows++,
  );
  return rows;
}

/**
 * Fails if a promise is still waiting after a long time. Ticks are counted, not the clock asked: a machine that stood
 * still for a while has not waited.
 */
async function inTime<T>(promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setInterval> | undefined, ticks = 0;
  const late = new Promise<never>((_, reject) => {
    timer = setInterval(() => {
      if (++ticks === PATIENCE_TICKS) reject(new Error(`still waiting after ${ticks} times ${TICK_MS} ms`));
    }, TICK_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearInterval(timer);
  }
}

/** Ranks of which one fails, and what is seen of their ends. */
class Faulty implements Disposable {
  readonly worker = new URL("./failing_rank.ts", import.meta.url);
  readonly #channel: BroadcastChannel;
  readonly #ended = new Set<number>();
  #notice = () => {};

  constructor(rank: number, point: string) {
    const name = crypto.randomUUID();
    Deno.env.set("MXOSS_TEST_FAULT", new URLSearchParams({ rank: `${rank}`, point, channel: name }).toString());
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }) => {
      this.#ended.add(data);
      this.#notice();
    };
  }

  /** Resolves when these ranks have ended; a rank that waits in a sum cannot. */
  async ended(ranks: readonly number[]): Promise<void> {
    await inTime(
      new Promise<void>((resolve) => {
        this.#notice = () => ranks.every((rank) => this.#ended.has(rank)) && resolve();
        this.#notice();
      }),
    );
  }

  [Symbol.dispose](): void {
    Deno.env.delete("MXOSS_TEST_FAULT");
    this.#channel.close();
  }
}

const RANKS = [0, 1, 2, 3];

/** Before the first sum, between sums of a tensor group, between that and the sum of all, and after the last. */
const POINTS = ["begin", "embed", "linear", "store", "attention", "expertGateUp", "combine", "logits"] as const;

for (const backend of ["emulate", "reference"] as const) {
  for (const [i, point] of POINTS.entries()) {
    // Outside a soak a point of each kind; the ranks are the same of either backend.
    if (!SOAK && (backend === "reference" ? i !== 4 : i % 2 !== 0 && point !== "logits")) continue;
    // Logits are the first expert group's to compute.
    const rank = point === "logits" ? 1 : i % 4;
    Deno.test(`rank ${rank} of ${backend} stops the others when it fails in ${point}`, async () => {
      using faulty = new Faulty(rank, point);
      const engine = await inTime(open(TINY, { backend, worker: faulty.worker }));
      const failure = await assertRejects(() => inTime(compute(engine)), FailureError);
      assertEquals(failure.message, `rank ${rank}: told to fail in ${point}`);
      // The ranks are out of step now: what was wrong is said again, and nothing computed.
      const again = await assertRejects(() => inTime(compute(engine)), FailureError);
      assertEquals(again.message, failure.message);
      await engine.close();
      await faulty.ended(RANKS);
    });
  }
}

for (const rank of SOAK ? [0, 3] : [3]) {
  Deno.test(`openRanks() reports rank ${rank} that fails while it loads`, async () => {
    using faulty = new Faulty(rank, "open");
    const failure = await assertRejects(() => inTime(open(TINY, { worker: faulty.worker })), FailureError);
    assertEquals(failure.message, `rank ${rank}: told to fail in open`);
    await faulty.ended(RANKS);
  });

  Deno.test(`rank ${rank} stops the others when its thread ends without a word`, async () => {
    using faulty = new Faulty(rank, "thread");
    const engine = await inTime(open(TINY, { worker: faulty.worker }));
    const failure = await assertRejects(() => inTime(compute(engine)), FailureError);
    assertMatch(failure.message, new RegExp(`^rank ${rank}: .*told to fail in thread$`));
    await engine.close();
    await faulty.ended(RANKS.filter((other) => other !== rank));
  });
}

Deno.test("a rank that fails to let go of what it held ends with the others", async () => {
  using faulty = new Faulty(1, "close");
  const engine = await inTime(open(TINY, { worker: faulty.worker }));
  assertEquals(await inTime(compute(engine)), 1);
  // Nothing but the ends of all ranks ends the wait.
  using _ = new HeldTimers("timeout", 5000);
  await inTime(engine.close());
  await faulty.ended(RANKS);
});

Deno.test("a rank that fails to fork a sequence says so with the next batch", async () => {
  using faulty = new Faulty(2, "copySlot");
  const engine = await inTime(open(TINY, { worker: faulty.worker }));
  assertEquals(await inTime(compute(engine)), 1);
  engine.copySlot(0, 1, 3);
  const failure = await assertRejects(() => inTime(compute(engine)), FailureError);
  assertEquals(failure.message, "rank 2: told to fail in copySlot");
  await engine.close();
  await faulty.ended(RANKS);
});

Deno.test("what looks at results of ranks and throws is heard by who asked for them, and the ranks go on", async () => {
  const batch = { ids: Int32Array.of(3), slots: Int32Array.of(0), positions: Int32Array.of(0) };
  for (const sizes of [{ tp: 1, ep: 1 }, { tp: 2, ep: 1 }]) {
    const engine = await inTime(open(TINY, { sizes }));
    let seen = 0;
    const tap = () => {
      if (++seen === 3) throw new RangeError("seen enough");
    };
    const compute1 = () => engine.compute(batch, Int32Array.of(0), () => {}, tap);
    await assertRejects(() => inTime(compute1()), RangeError, "seen enough");
    assertEquals([seen, await inTime(compute(engine))], [3, 1]);
    await engine.close();
  }
});

Deno.test("ranks of which one cannot be started leave no thread behind", () => {
  const ports = new Map<number, string[]>();
  const start: StartRank = (rank) => {
    if (rank === 2) throw new FailureError("no more threads");
    ports.set(rank, []);
    return { postMessage: ({ kind }) => ports.get(rank)!.push(kind) };
  };
  assertThrows(() => new Ranks(4, { start, abort: () => {} }), FailureError, "no more threads");
  assertEquals([...ports], [[0, ["close"]], [1, ["close"]]]);
});

Deno.test("ranks are closed once, however often that is asked, and answer nothing after it", async () => {
  // Nothing but the ends of all ranks ends the wait.
  using _ = new HeldTimers("timeout", 5000);
  const listeners: RankListener[] = [], asked: string[] = [];
  const start: StartRank = (rank, listener) => {
    listeners[rank] = listener;
    return { postMessage: ({ kind }) => asked.push(`${rank} ${kind}`) };
  };
  const ranks = new Ranks(2, { start, abort: () => {} }), closes = [ranks.close(), ranks.close()];
  for (const { reply } of listeners) reply({ kind: "closed" });
  await Promise.all([...closes, ranks.close()]);
  assertEquals(asked, ["0 close", "1 close"]);
  await assertRejects(() => ranks.all(() => ({ kind: "offer", abroad: false })), Error, "after they were closed");
});

Deno.test("ranks are told whether all have let go of one another's memory before any frees its own", async () => {
  for (
    const [answers, expected] of [
      [["done", "done"], ["0 part", "1 part", "0 close true", "1 close true"]],
      [["done", "failed"], ["0 part", "1 part", "0 close false", "1 close false"]],
      [["done", "died"], ["0 part", "1 part", "0 close false", "1 close false"]],
      // Nobody is asked where one is still at work, or has failed before.
      [["busy", "busy"], ["0 pretend", "1 pretend", "0 close false", "1 close false"]],
      [["before", "done"], ["0 close false", "1 close false"]],
    ] as const
  ) {
    const asked: string[] = [];
    const start: StartRank = (rank, listener) => ({
      postMessage: (message) => {
        asked.push(`${rank} ${message.kind}${message.kind === "close" ? ` ${message.parted}` : ""}`);
        const failed = { kind: "failed", text: "it broke", mistake: null, dragged: false } as const;
        const answer = answers[rank]!;
        queueMicrotask(() => {
          if (message.kind === "close") listener.reply({ kind: "closed" });
          else if (answer === "failed") listener.reply(failed);
          else if (answer === "died") listener.died("gone");
          else if (answer === "done") listener.reply({ kind: "done" });
        });
      },
    });
    const ranks = new Ranks(2, { start, abort: () => {}, parting: true });
    if (answers[0] === "before") ranks.fail(new FailureError("before"));
    const work = answers[0] === "busy" ? ranks.all(() => ({ kind: "pretend", batch: NO_BATCH })) : null;
    work?.catch(() => {});
    await ranks.close();
    assertEquals(asked, [...expected]);
  }
});

Deno.test("a file that became shorter where one rank alone reads is named, as a mistake of the input", async () => {
  const shape = { ...SHAPES.tiny, layers: 1, topK: SHAPES.tiny.experts };
  using dir = new TemporaryDirectory();
  makeCheckpoint(dir, new Random(4), { shape, layout: "quark" });
  // The last expert's last columns, at the end of a file, belong to the last of the four ranks.
  const name = `model.layers.0.mlp.experts.${shape.experts - 1}.down_proj.weight`, path = `${dir.path}/b.safetensors`;
  rewrite(`${dir.path}/model.safetensors`, (tensors) => {
    Deno.writeFileSync(path, fileOf([[name, tensors.get(name)!]]));
    tensors.delete(name);
  });
  Deno.renameSync(`${dir.path}/model.safetensors`, `${dir.path}/a.safetensors`);
  const engine = await inTime(open(dir.path, { backend: "reference" }));
  assertEquals(await inTime(compute(engine)), 1);
  const end = Deno.statSync(path).size - 8;
  Deno.truncateSync(path, end);
  const failure = await assertRejects(() => inTime(compute(engine)), InputError);
  assertEquals(failure.message, `${path}: ends at byte ${end}, expected weights there`);
  await engine.close();
});
