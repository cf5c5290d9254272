/** What goes wrong below the server: whose matter it is, and what clients and load balancers are told. */
import { pause } from "../../src/breath.ts";
import { FailureError, InputError, reason } from "../../src/errors.ts";
import type { Engine } from "../../src/model/engine.ts";
import type { Ranks } from "../../src/parallel/ranks.ts";
import type { Job } from "../../src/serve/engine/job.ts";
import type { SamplerOptions } from "../../src/session/sampler.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { SetClock } from "../timers.ts";
import { ChoosingEngine } from "./choosing_engine.ts";
import { jobOf, openServing } from "./serving.ts";

/** An engine whose `compute` is another. */
function computing(own: Engine, compute: Engine["compute"]): Engine {
  return { info: own.info, compute, copySlot: (...all) => own.copySlot(...all), close: () => own.close() };
}

const COMPLETION = { max_tokens: 4, temperature: 0, return_tokens_as_token_ids: true, logprobs: 0 };

Deno.test("logits that are no numbers are the matter of their sequence alone", async () => {
  // By a clock that stands still no pause is due, in which one could be computed before the others are there.
  using _clock = new SetClock();
  const poison = 7, seen: number[] = [];
  const engine = (own: Engine) =>
    computing(own, (batch, rows, onRow, tap) =>
      own.compute(batch, rows, (row, logits) => {
        if (batch.ids[row] === poison) logits.fill(NaN);
        seen.push(batch.ids.length);
        onRow(row, logits);
      }, tap));
  await using serving = await openServing({ slots: 4, context: 64, engine });
  const ask = async (prompt: number[], more: object = {}) => {
    const response = await serving.post("/v1/completions", { ...COMPLETION, prompt, ...more });
    return { status: response.status, json: await response.json() };
  };
  const [good, bad, other] = await Promise.all([ask([1, 2, 3]), ask([4, 5, poison]), ask([8, 9, 10])]);
  assertEquals([good.status, bad.status, other.status], [200, 500, 200]);
  assertMatch(bad.json.error.message, /^logits of position 2, token 0: expected numbers, got NaN/);
  assert(Math.max(...seen) > 3, "they shared a batch");
  await using plain = await openServing({ slots: 1, context: 64 });
  const alone = await (await plain.post("/v1/completions", { ...COMPLETION, prompt: [1, 2, 3] })).json();
  assertEquals(good.json.choices, alone.choices);
  // One that got the scores before has none of what comes after, whoever else fails.
  const scored = { ...COMPLETION, echo: true, logprobs: 1 }, seenBefore = seen.length;
  const [sound, ...spoilt] = await Promise.all([
    ask([1, 2, 3]),
    ask([4, poison, 5, 6], scored),
    ask([5, poison]),
    ask([6, 6, poison], { ...scored, max_tokens: 0 }),
  ]);
  assertEquals(sound.json.choices, alone.choices);
  assertEquals(spoilt.map(({ status }) => status), [500, 500, 500]);
  assert(Math.max(...seen.slice(seenBefore)) >= 3 + 4 + 2, "they shared a batch");
  // By itself it fails alone as well: what can be computed is computed, and nobody is to think otherwise.
  assertEquals((await ask([poison])).status, 500);
  assertEquals((await serving.get("/health")).status, "ok");
});

Deno.test("a mistake in a file that the engine computes from is the server's failure, not the client's", async () => {
  const engine = (own: Engine) =>
    computing(own, () => Promise.reject(InputError.of("changed", { file: "weights" }, "the file of the start")));
  await using serving = await openServing({ slots: 1, context: 64, engine });
  const response = await serving.post("/v1/completions", { ...COMPLETION, prompt: "Ann" });
  const { error: { message, type, code } } = await response.json();
  assertEquals([response.status, type, code], [500, "server_error", "failure"]);
  assertEquals(message, "weights: expected the file of the start");
});

