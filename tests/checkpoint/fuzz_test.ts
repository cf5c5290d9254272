/** Damaged headers, configs and indexes: whatever the bytes, the answer is a result or one line about them. */
import { readConfig } from "../../src/checkpoint/config.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { parseJson } from "../../src/read.ts";
import { parseSafetensors } from "../../src/checkpoint/safetensors.ts";
import { planModel } from "../../src/plan/planned.ts";
import { randomConfig } from "../../src/checkpoint/random/config.ts";
import { type Layout, type QuarkOptions, type Shape, SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { assert } from "../assert.ts";
import { TemporaryDirectory } from "./container.ts";
import { makeCheckpoint } from "./make.ts";
import { Random } from "./random.ts";
import { INPUTS, survive } from "./survive.ts";

const encoder = new TextEncoder();
const TINY = new URL("../../models/tiny-gpt-oss/", import.meta.url);
const read = (name: string) => Deno.readFileSync(new URL(name, TINY));

/** Pieces that mean something to a parser of JSON or of the format. */
const PIECES = [
  ...[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"',
    "\\",
    "\\u0000",
    "\\ud800",
    "\n",
    "\0",
    " ",
    "-",
    "0",
    "1e9",
    "1e999",
    "-1",
    "null",
    "true",
  ],
  ...[
    "9007199254740991",
    "9007199254740993",
    "18446744073709551615",
    "0.5",
    '"BF16"',
    '"F4"',
    '"dtype"',
    '"shape"',
    '"data_offsets"',
  ],
  ...[
    '"__metadata__"',
    '"__proto__"',
    '"constructor"',
    '"quark"',
    '"yarn"',
    "[]",
    "{}",
    '{"a":1}',
    "[[[[[[[[",
    '{"a":{"a":{"a":',
  ],
].map((text) => encoder.encode(text)).concat(Uint8Array.of(0xff), Uint8Array.of(0xc3), Uint8Array.of(0xef, 0xbb, 0xbf));

/** A few changes at random places: bytes changed, pieces put in, parts removed, doubled or moved. */
function damaged(random: Random, original: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  let bytes = original;
  for (let changes = 1 + random.below(4); changes > 0; changes--) {
    const at = random.below(bytes.length + 1),
      end = Math.min(bytes.length, at + random.below(random.pick([2, 8, 200])));
    const middle: Uint8Array = random.pick<() => Uint8Array>([
      () => Uint8Array.of(random.below(256)),
      () => random.pick(PIECES),
      () => new Uint8Array(0),
      () => bytes.slice(at, end),
      () => new Uint8Array([...bytes.slice(at, end), ...bytes.slice(at, end)]),
      () => {
        const from = random.below(bytes.length + 1);
        return bytes.slice(from, from + random.below(100));
      },
    ])();
    const next = new Uint8Array(at + middle.length + bytes.length - end);
    next.set(bytes.subarray(0, at));
    next.set(middle, at);
    next.set(bytes.subarray(end), at + middle.length);
    bytes = next;
  }
  return bytes;
}

Deno.test("parseSafetensors() survives damaged headers", () => {
  const file = read("model.safetensors");
  const length = Number(new DataView(file.buffer).getBigUint64(0, true));
  const original = file.slice(8, 8 + length);
  // A short header besides: in it a change more often hits something that matters.
  const short = encoder.encode(
    '{"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}}',
  );
  const accepted = survive(INPUTS, 1, (random) => {
    const [header, data] = random.pick([[original, file.length - 8 - length], [short, 12]] as const);
    const input = damaged(random, header);
    return { input, act: () => parseSafetensors(input, 8 + input.length + data, "x") };
  });
  // Some changes only reach metadata or names; were all inputs refused, or accepted, nothing would have been tried.
  assert(accepted > 0 && accepted < INPUTS / 2, `${accepted} accepted`);
});

Deno.test("readConfig() survives damaged configs", () => {
  const generation = read("generation_config.json");
  const originals = [
    read("config.json"),
    ...(["original", "quark"] as const).map((layout) =>
      encoder.encode(JSON.stringify(randomConfig(SHAPES.tiny, layout)))
    ),
  ];
  const accepted = survive(INPUTS, 2, (random) => {
    const original = random.pick(originals), input = damaged(random, random.below(8) === 0 ? generation : original);
    const isGeneration = random.below(8) === 0;
    const config = isGeneration ? original : input, other = isGeneration ? input : generation;
    return {
      input,
      act: () => readConfig({ path: "c", json: parseJson(config, "c") }, { path: "g", json: parseJson(other, "g") }),
    };
  });
  assert(accepted > 0 && accepted < INPUTS / 2, `${accepted} accepted`);
});

Deno.test("readConfig() survives values of any type at any key", () => {
  const values = [
    undefined,
    null,
    true,
    0,
    -1,
    0.5,
    1,
    3,
    64,
    2 ** 53,
    1e308,
    "",
    "yarn",
    [],
    [1],
    ["a"],
    {},
    { a: 1 },
    [[]],
  ];
  const change = (random: Random, object: Record<string, unknown>, deep: boolean): void => {
    const key = random.pick(Object.keys(object)), value = object[key];
    if (deep && typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length > 0) {
      change(random, value as Record<string, unknown>, random.below(2) === 0);
    } else object[key] = structuredClone(random.pick(values));
  };
  const accepted = survive(INPUTS, 3, (random) => {
    const config = randomConfig(SHAPES.tiny, random.pick(["hf_mxfp4", "original", "quark"]));
    for (let changes = 1 + random.below(3); changes > 0; changes--) change(random, config, true);
    return { input: encoder.encode(JSON.stringify(config)), act: () => readConfig({ path: "c", json: config }, null) };
  });
  assert(accepted > 0 && accepted < INPUTS, `${accepted} accepted`);
});

Deno.test("openCheckpoint() and planModel() survive damaged files", () => {
  const shape: Shape = {
    ...SHAPES.tiny,
    layers: 1,
    hidden: 32,
    intermediate: 32,
    experts: 2,
    topK: 1,
    heads: 2,
    kvHeads: 1,
    vocab: 8,
  };
  const models: [layout: Layout, shards: number, quark?: QuarkOptions][] = [
    ["hf_mxfp4", 1],
    ["hf_mxfp4", 2],
    ["hf_bf16", 1],
    ["hf_bf16", 2],
    ["original", 1],
    ["quark", 1, { attention: "fp8", inputScales: true }],
    ["quark", 2, { attention: "fp8_channel", kvScales: "output_scale", experts: "fused" }],
    ["quark", 1, { weights: "mxfp6_e2m3", attention: "mxfp6_e2m3", kvScales: "legacy" }],
  ];
  for (const [layout, shards, quark = {}] of models) {
    using dir = new TemporaryDirectory();
    makeCheckpoint(dir, new Random(7), { shape, layout, shards, quark });
    const names = [...Deno.readDirSync(dir.path)].map(({ name }) => name).sort();
    const originals = new Map(names.map((name) => [name, Deno.readFileSync(`${dir.path}/${name}`)]));
    survive(Math.ceil(INPUTS / 50), 4, (random) => {
      const name = random.pick(names), original = originals.get(name)!;
      const input = damaged(random, original);
      return {
        input,
        act: () => {
          Deno.writeFileSync(`${dir.path}/${name}`, input);
          try {
            planModel(openCheckpoint(dir.path), { dtype: "bf16", kvCacheDtype: "auto" });
          } finally {
            Deno.writeFileSync(`${dir.path}/${name}`, original);
          }
        },
      };
    });
  }
});

Deno.test("readConfig() and parseSafetensors() survive depth", () => {
  const depth = 300_000;
  for (const [open, close] of [["[", "]"], ['{"a":', "}"]] as const) {
    const inner = `${open.repeat(depth)}1${close.repeat(depth)}`;
    for (const text of [inner, `{"quantization_config":${inner},"model_type":${inner}}`, `{"x":{"shape":${inner}}}`]) {
      const input = encoder.encode(text);
      survive(1, 0, () => ({
        input,
        act: () => readConfig({ path: "c", json: parseJson(input, "c") }, null),
      }));
      survive(1, 0, () => ({ input, act: () => parseSafetensors(input, 8 + input.length, "x") }));
    }
  }
});
