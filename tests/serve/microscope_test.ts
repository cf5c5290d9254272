import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import type { Session } from "../../src/session/session.ts";
import { argmax } from "../../src/session/likelihood.ts";
import type { ComparedEvent, LayersResponse, TokenEvent } from "../../src/serve/microscope/schema.ts";
import { assert, assertEquals } from "../assert.ts";
import { openSession } from "../session/open_session.ts";
import { jobOf, openServing, type Serving, TINY } from "./serving.ts";

const SCHEME = "w_mxfp4_a_mxfp4", MODELS = ["tiny-gpt-oss", `tiny-gpt-oss@${SCHEME}`] as const;
const PROMPT = "Sam has 12 marbles and gives 5 away. How many are left?";

function openPair(): Promise<Serving> {
  return openServing({ schemes: [null, SCHEME] });
}

/** Events of a stream by name. */
async function eventsOf(response: Response): Promise<Map<string, unknown[]>> {
  assertEquals(response.status, 200);
  const events = new Map<string, unknown[]>();
  for (const block of (await response.text()).split("\n\n")) {
    const [, name, data] = /^event: (\w+)\ndata: (.*)$/s.exec(block) ?? [];
    if (name !== undefined) events.set(name, [...events.get(name) ?? [], JSON.parse(data!)]);
  }
  return events;
}

async function openAlone(scheme: string | null): Promise<Session> {
  return await openSession(openCheckpoint(TINY), {
    backend: "emulate",
    dtype: "bf16",
    kvCacheDtype: "auto",
    context: 400,
    slots: 1,
    maxTokens: 400,
    threads: 1,
    ...(scheme === null ? {} : { scheme }),
  });
}

/** KL(p || q) in nats, written down once more. */
function divergence(p: Float32Array, q: Float32Array): number {
  const shares = (x: Float32Array) => {
    const most = x.reduce((a, b) => Math.max(a, b)), e = Array.from(x, (v) => Math.exp(v - most));
    const sum = e.reduce((a, b) => a + b);
    return e.map((v) => v / sum);
  };
  const [a, b] = [shares(p), shares(q)];
  return a.reduce((sum, v, i) => v === 0 ? sum : sum + v * Math.log(v / b[i]!), 0);
}

Deno.test("the microscope shows what sessions of either scheme compute on the same tokens", async (t) => {
  await using serving = await openPair();
  const events = await eventsOf(
    await serving.post("/v1/microscope", { models: MODELS, prompt: PROMPT, max_tokens: 40, top: 3 }),
  );
  const [{ ids: prompt }] = events.get("prompt") as [{ ids: number[] }];
  const tokens = events.get("token") as TokenEvent[], [other] = events.get("compared") as [ComparedEvent];
  const reply = tokens.map(({ id }) => id);
  assertEquals(other.model, MODELS[1]);
  assertEquals(other.tokens.length, reply.length);

  const logits: Float32Array[][] = [], residuals: Float32Array[] = [];
  for (const scheme of [null, SCHEME]) {
    const session = await openAlone(scheme), rows: Float32Array[] = [];
    const all = [...prompt, ...reply.slice(0, -1)];
    await session.run(
      [{ slot: 0, tokens: all, logits: "all" }],
      (_i, _position, row) => rows.push(row.slice()),
      (p) => {
        if (p.layer === 0 && p.operation === "mlpResidual") residuals.push(p.read().slice(-p.width));
      },
    );
    logits.push(rows.slice(prompt.length - 1));
    await session.close();
  }
  const [first, second] = logits as [Float32Array[], Float32Array[]];

  await t.step("the reply is the first model's, greedy", () => assertEquals(first.map(argmax), reply));
  await t.step("KL, agreement, probabilities and alternatives", () => {
    other.tokens.forEach((token, i) => {
      const expected = divergence(first[i]!, second[i]!);
      assert(Math.abs(token.kl - expected) <= 1e-9 + 1e-6 * expected, `token ${i}: KL ${token.kl}, not ${expected}`);
      assertEquals(token.same_top, argmax(first[i]!) === argmax(second[i]!));
      assertEquals(token.top[0]!.id, argmax(second[i]!));
      assertEquals(token.top.length, 3);
      assert(
        token.top[0]!.probability >= token.probability && tokens[i]!.top[0]!.probability === tokens[i]!.probability,
      );
    });
    assert(other.tokens.some(({ kl }) => kl > 0));
  });
  await t.step("where the other one parts, and how it goes on, is its own greedy reply", async () => {
    const parting = second.findIndex((row, i) => argmax(row) !== reply[i]);
    assertEquals(other.first_divergence, parting < 0 ? null : parting);
    const { service } = serving, model = service.model(MODELS[1]), own: number[] = [];
    const job = jobOf(Int32Array.from(prompt), { maxTokens: 40, stopIds: model.stopIds });
    for await (const { id } of service.submit(model, job)) own.push(id);
    const shown = parting < 0 ? reply : [...reply.slice(0, parting), ...other.own.map(({ id }) => id)];
    assertEquals(shown, own);
  });
  await t.step("layers: relative errors at the last token", async () => {
    const response = await serving.post("/v1/microscope/layers", {
      models: MODELS,
      tokens: [...prompt, ...reply.slice(0, -1)],
    });
    const layers = await response.json() as LayersResponse, [a, b] = residuals as [Float32Array, Float32Array];
    const norm = (x: (i: number) => number) => Math.sqrt(a.reduce((sum, _v, i) => sum + x(i) ** 2, 0));
    const expected = norm((i) => b[i]! - a[i]!) / norm((i) => a[i]!);
    assert(Math.abs(layers.layers[0]!.errors["mlpResidual"]! / expected - 1) < 1e-6);
    assertEquals(layers.layers.length, serving.service.model().config.layers);
    assertEquals(layers.embed, 0);
    assert(Math.abs(layers.kl - other.tokens.at(-1)!.kl) <= 1e-9 + 1e-6 * layers.kl);
  });
});

