import type { BenchResults, Figure } from "../../src/bench/figures.ts";
import { subjectText } from "../../src/bench/figures.ts";
import type { Limits } from "../../src/bench/limits.ts";
import { bench, type BenchHost, type BenchRequest, type BenchSoFar, refuseBench } from "../../src/bench/run.ts";
import { spreadOf } from "../../src/bench/spread.ts";
import { randomCheckpoint } from "../../src/checkpoint/random/checkpoint.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { layoutFor } from "../../src/cli/bench.ts";
import { benchLines, inOrder } from "../../src/cli/bench_tables.ts";
import { benchPage } from "../../src/cli/bench_page.ts";
import { FailureError, InputError } from "../../src/errors.ts";
import { SCHEME_NAMES } from "../../src/plan/scheme.ts";
import { openSetting } from "../../src/session/open.ts";
import type { Session } from "../../src/session/session.ts";
import { DEFAULTS, planSetting, type Setting } from "../../src/session/setting.ts";
import { assert, assertAlmostEquals, assertEquals, assertMatch, assertThrows } from "../assert.ts";
import { openSession } from "../session/open_session.ts";
import { SetClock } from "../timers.ts";

const LIMITS: Limits = {
  ...{ threads: 1, read_streams: 4 },
  ...{ read: spreadOf([4e9]), float32: spreadOf([1e10]), int8: spreadOf([4e10]) },
};

function requestOf(changes: Partial<BenchRequest> = {}, choices: Partial<Setting> = {}) {
  const checkpoint = randomCheckpoint({ shape: SHAPES.tiny, layout: "hf_mxfp4" });
  const setting = planSetting({ ...DEFAULTS, threads: 1, chunk: 16, ...choices, checkpoint });
  return {
    setting,
    shape: "tiny",
    prefill: [8],
    contexts: [128, 200],
    batches: [1, 3],
    batchContexts: [128],
    seconds: 300,
    longest: 30,
    ...changes,
  };
}

async function run(
  request: BenchRequest,
  prepare = (session: Session) => session,
  onProgress: BenchHost["onProgress"] = () => {},
): Promise<BenchSoFar> {
  const found: BenchSoFar = { computed: null, limits: null, figures: [], skipped: [] };
  const open: BenchHost["open"] = async (...all) => prepare(await openSetting(...all));
  await bench(request, { open, onProgress, limits: () => Promise.resolve(LIMITS) }, found);
  return found;
}

const named = (figures: readonly Figure[]) => figures.map(({ subject }) => subjectText(subject)).sort();

for (const backend of ["emulate", "reference"] as const) {
  Deno.test(`bench() measures prompts, contexts and batches with ${backend}`, async () => {
    const request = requestOf({ contexts: [128, 130] }, {
      backend,
      ...(backend === "reference" ? { threads: undefined } : {}),
    });
    const { figures, skipped, computed, limits } = await run(request);
    assertEquals(skipped, []);
    assertEquals(named(figures), ["decode at 128", "decode at 128, batch of 3", "decode at 130", "prefill 8"]);
    assertEquals([computed!.backend, computed!.layers, computed!.shape], [backend, 2, "tiny"]);
    for (const figure of figures) {
      const { tokens_per_second: rate, bytes, macs, of_limits, shares, bytes_per_second, macs_per_second } = figure;
      assert(rate.runs >= 3 && rate.low > 0 && rate.low <= rate.median && rate.median <= rate.high);
      assert(bytes > 0 && macs > 0 && of_limits!.float32.median > 0);
      // The limit was measured too, and is no better known.
      assertEquals(of_limits!.read.low, bytes_per_second.low / limits!.read.high);
      assertEquals(of_limits!.int8.high, macs_per_second.high / limits!.int8.low);
      // What they sum to depends on what else the machine does: tests/bench/shares_test.ts has made-up times.
      assert(
        shares!.every(({ share: { low, median, high } }) => 0 <= low && low <= median && median <= high && high <= 1),
      );
      assert(shares!.some(({ operation }) => operation === "experts.gate_up_proj"));
    }
  });
}

Deno.test("bench() decodes each batch after each of the positions asked for, one sequence only once", async () => {
  const request = requestOf({ prefill: [], contexts: [20], batches: [2, 1], batchContexts: [20, 4] });
  const { figures, skipped } = await run(request), seen = figures.map(({ subject }) => subjectText(subject));
  assertEquals(skipped, []);
  assertEquals(seen, ["decode at 20", "decode at 4", "decode at 4, batch of 2", "decode at 20, batch of 2"]);
  const [, , few, many] = figures;
  assert(many!.macs > few!.macs, "a batch looks at the keys of its own positions");
});

