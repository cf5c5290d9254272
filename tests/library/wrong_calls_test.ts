/** Calls that no type keeps from a mistake: each is refused by the name of what is wrong, and leaves nothing behind. */
import { openCheckpoint, plan } from "../../src/library/checkpoint.ts";
import { FailureError, InputError } from "../../src/library/errors.ts";
import { qdq } from "../../src/library/formats.ts";
import { readSafetensors, SafetensorsWriter, writeSafetensors } from "../../src/library/safetensors.ts";
import { type GenerateOptions, openSession } from "../../src/library/session.ts";
import { openTokenizer } from "../../src/library/text.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "../assert.ts";
import { TINY } from "../text/goldens.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";

const checkpoint = openCheckpoint(TINY);
const as = (value: unknown) => value as never;

function detached(): Float32Array {
  const array = new Float32Array(2);
  structuredClone(array, { transfer: [array.buffer] });
  return array;
}

Deno.test("library: paths and texts that are no strings are refused by the argument's name", async () => {
  const tokenizer = await openTokenizer(checkpoint), file = readSafetensors(`${TINY}/model.safetensors`);
  for (const value of [undefined, null, 5, new URL("file:///a"), ["a"]]) {
    for (
      const [name, call] of [
        ["model", () => openCheckpoint(as(value))],
        ["path", () => readSafetensors(as(value))],
        ["path", () => writeSafetensors(as(value), {})],
        ["path", () => SafetensorsWriter.create(as(value), [])],
        ["name", () => file.numbers(as(value))],
        ["text", () => tokenizer.encode(as(value))],
        // These were a question without words, and one of `{}`.
        ["question", () => tokenizer.question(as(value))],
      ] as const
    ) assertThrows(call, TypeError, `${name}: expected a string, got `);
  }
  assertThrows(() => readSafetensors(""), InputError, '"": no such file');
  for (const ids of [undefined, 5, {}, (async function* () {})()]) {
    for (const call of [() => tokenizer.decode(as(ids)), () => tokenizer.reply(as(ids))]) {
      assertThrows(call, TypeError, "ids: expected token ids that can be iterated, got ");
    }
  }
  await assertRejects(() => openTokenizer(checkpoint, as(5)), TypeError, "onWarning: expected a function, got 5");
  const special = { allowSpecial: "no" };
  assertThrows(() => tokenizer.encode("a", as(special)), InputError, 'allowSpecial: expected true or false, got "no"');
  assertThrows(() => tokenizer.question("a", as({ system: {} })), InputError, "system: expected a string");
  const noDay = 'date: expected a day of the calendar, as in 2026-01-31, got "2026-02-30"';
  assertThrows(() => tokenizer.question("a", as({ date: "2026-02-30" })), InputError, noDay);
  assertThrows(() => tokenizer.question("a", as({ date: new Date() })), InputError, "date: expected a string");
  for (const options of [null, 1, "a", []]) {
    assertThrows(() => tokenizer.encode("a", as(options)), InputError, "options: expected an object, got ");
    assertThrows(() => plan(checkpoint, as(options)), InputError, "options: expected an object, got ");
  }
});

// What `--allow-read --allow-write` permits: with all permissions Deno asks the system for an empty path, too.
Deno.test({
  name: "library: an empty path is refused as one, where permissions are limited as well",
  permissions: { read: true, write: true },
  fn() {
    assertThrows(() => openCheckpoint(""), InputError, '"": expected a checkpoint directory, got nothing of that name');
    assertThrows(() => readSafetensors(""), InputError, '"": no such file');
    assertThrows(() => writeSafetensors("", {}), InputError, '"": cannot be written: ');
    assertThrows(() => SafetensorsWriter.create("", []), InputError, '"": cannot be written: ');
  },
});

Deno.test("library: choices of another kind are refused by their name", async () => {
  for (
    const [options, line] of [
      [null, "options: expected an object, got null"],
      [{ context: "16" }, 'context: expected 1 to 131072, the model\'s positions, got "16"'],
      [{ context: null }, "context: expected 1 to 131072, the model's positions, got null"],
      [{ onProgress: 5 }, "onProgress: expected a function, got 5"],
      [
        { backend: "cuda", device: null },
        "device: expected a whole number from 0 to 255, or several, none twice, got null",
      ],
      [{ backend: "hip", hipLibrary: 3 }, "hipLibrary: expected a string, got 3"],
      [{ inputScales: () => 1 }, "inputScales: expected a Map from modules to scales, got a function"],
      [
        { inputScales: new Map([["model.layers.0.mlp.router", -1]]) },
        "a finite number above 0 that float32 holds, got -1",
      ],
      // A name that is misspelled left the checkpoint's own scale, in silence.
      [{ inputScales: new Map([["model.layers.0.mlp.experts.gate_up", 1]]) }, "inputScales: expected modules of the"],
    ] as const
  ) await assertRejects(() => openSession(checkpoint, as(options)), InputError, line);
  for (const module of ["model.layers.0.mlp.experts.gate_up_proj", "model.layers.0.mlp.experts.3.down_proj"]) {
    assertEquals(plan(checkpoint, { inputScales: new Map([[module, 1]]) }).warnings, []);
  }
});

