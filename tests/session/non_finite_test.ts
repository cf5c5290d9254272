/** A NaN in any weight stops the run, on every backend, with the tensor and the operation where it began. */
import { openEmulate } from "../../src/backends/emulate/open.ts";
import { openReference } from "../../src/backends/reference/open.ts";
import type { LinearSource, MatrixSource, ModelSource, VectorSource } from "../../src/checkpoint/source.ts";
import { FailureError, InputError } from "../../src/errors.ts";
import { type Engine, LocalEngine } from "../../src/model/engine.ts";
import { generate } from "../../src/session/generate.ts";
import { GptOss } from "../../src/model/gpt_oss.ts";
import { Sampler } from "../../src/session/sampler.ts";
import { Session } from "../../src/session/session.ts";
import { allFinite, firstNonFinite } from "../../src/formats/finite.ts";
import { observe } from "../../src/quantize/observe.ts";
import { openEngine, requestFor } from "../backends/gpu/opened.ts";
import { BF16, type RandomModel, randomModel, type Storage, STORAGES, testConfig } from "../backends/random_model.ts";
import { assertEquals, assertMatch, assertRejects } from "../assert.ts";
import { dose } from "../soak.ts";
import { buildHipHost } from "../hip_host/build.ts";
import { HipHost } from "../hip_host/control.ts";
import { hostKernels, withoutKernelCompiler } from "../hip_host/kernels.ts";

const withoutGpu = await withoutKernelCompiler();
const config = testConfig({});
const LIMITS = { slots: 3, context: 64, maxTokens: 8, vocab: config.vocab };
/** More than one batch. */
const PROMPT = Array.from({ length: 11 }, (_, i) => (7 * i + 3) % config.vocab);

type Open = (model: RandomModel) => Promise<Engine>;
const local = (backend: ConstructorParameters<typeof GptOss>[0]) =>
  new LocalEngine(new GptOss(backend, config), config.vocab);
const BACKENDS: Record<string, Open> = {
  reference: async (model) => local(await openReference(requestFor(model))),
  emulate: async (model) => local(await openEmulate(requestFor(model), { threads: 1, weights: "auto" })),
};

/** Overwrites numbers on disk, until disposed of. */
function poison({ files }: ModelSource, file: number, offset: number, bytes: readonly number[]): Disposable {
  const sound = new Uint8Array(bytes.length);
  const exchange = (written: Uint8Array, before?: Uint8Array) => {
    using opened = Deno.openSync(files[file]!.path, { read: true, write: true });
    opened.seekSync(offset, Deno.SeekMode.Start);
    if (before) opened.readSync(before);
    opened.seekSync(offset, Deno.SeekMode.Start);
    opened.writeSync(written);
  };
  exchange(Uint8Array.from(bytes), sound);
  return { [Symbol.dispose]: () => exchange(sound) };
}

const NAN_BF16 = [0xc0, 0x7f], INFINITY_BF16 = [0x80, 0x7f], NAN_FP8 = [0x7f];

const inMatrix = (m: MatrixSource, row: number, column: number, width: number) => ({
  ...{ file: m.file, name: m.name, offset: m.offset + row * m.rowStride + column * width },
});
const inVector = (v: VectorSource, index: number) => ({ file: v.file, name: v.name, offset: v.offset + 2 * index });

/** Where a number is spoilt, and what the message must say of the operation. */
const PLACES: Record<
  string,
  { at: (tree: ModelSource["tree"]) => { file: number; name: string; offset: number }; of: string }