Deno.test("such a sequence is alone with it where the engine chooses tokens", async () => {
  let poison = -1;
  const engine = (own: Engine) =>
    new ChoosingEngine(computing(own, (batch, rows, onRow, tap) =>
      own.compute(batch, rows, (row, logits) => {
        if (batch.ids[row] === poison) logits.fill(NaN);
        onRow(row, logits);
      }, tap)));
  await using serving = await openServing({ slots: 3, context: 64, engine });
  const { service } = serving, model = service.model();
  const ask = async (i: number, sampling: SamplerOptions) => {
    const generation = service.submit(model, jobOf(Int32Array.of(1, 2 + i, 10 + i), { maxTokens: 14, sampling }));
    try {
      return (await Array.fromAsync(generation)).map(({ id }) => id);
    } catch (thrown) {
      return reason(thrown);
    }
  };
  // Draws go on from where they were; where all are greedy, the prompts' last tokens are picked from as well.
  for (const sampling of [{ temperature: 0.9, seed: 5 }, {}]) {
    const all = () => Promise.all([0, 1, 2].map((i) => ask(i, sampling)));
    poison = -1;
    const expected = await all(), [first, bad, last] = expected as number[][];
    const others = new Set([...first!, ...last!, 1, 2, 4, 10, 12]), own = [1, 3, 11, ...bad!];
    const at = own.findIndex((id, i) => i > 4 && !others.has(id) && own.indexOf(id) === i);
    assert(at > 0 && at < own.length - 1 && !others.has(11));
    for (const position of [at, 2]) {
      poison = own[position]!;
      const [one, failed, two] = await all();
      assertEquals([one, two], [first, last]);
      assertMatch(`${failed}`, new RegExp(`^logits of position ${position}, token 0: expected numbers`));
    }
  }
  assertEquals((await serving.get("/health")).status, "ok");
});

Deno.test("an engine that fails is said to all that wait for it, and to who asks for health", async () => {
  let fails = true;
  const engine = (own: Engine) =>
    computing(own, (...request) => {
      if (fails) return Promise.reject(new FailureError("a thread died"));
      return own.compute(...request);
    });
  await using serving = await openServing({ slots: 1, context: 64, engine });
  const ask = async () => {
    const response = await serving.post("/v1/completions", { ...COMPLETION, prompt: "Ann" });
    return [response.status, (await response.json()).error?.message];
  };
  assertEquals(await Promise.all([ask(), ask()]), [[500, "a thread died"], [500, "a thread died"]]);
  const sick = await serving.app.fetch(new Request("http://localhost/health"));
  assertEquals([sick.status, (await sick.json()).error.message], [503, "tiny-gpt-oss: a thread died"]);
  fails = false;
  assertEquals(await ask(), [200, undefined]);
  assertEquals((await serving.get("/health")).status, "ok");
});

Deno.test("an engine that fails for good is opened again, a few times, and health says so meanwhile", async () => {
  // By a clock that stands still no pause is due, in which the second request could overtake the first.
  using _clock = new SetClock();
  let opened = 0, closed = 0, failing = true;
  const gate = Promise.withResolvers<void>();
  /** Dies in its second batch, as a thread of its own would. */
  const engine = (own: Engine): Engine => {
    let batches = 0, failure: Error | undefined;
    opened++;
    return {
      info: own.info,
      get failure() {
        return failure;
      },
      compute: (...request) => {
        if (failing && ++batches > 1) failure ??= new FailureError("a thread died");
        return failure === undefined ? own.compute(...request) : Promise.reject(failure);
      },
      copySlot: (...all) => own.copySlot(...all),
      close: async () => {
        closed++;
        await gate.promise;
        await own.close();
      },
    };
  };
  await using serving = await openServing({ slots: 1, context: 64, engine, reopens: true });
  const ask = async (more: object = {}) => {
    const response = await serving.post("/v1/completions", { ...COMPLETION, prompt: "Ann", ...more });
    const { choices, error } = await response.json();
    return [response.status, choices?.[0].logprobs.tokens.length ?? error.message];
  };
  // Who waits is computed by the next engine; who was being computed is told.
  const [first, second] = [ask(), ask({ max_tokens: 1 })];
  assertEquals(await first, [500, "a thread died"]);
  const sick = await serving.app.fetch(new Request("http://localhost/health"));
  assertEquals([sick.status, (await sick.json()).error.message], [503, "tiny-gpt-oss: a thread died"]);
  gate.resolve();
  assertEquals(await second, [200, 1]);
  assertEquals((await serving.get("/health")).status, "ok");
  assertEquals([opened, closed], [2, 1]);
  const metrics = await serving.app.fetch(new Request("http://localhost/metrics"));
  assertMatch(await metrics.text(), /^mxoss:engine_restarts_total\{model_name="tiny-gpt-oss"\} 1$/m);
  // What fails each time is not opened for ever.
  for (let i = 0; i < 4; i++) assertEquals(await ask(), [500, "a thread died"]);
  assertEquals(opened, 4);
  assertEquals((await serving.app.fetch(new Request("http://localhost/health"))).status, 503);
  // What failed long ago is another matter.
  using _later = new SetClock(performance.now() + 600_000);
  assertEquals(await ask(), [500, "a thread died"]);
  failing = false;
  assertEquals([await ask(), opened], [[200, 4], 5]);
});