Deno.test("library: messages from deep inside name options as the library has them", async () => {
  for (
    const [options, line] of [
      [{ scheme: "fp8" }, '"mxoss quantize --scheme fp8 --calibrate FILE" makes them'],
      [{ scheme: "w_mxfp6_e3m2", weights: "map" }, "weights: expected weights read, or none: nobody wrote"],
      [{ tp: 2 ** 60 }, "tp 1152921504606847000: the model has 8 attention heads, so at most that"],
      [{ scheme: 5 }, "scheme: expected a string, got 5"],
      [{ scheme: Symbol("a") }, "scheme: expected a string, got Symbol(a)"],
      // As on the command line: a mistyped number would start a million of them.
      [{ threads: 257 }, "threads: expected a whole number from 1 to 256, got 257"],
      [{ backend: "cuda", tp: 2, device: [0, 0] }, "device: expected a whole number from 0 to 255, or several, none"],
      [{ backend: "cuda", device: 256 }, "or several, none twice, got 256"],
    ] as const
  ) await assertRejects(() => openSession(checkpoint, as(options)), InputError, line);
  const hipLibrary = "/nowhere", hint = "name the library with hipLibrary or ROCM_PATH";
  await assertRejects(() => openSession(checkpoint, { backend: "hip", hipLibrary }), FailureError, hint);
  // What a plan has no use for is looked at all the same.
  assertThrows(() => plan(checkpoint, as({ context: 0 })), InputError, "context: expected 1 to 131072");
});

Deno.test("library: numbers that are larger than they need be are as good as the largest", async () => {
  await using session = await openSession(checkpoint, { context: 8, chunk: 2 ** 60 });
  const replyWith = async (options: GenerateOptions) => {
    const ids: number[] = [];
    for await (const id of session.generate([1, 2, 3], { temperature: 0.7, seed: 1, ...options })) ids.push(id);
    return ids;
  };
  const expected = await replyWith({});
  assertEquals(await replyWith({ topK: 2 ** 60, maxTokens: 2 ** 60 }), expected);
  for (
    const [options, line] of [
      [
        { repetitionPenalty: 1e40 },
        "repetitionPenalty: expected a finite number above 0 that float32 holds, got 1e+40",
      ],
      [{ presencePenalty: -1e40 }, "presencePenalty: expected a finite number that float32 holds, got -1e+40"],
      [{ logitBias: new Map([[3, 1e40]]) }, "logitBias: expected a finite number that float32 holds, got 1e+40"],
    ] as const
  ) await assertRejects(() => replyWith(options), InputError, line);
});

Deno.test("library: what onProgress throws is what opening fails with, on ranks as well", async () => {
  const mine = new RangeError("mine");
  const onProgress = () => {
    throw mine;
  };
  for (const ranks of [{ tp: 2, weights: "read" }, { weights: "read" }] as const) {
    const { message } = await assertRejects(
      () => openSession(checkpoint, { context: 16, ...ranks, onProgress }),
      Error,
    );
    assertEquals(message, "mine");
  }
  await using session = await openSession(checkpoint, { context: 16, tp: 2 });
  assertEquals((await session.logits([1])).length, 1);
});

Deno.test("library: what is no list of token ids is refused before anything is computed", async () => {
  await using session = await openSession(checkpoint, { context: 16, chunk: 4 });
  const calls = [
    ["tokens", (ids: unknown) => session.logits(as(ids))],
    ["prompt", (ids: unknown) => session.generate(as(ids)).next()],
  ] as const;
  for (const [name, call] of calls) {
    // None of these was refused as such: some were an empty sequence.
    for (const ids of [undefined, 1, "12", {}, new Set([1]), new DataView(new ArrayBuffer(8)), { length: -1 }]) {
      await assertRejects(() => call(ids), TypeError, `${name}: expected an array of token ids, got `);
    }
    await assertRejects(() => call(detached()), TypeError, `${name}: expected an array of token ids, got one whose`);
    await assertRejects(() => call([1n]), InputError, "token id 1n: expected 0 to 1023");
    await assertRejects(() => call({ length: 2 ** 50 }), InputError, "context: the sequence needs 1125899906842624");
  }
  for (
    const [options, line] of [
      [{ seed: true }, "seed: expected an integer from 0 to 18446744073709551615, got true"],
      [{ seed: null }, "seed: expected an integer from 0 to 18446744073709551615, got null"],
      [{ seed: [5] }, "seed: expected an integer from 0 to 18446744073709551615, got an array of 1"],
      [{ seed: {} }, "seed: expected an integer from 0 to 18446744073709551615, got an object"],
      [{ stopIds: 5 }, "stopIds: expected token ids that can be iterated, got 5"],
      [{ logitBias: null }, "logitBias: expected a Map from token ids to numbers, got null"],
      [{ logitBias: new Set([1]) }, "logitBias: expected a Map from token ids to numbers, got an object"],
    ] as const
  ) await assertRejects(() => session.generate([1], as(options)).next(), InputError, line);
  assertEquals((await session.logits([])).length, 0);
});