Deno.test("bench() measures batches with all logits, too, where an engine picks without them", async () => {
  const request = requestOf({ prefill: [], contexts: [20], batches: [40, 11, 12], batchContexts: [20] });
  const picked = ["decode at 20", ...[11, 12, 40].map((n) => `decode at 20, batch of ${n}`)];
  const handedOut = new Map<string, number>();
  let now = "";
  const { figures, skipped } = await run(request, (session) => {
    const compute = session.run.bind(session);
    session.run = (feeds, onLogits, tap) =>
      compute(feeds, (...row) => {
        handedOut.set(now, (handedOut.get(now) ?? 0) + 1);
        onLogits?.(...row);
      }, tap);
    return session;
  }, (_done, _total, begun) => now = begun);
  assertEquals(skipped, []);
  const all = picked.slice(2).map((name) => `${name}, all logits`);
  assertEquals(figures.map(({ subject }) => subjectText(subject)), [...picked, ...all]);
  // Of these alone logits are asked for; a look and three runs at least.
  assertEquals([...handedOut.keys()], all);
  all.forEach((name, i) => assert(handedOut.get(name)! >= 4 * [12, 40][i]!, name));
  for (const { subject, shares, macs } of figures) {
    if (subject.kind !== "decode" || subject.logits !== "all") continue;
    const { logits: _, ...plain } = subject;
    const twin = figures.find((one) => subjectText(one.subject) === subjectText(plain))!;
    assertEquals(macs, twin.macs);
    assert(shares!.some(({ operation }) => operation === "experts.gate_up_proj"));
  }
  // In the table each follows its twin, and neither stands for the other.
  const rows = inOrder(figures).map(({ subject }) => subjectText(subject));
  assertEquals(rows, [...picked.slice(0, 3), all[0]!, picked[3]!, all[1]!]);

  // Where logits are computed anyway there is nothing to tell apart.
  for (const choices of [{ backend: "reference", threads: undefined }, { tp: 2, threads: 2 }] as const) {
    const { figures } = await run(requestOf({ prefill: [], contexts: [], batches: [12] }, choices));
    assertEquals(named(figures), ["decode at 128, batch of 12"]);
  }
});

Deno.test("bench() tells the pace of batches with all logits from that of picked ones", async () => {
  using clock = new SetClock();
  const request = requestOf({ prefill: [], contexts: [4], batches: [16, 32, 64], batchContexts: [4], seconds: 40 });
  const { figures, skipped } = await run(request, (session) => {
    const { pick, run } = session;
    return Object.assign(session, {
      pick: (...all: Parameters<typeof pick>) => (clock.milliseconds += all[0].length, pick.apply(session, all)),
      // A hundred times as long.
      run: (...all: Parameters<typeof run>) => (clock.milliseconds += 100 * all[0].length, run.apply(session, all)),
    });
  });
  const picked = ["decode at 4", ...[16, 32, 64].map((n) => `decode at 4, batch of ${n}`)];
  const names = figures.map(({ subject }) => subjectText(subject));
  assertEquals(names, [...picked, ...picked.slice(1, 3).map((name) => `${name}, all logits`)]);
  // By the pace of those before it with all logits, not by that of picks.
  assertEquals(skipped.map(({ subject, seconds }) => [subjectText(subject), seconds]), [
    ["decode at 4, batch of 64, all logits", 4 * 6.4],
  ]);
});

Deno.test("bench() leaves out what does not fit the time, and says how long it takes", async () => {
  using clock = new SetClock();
  const took = (tokens: number) => clock.milliseconds += tokens;
  const { figures, skipped } = await run(
    requestOf({ seconds: 10, prefill: [8, 2500, 120_000], contexts: [4], batches: [] }),
    (session) => takingTime(session, took),
  );
  // A millisecond a token; a look and three runs.
  assertEquals(named(figures), ["decode at 4", "prefill 8"]);
  assertEquals(skipped.map(({ subject, seconds }) => [subjectText(subject), seconds]), [
    ["prefill 2500", 4 * 2.5],
    ["prefill 120000", 4 * 120],
  ]);
});

/** Tells how many tokens of a prompt are computed, or of a step. */
function takingTime(session: Session, took: (tokens: number) => void): Session {
  const { feed, step } = session;
  return Object.assign(session, {
    feed: (...all: Parameters<typeof feed>) => (took(all[0].tokens.length), feed.apply(session, all)),
    step: (...all: Parameters<typeof step>) => (took(all[0].length), step.apply(session, all)),
  });
}

Deno.test("shares of a prompt in several chunks are of as many runs as were looked at", async () => {
  // Nine chunks each: more than there are looks.
  const choices = { chunk: 16, promptChunk: 16 };
  const { figures } = await run(requestOf({ prefill: [130], contexts: [], batches: [], longest: 2000 }, choices));
  const [{ shares }] = figures as [Figure];
  assert(shares!.every(({ share: { runs } }) => runs <= 7), `${shares![0]!.share.runs} runs`);
});

