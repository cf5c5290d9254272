/** The library computes what the program's own session computes, and refuses what it cannot. */
import { openCheckpoint as openInside } from "../../src/checkpoint/checkpoint.ts";
import { openCheckpoint, plan } from "../../src/library/checkpoint.ts";
import { InputError } from "../../src/library/errors.ts";
import { openTokenizer } from "../../src/library/text.ts";
import { openSession, type Session } from "../../src/library/session.ts";
import { openSession as openInsideSession } from "../session/open_session.ts";
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "../assert.ts";
import { TINY } from "../text/goldens.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { writeRandomCheckpoint } from "../../tools/random_checkpoint.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";

const IDS = [5, 17, 250, 3, 99, 0, 31, 8, 8];
const bits = (numbers: Float32Array) => [...new Uint32Array(numbers.slice().buffer)];

Deno.test("library: logits and replies are those of the program's session, in any order of calls", async () => {
  using dir = new TemporaryDirectory();
  writeRandomCheckpoint(dir.path, { shape: SHAPES.tiny, layout: "hf_mxfp4", seed: 3 });
  const scheme = "w_mxfp4_a_mxfp4", checkpoint = openCheckpoint(dir.path);
  const inside = await openInsideSession(openInside(dir.path), {
    ...{ backend: "reference", dtype: "bf16", kvCacheDtype: "auto", scheme, context: 16 },
  });
  const expected: number[][] = [];
  await inside.feed({ slot: 0, tokens: IDS, logits: "all" }, (_position, logits) => expected.push(bits(logits)));
  await inside.close();

  await using session = await openSession(checkpoint, { backend: "reference", scheme, context: 16 });
  assertEquals(session.plan.scheme, scheme);
  const greedy = expected.at(-1)!, first = new Float32Array(new Uint32Array(greedy).buffer);
  for (let round = 0; round < 2; round++) {
    assertEquals((await session.logits(IDS)).map(bits), expected);
    const reply = session.generate(IDS, { maxTokens: 2, stopIds: [] });
    assertEquals((await reply.next()).value, first.indexOf(first.reduce((a, b) => Math.max(a, b))));
    await assertRejects(() => session.logits(IDS), TypeError, "one call at a time");
    // Left halfway, the reply makes way for the next call.
    await reply.return({ reason: "stop", timings: undefined as never });
  }

  await assertRejects(() => session.logits([256]), InputError, "token id 256: expected 0 to 255");
  for (const id of [-1, 1.5, NaN]) await assertRejects(() => session.logits([1, id]), InputError, `token id ${id}: `);
  await assertRejects(() => session.logits(new Array(17).fill(1)), InputError, "only 16 were set aside");
  await assertRejects(() => session.generate([]).next(), InputError, "at least one token");
  for (
    const [options, line] of [
      [{ temperature: -1 }, "temperature: expected a number of at least 0, got -1"],
      [{ temperature: "1" as never }, 'temperature: expected a number of at least 0, got "1"'],
      [{ topK: 0.5 }, "topK: expected an integer of at least 0, got 0.5"],
      [{ topP: "0.5" as never }, 'topP: expected a number above 0 and up to 1, got "0.5"'],
      [{ minP: 2 }, "minP: expected a number from 0 to 1, got 2"],
      [
        { repetitionPenalty: "2" as never },
        'repetitionPenalty: expected a finite number above 0 that float32 holds, got "2"',
      ],
      [{ logitBias: new Map([[1, "2" as never]]) }, 'logitBias: expected a finite number that float32 holds, got "2"'],
    ] as const
  ) await assertRejects(() => session.generate(IDS, options).next(), InputError, line);
  await assertRejects(
    () => session.generate(IDS, { top_p: 0.5 } as never).next(),
    InputError,
    "option top_p: expected",
  );
  for (const maxTokens of [-1, 1.5, NaN, "9" as never]) {
    await assertRejects(() => session.generate(IDS, { maxTokens }).next(), InputError, "maxTokens: expected a whole");
  }
  for (const logitBias of [new Map([[256, 1]]), new Map([[-1, 1]])]) {
    await assertRejects(() => session.generate(IDS, { logitBias }).next(), InputError, "logitBias: expected token ids");
  }
  const bias = { logitBias: { 5: 1 } as never };
  await assertRejects(() => session.generate(IDS, bias).next(), InputError, "logitBias: expected a Map from token ids");
  const stray = { stopIds: [5, 256] };
  await assertRejects(
    () => session.generate(IDS, stray).next(),
    InputError,
    "stopIds: expected token ids from 0 to 255",
  );
  assertEquals((await session.logits(IDS)).map(bits), expected);

  Deno.utimeSync(`${dir.path}/config.json`, 1, 1);
  await assertRejects(() => session.logits(IDS), InputError, "changed while it was in use");
});