Deno.test("a given reply is judged as it is, and the same model twice does not differ", async () => {
  await using serving = await openServing();
  const models = ["tiny-gpt-oss", "tiny-gpt-oss"];
  const events = await eventsOf(
    await serving.post("/v1/microscope", { models, prompt: PROMPT, reply: "<|channel|>final<|message|>7 left" }),
  );
  const tokens = events.get("token") as TokenEvent[], [other] = events.get("compared") as [ComparedEvent];
  assertEquals(tokens.map(({ text }) => text).join(""), "<|channel|>final<|message|>7 left");
  assertEquals(other.tokens.map(({ kl }) => kl), tokens.map(() => 0));
  const ids = tokens.map(({ id }) => id), layers = await serving.post("/v1/microscope/layers", { models, tokens: ids });
  const { layers: all, kl } = await layers.json() as LayersResponse;
  assertEquals(kl, 0);
  for (const { errors, experts: [a, b] } of all) {
    assert(Object.values(errors).every((error) => error === 0 || error === null));
    assertEquals(a, b);
  }
});

Deno.test("the microscope refuses what it cannot compare, and is free again when its reader has left", async () => {
  await using serving = await openPair();
  const ask = { models: MODELS, prompt: PROMPT, max_tokens: 200 };
  const message = async (
    response: Response,
  ) => [response.status, (await response.json() as { error: { message: string } }).error.message];
  assertEquals(
    await message(await serving.post("/v1/microscope", { ...ask, models: ["tiny-gpt-oss"] })),
    [400, "models: expected a list of at least 2, got an array of 1"],
  );
  assertEquals(
    (await message(await serving.post("/v1/microscope", { ...ask, models: ["tiny-gpt-oss", "b"] })))[0],
    404,
  );
  assertEquals(
    await message(await serving.post("/v1/microscope", { ...ask, reply: "a b c d e f g h", max_tokens: 2 })),
    [400, "reply: expected at most max_tokens = 2 tokens, got 9"],
  );
  const first = await serving.post("/v1/microscope", ask);
  assertEquals(await message(await serving.post("/v1/microscope", ask)), [429, "another comparison is running"]);
  await first.body!.cancel();
  const again = await serving.post("/v1/microscope", { ...ask, max_tokens: 1 });
  assertEquals((await eventsOf(again)).get("token")!.length, 1);
});

Deno.test("the microscope compares as many tokens as a reply may have, where nobody says how many", async () => {
  await using serving = await openServing({ schemes: [null, SCHEME], maxReply: 5 });
  const events = await eventsOf(await serving.post("/v1/microscope", { models: MODELS, prompt: PROMPT }));
  assertEquals(events.get("token")!.length, 5);
});