> = {
  embedding: { at: (t) => inMatrix(t.embedding, PROMPT[0]!, 5, 2), of: "embed at position 0 \\(token 3\\)" },
  inputNorm: { at: (t) => inVector(t.layers[1]!.inputNorm, 7), of: "layer 1, inputNorm" },
  q: { at: (t) => inMatrix(t.layers[1]!.q.weight, 9, 2, 2), of: "layer 1, q_proj" },
  "k's bias": { at: (t) => inVector(t.layers[0]!.k.bias!, 3), of: "layer 0, k_proj" },
  v: { at: (t) => inMatrix(t.layers[0]!.v.weight, 4, 0, 2), of: "layer 0, v_proj" },
  sinks: { at: (t) => inVector(t.layers[1]!.sinks, 2), of: "layer 1, attention" },
  o: { at: (t) => inMatrix(t.layers[1]!.o.weight, 1, 1, 2), of: "layer 1, o_proj" },
  postNorm: { at: (t) => inVector(t.layers[0]!.postNorm, 95), of: "layer 0, postNorm" },
  norm: { at: (t) => inVector(t.norm, 0), of: "finalNorm" },
  head: { at: (t) => inMatrix(t.head.weight, 41, 3, 2), of: "lm_head" },
};

async function stopped(engine: Engine, source: ModelSource): Promise<Error> {
  const session = new Session(engine, LIMITS, source);
  try {
    return await assertRejects(() => session.feed({ slot: 1, tokens: PROMPT, logits: "last" }, () => {}), Error);
  } finally {
    await session.close();
  }
}

async function checkPlaces(open: Open, names = Object.keys(PLACES)): Promise<void> {
  using model = randomModel(31, { config });
  for (const name of names) {
    const { at, of } = PLACES[name]!;
    for (const [value, bytes] of [["NaN", NAN_BF16], ["Infinity", INFINITY_BF16]] as const) {
      // An infinite sink takes all attention and leaves zeros, which are numbers. Of the rest, one of each kind will
      // do.
      if (value === "Infinity" && name !== "q" && name !== "norm") continue;
      const place = at(model.source.tree);
      using _sound = poison(model.source, place.file, place.offset, bytes);
      const error = await stopped(await open(model), model.source);
      assertEquals(error instanceof InputError, true, `${name}: ${error}`);
      assertMatch(
        error.message,
        /^logits of position 10, token \d+: expected numbers, got -?(NaN|Infinity); it began in /,
      );
      assertMatch(error.message, new RegExp(`began in ${of}.*: tensor ${place.name} holds ${value} in`));
    }
  }
}

/** Every expert's down_proj has a bad number in its third row. */
async function checkExperts(open: Open, storage: Storage, bytes: readonly number[]): Promise<void> {
  using model = randomModel(32, { config, storage });
  const spoil = ({ weight }: LinearSource) => {
    const { file, offset } = inMatrix(weight, 2, 0, bytes.length);
    poison(model.source, file, offset, bytes);
  };
  model.source.tree.layers[1]!.down.forEach(spoil);
  const { message } = await stopped(await open(model), model.source);
  assertMatch(
    message,
    /layer 1, experts\.down_proj of expert (\d) at position \d.*: tensor 1\.down\1 holds NaN in row 2, col/,
  );
}

for (const [name, open] of Object.entries(BACKENDS)) {
  Deno.test(`a NaN in any weight stops ${name}, with the tensor, the layer and the operation`, () => checkPlaces(open));

  Deno.test(`a NaN code in an expert's bf16 or FP8 weights stops ${name}, with the tensor`, async () => {
    await checkExperts(open, BF16, NAN_BF16);
    await checkExperts(open, STORAGES.find(({ format }) => format === "fp8_e4m3")!, NAN_FP8);
  });
}

Deno.test({ name: "a NaN in any weight stops the GPU backend likewise", ignore: withoutGpu }, async () => {
  using host = new HipHost(buildHipHost());
  const kernels = await hostKernels();
  const open: Open = (model) => openEngine(host.path, model, { kernels });
  await checkPlaces(open, dose(["k's bias", "head"], ["embedding", "k's bias", "sinks", "head"]));
  await checkExperts(open, STORAGES.find(({ format }) => format === "fp8_e4m3")!, NAN_FP8);
});

