/** The scheduler over sequences that share pages: who waits, who gives way, and that nobody's tokens change by it. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { reason } from "../../src/errors.ts";
import { Metrics } from "../../src/serve/endpoints/metrics.ts";
import { stateEndpoints } from "../../src/serve/endpoints/state.ts";
import type { Job } from "../../src/serve/engine/job.ts";
import { ModelService } from "../../src/serve/engine/model_service.ts";
import { Scheduler } from "../../src/serve/engine/scheduler.ts";
import { Turns } from "../../src/serve/engine/turns.ts";
import { makeApp } from "../../src/serve/http/app.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { openPaged, replyTo, VOCAB } from "../session/paged_engine.ts";
import { dose } from "../soak.ts";
import { jobOf, TINY } from "./serving.ts";

const SLOTS = 24;
const tokens = (seed: number, length: number) =>
  Int32Array.from({ length }, (_, i) => (seed * 17 + i * i * 5 + i) % VOCAB);

/** A scheduler over so many pages. */
function open(pages: number, decodes: boolean) {
  const { session } = openPaged({ slots: SLOTS, context: 512, maxTokens: 64, pages, rewind: 64 }, decodes);
  let preempted = 0;
  const observer = { firstToken() {}, nextToken() {}, ended() {}, failed() {}, preempted: () => preempted++ };
  const scheduler = new Scheduler(session, new Turns(), { queue: 2000, milliseconds: 60_000 }, observer);
  /** Pages that are left when nothing is. */
  const leaks = () => {
    for (let slot = 0; slot < SLOTS; slot++) session.reset(slot);
    return session.paging.use!.used;
  };
  return { session, scheduler, leaks, preempted: () => preempted };
}

/** Jobs of many lengths; every fourth begins as the one before, some are scored and some sampled. */
function jobs(count: number, least: number): Job[] {
  return Array.from({ length: count }, (_, i) => {
    const beginning = i % 4 === 3 ? tokens(i - 1, 80) : new Int32Array(0);
    const prompt = Int32Array.from([...beginning, ...tokens(i, 3 + (i * 29) % 60)]);
    return jobOf(prompt, {
      maxTokens: least + (i * 53) % 100,
      requestId: `${i}`,
      ...(i % 5 === 1 ? { logprobs: 1, echo: true } : {}),
      ...(i % 7 === 2 ? { sampling: { temperature: 1.3, seed: i } } : {}),
    });
  });
}

/** Tokens of every job, and what was said of its prompt. */
function repliesOf(scheduler: Scheduler, all: readonly Job[]) {
  return Promise.all(all.map(async (job) => {
    const generation = scheduler.submit(job), ids = (await Array.fromAsync(generation)).map(({ id }) => id);
    return { ids, prompt: (await generation.prompt).map(({ id }) => id), reason: (await generation.outcome).reason };
  }));
}

Deno.test("the youngest sequences give way where pages are few, and nobody's tokens change by it", async () => {
  const all = jobs(dose(12, 120), 230);
  for (const decodes of [false, true]) {
    const enough = open(1000, decodes), few = open(26, decodes);
    const expected = await repliesOf(enough.scheduler, all), got = await repliesOf(few.scheduler, all);
    assertEquals(got, expected);
    all.forEach(({ prompt, maxTokens, sampling, echo }, i) => {
      if (sampling.seed === undefined) assertEquals(got[i]!.ids, replyTo(prompt, maxTokens));
      assertEquals(got[i]!.prompt, echo ? [...prompt] : []);
    });
    assert(few.preempted() > 0 && few.scheduler.preemptions === few.preempted(), `${few.preempted()} preempted`);
    assertEquals([enough.preempted(), enough.leaks(), few.leaks()], [0, 0, 0]);
  }
});

Deno.test("after a thousand sequences, cancelled ones among them, every page is free", async () => {
  const { scheduler, leaks, session } = open(40, true), all = jobs(dose(120, 1000), 1);
  let most = 0;
  await Promise.all(all.map(async (job, i) => {
    const generation = scheduler.submit(job);
    for await (const _ of generation) {
      most = Math.max(most, scheduler.running);
      if (i % 6 === 0) break;
    }
    assertEquals((await generation.outcome).reason, i % 6 === 0 && job.maxTokens > 1 ? "cancelled" : "length");
  }));
  assert(most > 5, `${most} at once`);
  assert(session.paging.use!.used > 0, "what ended sequences left can be shared");
  assertEquals([scheduler.running, scheduler.waiting, leaks()], [0, 0, 0]);
});

Deno.test("sequences that begin alike are let in beside one another, as there is one copy of that", async () => {
  const beginning = tokens(3, 192);
  const atOnce = async (alike: boolean) => {
    const { scheduler, leaks, preempted } = open(50, true);
    let most = 0;
    await Promise.all(Array.from({ length: 10 }, async (_, i) => {
      const prompt = Int32Array.from([...(alike ? beginning : tokens(100 + i, 192)), ...tokens(i, 4)]);
      const generation = scheduler.submit(jobOf(prompt, { maxTokens: 20, requestId: `${i}` })), ids: number[] = [];
      for await (const { id } of generation) {
        ids.push(id);
        most = Math.max(most, scheduler.running);
      }
      assertEquals(ids, replyTo(prompt, 20));
    }));
    assertEquals([preempted(), leaks()], [0, 0]);
    return most;
  };
  assertEquals([await atOnce(true), await atOnce(false)], [10, 6]);
});