Deno.test("library: numbers and scales of another kind are not rounded as something else", () => {
  const row = Float32Array.of(1, 2.4, -5, 0.3);
  for (const values of [undefined, "a", [1, 2], new Float64Array(row), Int32Array.of(1), new BigInt64Array(1)]) {
    assertThrows(() => qdq(as(values), "fp8_e4m3"), TypeError, "values: expected a Float32Array, got ");
  }
  assertThrows(() => qdq(detached(), "mxfp4"), TypeError, "values: expected a Float32Array, got one whose buffer");
  assertThrows(() => qdq(row, "mxfp4", as(null)), TypeError, "options: expected an object, got null");
  for (const scale of ["1", [2], true, 2n, null]) {
    assertThrows(
      () => qdq(row, "fp8_e4m3", { scale: as(scale) }),
      RangeError,
      "scale: expected a positive float32 number",
    );
  }
  assertThrows(
    () => qdq(row, "mxfp4", { scale: -1 }),
    RangeError,
    "scale: expected a positive float32 number or token, got -1",
  );
  const shared = new Float32Array(new SharedArrayBuffer(16));
  shared.set(row);
  assertEquals(qdq(shared, "mxfp4"), Float32Array.of(1, 2, -4, 0.5));
});

Deno.test("library: no safetensors file is written that could not be read, nor an empty one for another", () => {
  using dir = new TemporaryDirectory();
  const path = `${dir.path}/a.safetensors`, data = Float32Array.of(1, 2);
  writeSafetensors(path, { kept: { dtype: "F32", shape: [2], data } });
  const kept = Deno.readFileSync(path);
  const write = (tensors: unknown, options: unknown = {}) =>
    writeSafetensors(path, as(tensors), as({ force: true, ...(options as object) }));
  const holes: number[] = [];
  holes[1] = 2;
  for (const tensors of [undefined, 5, "a", [], new Map([["a", {}]])]) {
    assertThrows(() => write(tensors), TypeError, "tensors: expected an object of tensors by name, got ");
  }
  for (const shape of [undefined, 2, Int32Array.of(2), holes, [2n], ["2"], [0, 2 ** 60]]) {
    assertThrows(() => write({ a: { dtype: "F32", shape, data } }), RangeError, "tensor a: ");
  }
  for (const other of [undefined, [1, 2], detached(), { byteLength: 8, [Symbol.toStringTag]: "Float32Array" }]) {
    assertThrows(
      () => write({ a: { dtype: "F32", shape: [2], data: other } }),
      TypeError,
      "tensor a: expected Float32",
    );
  }
  assertThrows(() => write({ "\ud800": { dtype: "F32", shape: [2], data } }), RangeError, "half a surrogate pair");
  const tensors = { a: { dtype: "F32", shape: [2], data } };
  for (const metadata of [null, 5, "a", ["a"], new Map([["a", "b"]]), { a: 5 }, { a: null }, { toJSON: () => 5 }]) {
    assertThrows(() => write(tensors, { metadata }), TypeError, "metadata");
  }
  assertThrows(() => write(tensors, { metadata: { a: "\udc00" } }), RangeError, "metadata a: expected Unicode text");
  for (const options of [{ force: "no" }, { Force: true }]) {
    assertThrows(() => writeSafetensors(path, as(tensors), as(options)), TypeError, "expected ");
  }
  assertEquals(Deno.readFileSync(path), kept);
  assertEquals([...Deno.readDirSync(dir.path)].length, 1);
  write(tensors, { metadata: { ["__proto__"]: "x" } });
  assertEquals([...readSafetensors(path).metadata], [["__proto__", "x"]]);
});

Deno.test("library: a writer that has ended says so, and one path is written by one writer", () => {
  using dir = new TemporaryDirectory();
  const path = `${dir.path}/a.safetensors`, data = Float32Array.of(1, 2);
  const create = () => SafetensorsWriter.create(path, [{ name: "a\n", dtype: "F32", shape: [2] }], { force: true });
  for (const end of ["commit", Symbol.dispose] as const) {
    using writer = create();
    const { message } = assertThrows(() => writer.append("b", data), RangeError);
    assertEquals(message, "tensor b: was not declared");
    assertThrows(create, InputError, `${path}: cannot be written: it is being written already`);
    writer.append("a\n", data);
    assert(!assertThrows(() => writer.append("a\n", data), RangeError, "8 bytes more than").message.includes("\n"));
    writer[end]();
    assertThrows(() => writer.append("a\n", new Float32Array()), TypeError, "nothing is being written: it was");
    assertThrows(() => writer.commit(), TypeError, "nothing is being written: it was committed or given up");
  }
  assertEquals([...readSafetensors(path).numbers("a\n")], [1, 2]);
});