Deno.test(
  { name: "a NaN that the device meets while it picks tokens itself is traced likewise", ignore: withoutGpu },
  async () => {
    using host = new HipHost(buildHipHost());
    const kernels = await hostKernels();
    using sound = randomModel(33, { config });
    const ids = await generated(new Session(await openEngine(host.path, sound, { kernels }), LIMITS));
    // The embedding of a token that only the reply has: the prompt's logits are numbers.
    const bad = ids.find((id, i) => i > 2 && !PROMPT.includes(id) && ids.indexOf(id) === i)!;
    const { embedding } = sound.source.tree;
    poison(sound.source, embedding.file, inMatrix(embedding, bad, 1, 2).offset, NAN_BF16);
    const engine = await openEngine(host.path, sound, { kernels });
    const session = new Session(engine, LIMITS, sound.source);
    const error = await assertRejects(() => generated(session), InputError);
    assertMatch(
      error.message,
      new RegExp(`^logits of position \\d+.*began in embed at position ${11 + ids.indexOf(bad)} `),
    );
    assertMatch(error.message, new RegExp(`tensor embedding holds NaN in row ${bad}, column 1$`));
    await session.close();
  },
);

async function generated(session: Session): Promise<number[]> {
  const ids: number[] = [];
  const options = { session, slot: 0, prompt: PROMPT, picker: new Sampler({ temperature: 2, seed: 5 }), maxTokens: 20 };
  for await (const id of generate({ ...options, stopIds: new Set() })) ids.push(id);
  return ids;
}

Deno.test("a NaN that an earlier batch left in the cache is traced to where it began", async () => {
  using model = randomModel(34, { config });
  const { v } = model.source.tree.layers[1]!;
  poison(model.source, v.weight.file, v.weight.offset, NAN_BF16);
  const session = new Session(await BACKENDS["reference"]!(model), LIMITS, model.source);
  // Logits of the first batch are not asked for.
  await session.feed({ slot: 0, tokens: PROMPT, logits: "none" });
  session.fork(0, 2);
  const error = await assertRejects(() => session.step([{ slot: 2, token: 1 }], () => {}), InputError);
  assertMatch(
    error.message,
    /^logits of position 11,.* layer 1, v_proj at position \d+ .*tensor 1\.v holds NaN in row 0/,
  );
  await session.close();
});

Deno.test("sums that overflow are told from weights that are no numbers", async () => {
  using model = randomModel(35, { config });
  const { head } = model.source.tree;
  // Two columns of the largest bf16 number.
  for (const column of [0, 1]) {
    poison(model.source, head.weight.file, inMatrix(head.weight, 8, column, 2).offset, [0x7f, 0x7f]);
  }
  const error = await stopped(await BACKENDS["reference"]!(model), model.source);
  assertEquals(error instanceof FailureError, true);
  assertMatch(
    error.message,
    /token 8: .*began in lm_head .* with -?(Infinity|NaN), of input and weights that are numbers/,
  );
});

Deno.test("calibration stops at NaN instead of writing it into scales", async () => {
  using model = randomModel(36, { config });
  const { embedding } = model.source.tree;
  poison(model.source, embedding.file, inMatrix(embedding, PROMPT[4]!, 0, 2).offset, NAN_BF16);
  const session = new Session(await BACKENDS["reference"]!(model), LIMITS, model.source);
  const error = await assertRejects(() => observe(session, config, [Int32Array.from(PROMPT)]), InputError);
  assertMatch(error.message, /embed at position 4 .*tensor embedding holds NaN/);
  await session.close();
});

Deno.test("allFinite() and firstNonFinite() see a NaN and both infinities at every place", () => {
  for (let length = 0; length < 11; length++) {
    const values = new Float32Array(length).fill(-3.4e38);
    assertEquals([allFinite(values), firstNonFinite(values)], [true, -1]);
    for (let at = 0; at < length; at++) {
      for (const bad of [NaN, Infinity, -Infinity]) {
        const spoilt = values.with(at, bad);
        assertEquals([allFinite(spoilt), firstNonFinite(spoilt)], [false, at]);
      }
    }
  }
});
