import type { BenchResults, Figure } from "../../src/bench/figures.ts";
import { subjectText } from "../../src/bench/figures.ts";
import { type Limits, measureLimits } from "../../src/bench/limits.ts";
import { STREAMS } from "../../src/bench/probe_messages.ts";
import { bench, type BenchRequest, type BenchSoFar, refuseBench } from "../../src/bench/run.ts";
import { spreadOf } from "../../src/bench/spread.ts";
import { randomCheckpoint } from "../../src/checkpoint/random/checkpoint.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { layoutFor } from "../../src/cli/bench.ts";
import { benchLines } from "../../src/cli/bench_tables.ts";
import { benchPage } from "../../src/cli/bench_page.ts";
import { FailureError, InputError } from "../../src/errors.ts";
import { SCHEME_NAMES } from "../../src/plan/scheme.ts";
import { openSetting } from "../../src/session/open.ts";
import { DEFAULTS, planSetting, type Setting } from "../../src/session/setting.ts";
import { assert, assertAlmostEquals, assertEquals, assertMatch, assertThrows } from "../assert.ts";
import { openSession } from "../session/open_session.ts";

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
    seconds: 300,
    longest: 30,
    ...changes,
  };
}

async function run(request: BenchRequest): Promise<BenchSoFar> {
  const found: BenchSoFar = { computed: null, limits: null, figures: [], skipped: [] };
  const host = { open: openSetting, onProgress: () => {}, limits: () => Promise.resolve(LIMITS) };
  await bench(request, host, found);
  return found;
}

const named = (figures: readonly Figure[]) => figures.map(({ subject }) => subjectText(subject)).sort();

for (const backend of ["emulate", "reference"] as const) {
  Deno.test(`bench() measures prompts, contexts and batches with ${backend}`, async () => {
    const request = requestOf({ contexts: [128, 130] }, {
      backend,
      ...(backend === "reference" ? { threads: undefined } : {}),
    });
    const { figures, skipped, computed } = await run(request);
    assertEquals(skipped, []);
    assertEquals(named(figures), ["decode at 128", "decode at 128, batch of 3", "decode at 130", "prefill 8"]);
    assertEquals([computed!.backend, computed!.layers, computed!.shape], [backend, 2, "tiny"]);
    for (const { tokens_per_second: rate, bytes, macs, of_limits, shares } of figures) {
      assert(rate.runs >= 3 && rate.low > 0 && rate.low <= rate.median && rate.median <= rate.high);
      assert(bytes > 0 && macs > 0 && of_limits!.float32.median > 0);
      // What they sum to depends on what else the machine does: tests/bench/shares_test.ts has made-up times.
      assert(
        shares!.every(({ share: { low, median, high } }) => 0 <= low && low <= median && median <= high && high <= 1),
      );
      assert(shares!.some(({ operation }) => operation === "experts.gate_up_proj"));
    }
  });
}

Deno.test("bench() leaves out what does not fit the time, and says how long it takes", async () => {
  const { figures, skipped } = await run(
    requestOf({ seconds: 10, prefill: [8, 120_000], contexts: [4], batches: [] }),
  );
  assertEquals(named(figures), ["decode at 4", "prefill 8"]);
  assertEquals(skipped.map(({ subject }) => subjectText(subject)), ["prefill 120000"]);
  assert(skipped[0]!.seconds! > 10);
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
  const many = requestOf({ batches: [100_000_000] });
  assertThrows(() => refuseBench(many), FailureError, "use fewer layers, or smaller contexts and batches");
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

Deno.test("measureLimits() finds more than nothing, and more for bytes than for floats", async () => {
  const { read, read_streams, float32, int8, threads } = await measureLimits(2, { milliseconds: 2, bytes: 8 << 20 });
  assertEquals(threads, 2);
  assert(STREAMS.some((streams) => streams === read_streams));
  assert(read.median > 1e7 && float32.median > 1e7);
  // What else runs takes from some runs of either, never from the fastest.
  assert(int8.high > float32.high, `${int8.high} and ${float32.high}`);
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
  assertMatch(lines, /prefill 512: some 1m 10s/);
  assertMatch(page, /<svg/);
});