Deno.test("library: ids that no token has are refused, not left out of a text", async () => {
  const checkpoint = openCheckpoint(TINY), tokenizer = await openTokenizer(checkpoint), { vocab } = checkpoint.config;
  const refused = `ids: expected token ids from 0 to ${vocab - 1}, got `;
  for (const id of [99999, -1, 1.5, vocab]) {
    assertThrows(() => tokenizer.decode([1, id]), InputError, `${refused}${id}`);
    assertThrows(() => tokenizer.reply([1, id]), InputError, `${refused}${id}`);
  }
  assertThrows(() => tokenizer.decode("12" as never), InputError, `${refused}"1"`);
});

Deno.test("library: choices that make no model are refused before weights are loaded", async () => {
  using dir = new TemporaryDirectory();
  writeRandomCheckpoint(dir.path, { shape: SHAPES.tiny, layout: "hf_mxfp4", seed: 3 });
  const checkpoint = openCheckpoint(dir.path);
  assertThrows(() => plan(checkpoint, { scheme: "fp8" }), InputError, "static FP8 inputs need a calibrated scale");
  assertThrows(() => plan(checkpoint, { dtype: "f16" as "f32" }), InputError, 'dtype: expected bf16 or f32, got "f16"');
  assertThrows(() => plan({ ...checkpoint }), TypeError, "openCheckpoint()");
  const refused = (options: Parameters<typeof openSession>[1], line: string) =>
    assertRejects(() => openSession(checkpoint, options), InputError, line);
  await refused({ kv_cache_dtype: "fp8" } as never, "option kv_cache_dtype: expected one of scheme, dtype, ");
  const { message, got } = assertThrows(() => plan(checkpoint, { Scheme: "fp8" } as never), InputError);
  assertMatch(message, /^option Scheme: expected one of scheme, .*, got "Scheme"$/);
  assertEquals(got, '"Scheme"');
  await refused(
    { inputScales: { a: 1 } } as never,
    "inputScales: expected a Map from modules to scales, got an object",
  );
  await refused({ context: 0 }, "context: expected 1 to");
  await refused({ backend: "gpu" as "cuda" }, 'backend: expected emulate or reference or hip or cuda, got "gpu"');
  await refused({ threads: 1.5 }, "threads: expected a whole number from 1 to 256, got 1.5");
  await refused({ backend: "reference", threads: 2 }, "threads: expected with backend emulate, got backend reference");
  await refused({ device: 0 }, "device: expected with backend hip or cuda, got backend emulate");
  await refused({ fp8Scales: "all" as "own" }, 'fp8Scales: expected merged or own, got "all"');
  assert(plan(checkpoint).linears.length > 0);
});

Deno.test("library: a session that is closed computes no more, and is closed when a call has ended", async () => {
  using dir = new TemporaryDirectory();
  writeRandomCheckpoint(dir.path, { shape: SHAPES.tiny, layout: "hf_mxfp4", seed: 3 });
  const checkpoint = openCheckpoint(dir.path);
  for (const backend of ["emulate", "reference"] as const) {
    const open = () => openSession(checkpoint, { context: 32, backend });
    const refusesAll = async (session: Session) => {
      const calls = [() => session.logits(IDS), () => session.generate(IDS).next()];
      for (const call of calls) await assertRejects(call, TypeError, "session: expected an open one");
      await Promise.all([session.close(), session[Symbol.asyncDispose]()]);
    };
    // At rest, and between two tokens of a reply, which nobody goes on with.
    const session = await open(), expected = (await session.logits(IDS)).map(bits);
    const reply = session.generate(IDS, { stopIds: [] });
    await reply.next();
    await session.close();
    await assertRejects(() => reply.next(), TypeError, "session: expected an open one");
    await refusesAll(session);
    // While it computes: logits are those of the whole sequence, and the token is handed out.
    const busy = await open(), logits = busy.logits(IDS);
    let ended = false;
    logits.then(() => ended = true);
    await busy.close();
    assert(ended);
    assertEquals((await logits).map(bits), expected);
    await refusesAll(busy);
    const late = await open(), last = late.generate(IDS, { stopIds: [] }), first = last.next();
    await late.close();
    assertEquals((await first).done, false);
    await assertRejects(() => last.next(), TypeError, "session: expected an open one");
  }
  // Stop ids that can be looked at once only.
  await using session = await openSession(checkpoint, { context: 32, threads: 2 });
  const stops = function* () {
    yield* [...Array(256).keys()];
  };
  const ids: number[] = [];
  for await (const id of session.generate(IDS, { stopIds: stops() })) ids.push(id);
  assertEquals(ids.length, 1);
});