Deno.test("what covers less often than 95% says so: shares, parts of limits, and what depth leaves", async () => {
  const { computed, figures: [figure] } = await run(requestOf({ contexts: [4], batches: [] }));
  const machine = { processor: null, threads: 1, memory_bytes: null, load: 3.5, system: "a test", deno: "0" };
  const lines = (runs: number) => {
    const spread = spreadOf(Array.from({ length: runs }, (_, i) => 100 + i * 5 % runs)), { coverage } = spread;
    const found = ([4, 9] as const).map((context): Figure => ({
      ...{ ...figure!, subject: { kind: "decode", sequences: 1, context }, tokens_per_second: spread },
      of_limits: { read: spread, float32: spread, int8: { ...spread, coverage: coverage - 0.01 } },
      shares: [{ operation: "router", share: { ...spread, median: 0.5, low: 0.4, high: 0.6 } }],
    }));
    return benchLines({
      ...{ schema: "mxoss.bench", version: 1, mxoss: "0", machine, computed: computed!, limits: LIMITS },
      ...{ figures: found, skipped: [], interrupted: false },
    }).join("\n");
  };
  const few = lines(3), many = lines(8);
  assertMatch(few, /these shares, from the least run to the largest, cover [^]*decode at 9: 75%, of 3 runs/);
  assertMatch(few, /of read, float32 and int8: intervals hold where .* do, 74% or more/);
  assertMatch(few, /decode at 9 : decode at 4 = .*\], with 50% or more/);
  // 1 - 2 / 256 each.
  assertEquals(/cover the median less|or more/.exec(many), null);
});

Deno.test("random weights suit every scheme, static scales of inputs included", () => {
  for (const scheme of SCHEME_NAMES) {
    const checkpoint = randomCheckpoint({ shape: SHAPES.tiny, ...layoutFor(scheme) });
    planSetting({ ...DEFAULTS, checkpoint, scheme });
  }
});

Deno.test("refuseBench() refuses what cannot be measured before anything is loaded", () => {
  assertThrows(() => refuseBench(requestOf({ prefill: [131_073] })), InputError, "prefill: expected at most 131072");
  assertThrows(() => refuseBench(requestOf({ contexts: [131_000] })), InputError, "contexts: expected at most 131072");
  const deep = requestOf({ batchContexts: [128, 131_000] });
  assertThrows(() => refuseBench(deep), InputError, "batchContexts: expected at most 131072 positions");
  refuseBench(requestOf({ batches: [], batchContexts: [131_000] }));
  const many = requestOf({ batches: [100_000_000] });
  assertThrows(
    () => refuseBench(many),
    FailureError,
    "use fewer layers, or smaller contexts, batches and batchContexts",
  );
});

Deno.test("Session.pretend() makes a sequence long, with keys and values that are no zeros", async () => {
  const checkpoint = randomCheckpoint({ shape: SHAPES.tiny, layout: "hf_mxfp4" });
  const logits = async (backend: "emulate" | "reference", length: number) => {
    const choices = { backend, dtype: "f32", kvCacheDtype: "auto", context: 64, maxTokens: 16 } as const;
    const session = await openSession(checkpoint, backend === "emulate" ? { ...choices, threads: 1 } : choices);
    let row = new Float32Array(0);
    await session.pretend(0, length);
    assertEquals(session.length(0), length);
    await session.step([{ slot: 0, token: 7 }], (_, logits) => row = logits.slice());
    await session.close();
    return row;
  };
  const a = await logits("emulate", 40), b = await logits("reference", 40);
  a.forEach((value, i) => assertAlmostEquals(value, b[i]!, 1e-3));
  const fewer = await logits("emulate", 39);
  assert(fewer.some((value, i) => value !== a[i]), "attention looks at what was made up");
});

Deno.test("the table and the page of a benchmark name every figure", async () => {
  const { computed, limits, figures } = await run(requestOf({ contexts: [4, 9] }));
  const machine = { processor: null, threads: 1, memory_bytes: null, load: 3.5, system: "a test", deno: "0" };
  const results: BenchResults = {
    ...{ schema: "mxoss.bench", version: 1, mxoss: "0", machine, computed: computed!, limits, figures },
    skipped: [{ subject: { kind: "prefill", tokens: 512 }, seconds: 70 }],
    interrupted: false,
  };
  const lines = benchLines(results).join("\n"), page = await benchPage(results);
  for (const name of named(figures)) assert(lines.includes(name) && page.includes(name), name);
  assertMatch(lines, /limits +4\.0 \(one run\) GB\/s read, 10 \(one run\) GMAC\/s float32, 40/);
  assertMatch(lines, /decode at 128 : decode at 4 = /);
  assertMatch(lines, /load 3\.5 before/);
  // Parts of the limits, and shares of time, have their intervals or say that there was one run.
  assertMatch(lines, /of int8\n.*\d% [[(].*\d% [[(].*\d% [[(]/);
  assertMatch(lines, /share of time.*\n.*\d% [[(]/);
  assertMatch(lines, /prefill 512: some 1m 10s/);
  assertMatch(page, /<svg/);
});