Deno.test("the thread that computes for a server is replaced where it failed", async () => {
  const engines: Engine[] = [];
  const engine = (own: Engine) => {
    engines.push(own);
    return own;
  };
  await using serving = await openServing({ slots: 1, context: 64, threads: 2, apart: true, engine, reopens: true });
  const ask = async () => {
    const response = await serving.post("/v1/completions", { ...COMPLETION, prompt: "Ann" });
    const { choices, error } = await response.json();
    return choices?.[0].logprobs ?? error.message;
  };
  const before = await ask();
  (engines[0] as unknown as { readonly ranks: Ranks }).ranks.fail(new FailureError("the thread died"));
  assertEquals([await ask(), await ask(), engines.length], ["the thread died", before, 2]);
});

Deno.test("a mask or a watch that throws, or leaves no token, fails its own sequence only", async () => {
  await using serving = await openServing({ slots: 3, context: 64 });
  const { service } = serving, model = service.model();
  const job = (more: Partial<Job>) => service.submit(model, jobOf(Int32Array.of(1, 2, 3), { maxTokens: 4, ...more }));
  const none = { apply: (logits: Float32Array) => logits.fill(-Infinity), push: () => {} };
  const [plain, masked, watched] = [
    job({}),
    job({ mask: none }),
    job({
      watch: () => {
        throw new Error("seen enough");
      },
    }),
  ];
  const messageOf = (outcome: Promise<unknown>) => outcome.then(() => null, ({ message }: Error) => message);
  assertMatch((await messageOf(masked!.outcome))!, /^logits: expected a token that is possible/);
  assertEquals(await messageOf(watched!.outcome), "seen enough");
  assertEquals((await plain!.outcome).generatedTokens, 4);
});

Deno.test("requests that a stopping server ends are told so, and that it is none of their doing", async () => {
  await using serving = await openServing({ slots: 1, context: 2048, maxReply: 2000 });
  const { service, app } = serving, load = () => service.load(service.model());
  const body = { prompt: "Ann", max_tokens: 1900, ignore_eos: true };
  const running = serving.post("/v1/completions", body),
    asked = [
      serving.post("/v1/completions", { ...body, n: 2 }),
      serving.post("/v1/chat/completions", { messages: [{ role: "user", content: "Ann" }] }),
      serving.post("/v1/responses", { input: "Ann" }),
    ];
  const streamed = await serving.post("/v1/completions", { ...body, stream: true });
  while (load().running < 1 || load().waiting < 5) await pause(1);
  app.refuse();
  app.abort();
  const stopping = { message: "the server is stopping", type: "server_error", param: null, code: "stopping" };
  for (const response of await Promise.all([running, ...asked])) {
    assertEquals([response.status, response.headers.get("retry-after")], [503, "5"]);
    assertEquals((await response.json()).error, stopping);
  }
  assertEquals(JSON.parse((await streamed.text()).trim().split("data: ").at(-1)!).error, stopping);
  await app.idle();
  // They are told at once; what is being computed for them comes to the end of its batch.
  while (load().running > 0) await pause(1);
  assertEquals([load().running, load().waiting], [0, 0]);
  assertEquals(serving.log.map(({ error }) => error), Array(5).fill("the server is stopping"));
});