Deno.test("a sequence that gave way can be cancelled, and a waiting one begins as soon as there is room", async () => {
  const { scheduler, leaks, preempted } = open(17, true);
  const [old, young, third] = [0, 1, 2].map((i) =>
    scheduler.submit(jobOf(tokens(i, 150), { maxTokens: 300, requestId: `${i}` }))
  );
  const reading = (async () => await Array.fromAsync(old!))(), other = (async () => await Array.fromAsync(young!))();
  let seen = 0;
  for await (const _ of third!) if (++seen === 2) break;
  const before = preempted();
  assertEquals([(await reading).length, (await other).length, (await third!.outcome).reason], [300, 300, "cancelled"]);
  assert(before > 0 || preempted() > 0, "none gave way");
  assertEquals(leaks(), 0);
});

Deno.test("who has no slot ends at once when it is cancelled, whatever is computed for others", async () => {
  const { scheduler, leaks, preempted } = open(17, true);
  const submit = (i: number, length: number) =>
    scheduler.submit(jobOf(tokens(i, length), { maxTokens: 300, requestId: `${i}` }));
  // The second one fits beside the first until both have grown; the last one never does.
  const old = submit(0, 150), young = submit(1, 150), last = submit(2, 200), late: number[] = [];
  let count = 0;
  const cancel = (generation: typeof old) => {
    const before = count;
    void generation.outcome.then(() => late.push(count - before));
    generation.cancel();
  };
  let gaveWay = false;
  for await (const _ of old) {
    if (++count === 3) cancel(last);
    if (!gaveWay && preempted() > 0) cancel(young);
    gaveWay ||= preempted() > 0;
  }
  // Tokens that the first one got until the others heard of it; the device computes up to 64 at a time.
  assertEquals([count, late], [300, [0, 0]]);
  assertEquals([scheduler.running, scheduler.waiting, leaks()], [0, 0, 0]);
});

Deno.test("where a batch fails, nobody goes on with positions that it did not compute", async () => {
  const { session, scheduler, leaks } = open(60, false), { engine } = session, compute = engine.compute.bind(engine);
  let batches = 0;
  engine.compute = (...args) => ++batches === 4 ? Promise.reject(new Error("out of order")) : compute(...args);
  const prompts = [tokens(1, 20), tokens(2, 400)];
  // One generates while the other's prompt is computed, of which no logits are wanted yet.
  const got = prompts.map((prompt, i) => scheduler.submit(jobOf(prompt, { maxTokens: 9, requestId: `${i}` })));
  const ends = await Promise.all(got.map(async (generation) => {
    try {
      return (await Array.fromAsync(generation)).map(({ id }) => id);
    } catch (thrown) {
      return reason(thrown);
    }
  }));
  assertEquals(ends, ["out of order", "out of order"]);
  const [again] = await repliesOf(scheduler, [jobOf(prompts[1]!, { maxTokens: 9, requestId: "again" })]);
  assertEquals([again!.ids, leaks()], [replyTo(prompts[1]!, 9), 0]);
});

Deno.test("/health and /metrics say how many pages there are, and who has some", async () => {
  const { session } = openPaged({ slots: SLOTS, context: 512, maxTokens: 64, pages: 17, rewind: 64 }), name = "paged";
  const { config } = openCheckpoint(TINY), tokenizer = await Tokenizer.fromDirectory(TINY), metrics = new Metrics();
  const limits = { context: 512, promptTokens: 512, maxTokens: 512 }, stopIds = new Set<number>();
  const model = { name, scheme: null, textDirectory: TINY, config, tokenizer, stopIds, limits, created: 0 };
  const options = { queue: 10, milliseconds: 60_000 };
  const service = new ModelService([{ model, session, observer: metrics.observer(name) }], options);
  const endpoints = [...stateEndpoints("1"), metrics.endpoint(service)];
  const app = makeApp({ service, endpoints, guard: { apiKeys: [] }, bodyBytes: 1, log: () => {} });
  const get = async (path: string) => await (await app.fetch(new Request(`http://localhost${path}`))).text();
  assertEquals(JSON.parse(await get("/health")), {
    status: "ok",
    kv_pages: { paged: { pages: 17, used: 0, preemptions: 0 } },
  });
  const all = [0, 1].map((i) => service.submit(model, jobOf(tokens(i, 150), { maxTokens: 300, requestId: `${i}` })));
  await Promise.all(all.map(({ outcome }) => outcome));
  const { kv_pages: { paged } } = JSON.parse(await get("/health")), text = await get("/metrics");
  assert(paged.used > 5 && paged.used <= 17 && paged.preemptions > 0, JSON.stringify(paged));
  for (const [metric, value] of [["kv_pages", 17], ["kv_pages_used", paged.used]] as const) {
    assertMatch(text, new RegExp(`^mxoss:${metric}\\{model_name="paged"\\} ${value}$`, "m"));
  }
  assertMatch(text, new RegExp(`^mxoss:num_preemptions_total\\{model_name="paged"\\} ${paged.preemptions}$`, "m"));
  assertEquals([service.load(model).running, service.load(model).cacheUsage], [0, 0]);
});
