/**
 * Keys of config.json that are left out mean what transformers reads, or are refused:
 * tests/goldens/configs/make_configs.py.
 */
import { readConfig } from "../../src/checkpoint/config.ts";
import type { ModelConfig } from "../../src/checkpoint/model_config.ts";
import { InputError } from "../../src/errors.ts";
import { inverseFrequencies } from "../../src/checkpoint/frequencies.ts";
import { concentration } from "../../src/model/yarn.ts";
import { assert, assertEquals } from "../assert.ts";

type Json = Record<string, unknown>;

/** What transformers makes of a config; the names are those of {@linkcode ModelConfig} where it has them. */
type Reading = Json & { readonly frequencies: readonly number[]; readonly growth: number };

/** A config and what transformers makes of it with keys changed; see the script for the form. */
interface Family {
  readonly config: Json;
  readonly reading: Reading;
  readonly singles: Readonly<Record<string, readonly [absent: string, nothing: string]>>;
  readonly pairs: string;
}

interface Golden {
  readonly transformers: string;
  readonly fields: readonly string[];
  readonly values: Readonly<Record<string, readonly unknown[]>>;
  readonly families: readonly Family[];
  readonly yarn: readonly { headDim: number; rope: Json; frequencies: readonly number[]; growth: number }[];
}

const GOLDEN: Golden = JSON.parse(
  Deno.readTextFileSync(new URL("../goldens/configs/configs.json", import.meta.url)),
);
const LOWER = "abcdefghijklmnopqrstuvwxyz", UPPER = LOWER.toUpperCase();
const LETTERS = LOWER + UPPER, DIGITS = `0123456789${LETTERS}`;

/** A copy without a key, or with null for it. */
function edit(config: Json, path: string, value: "absent" | "null"): Json {
  const [outer, inner] = path.split(".") as [string, string?];
  const next = { ...config };
  if (inner !== undefined) {
    if (next[outer]) next[outer] = edit(next[outer] as Json, inner, value);
  } else if (value === "null") next[outer] = null;
  else delete next[outer];
  return next;
}

/** null: transformers refuses. */
function decode({ reading }: Family, code: string): Reading | null {
  if (code === "-") return null;
  const out: Json = { ...reading };
  for (const [, letter, digit] of code.matchAll(/(\w)(\w)/g)) {
    const field = GOLDEN.fields[LETTERS.indexOf(letter!)]!;
    out[field] = GOLDEN.values[field]![DIGITS.indexOf(digit!)];
  }
  return out as Reading;
}

/** null: refused. */
function ours(json: Json): ModelConfig | null {
  try {
    return readConfig({ path: "config.json", json }, null).model;
  } catch (thrown) {
    if (thrown instanceof InputError) return null;
    throw thrown;
  }
}

/** float32 powers and products of transformers: some units in the last of 24 bits. */
const TOLERANCE = 2e-6;
const isNear = (got: number, expected: number) => Math.abs(got - expected) <= TOLERANCE * Math.abs(expected);

/** The first field in which a model is another one than transformers read; null if there is none. */
function difference(model: ModelConfig, reading: Reading): string | null {
  const { rope, sliding, eosTokenIds, padTokenId, bosTokenId, ...plain } = model;
  const fields: Json = {
    ...plain,
    sliding: sliding.map(Number).join(""),
    eos: eosTokenIds.length === 0 ? null : eosTokenIds.length === 1 ? eosTokenIds[0] : eosTokenIds,
    ...{ pad: padTokenId, bos: bosTokenId, bias: true, tied: false },
  };
  const { frequencies, growth, ...others } = reading;
  // Without a sliding layer the window is of no account.
  if (!sliding.includes(true)) delete others["slidingWindow"];
  const wrong = Object.keys(others).find((key) => JSON.stringify(fields[key]) !== JSON.stringify(others[key]));
  if (wrong !== undefined) return `${wrong}: ${fields[wrong]}, transformers ${others[wrong]}`;
  const own = inverseFrequencies(model.headDim, rope);
  const pair = own.findIndex((x, i) => !isNear(x, frequencies[i]!));
  if (pair >= 0 || own.length !== frequencies.length) {
    return `frequency ${pair}: ${own[pair]}, not ${frequencies[pair]}`;
  }
  return isNear(concentration(rope), growth) ? null : `growth ${concentration(rope)}, not ${growth}`;
}

/** Whether a changed config is read; what is read must be what transformers reads, unless that refuses. */
function isRead(family: Family, paths: readonly string[], value: "absent" | "null", code: string): boolean {
  // The deeper one first, which is gone with the dictionary around it.
  const config = paths.toReversed().reduce((json, path) => edit(json, path, value), family.config);
  const model = ours(config), reading = decode(family, code);
  if (model && reading) assertEquals(difference(model, reading), null, `${value}: ${paths.join(" and ")}`);
  return model !== null;
}

/** Sizes of a model, which nobody should guess, though transformers takes gpt-oss-120b's. */
const SIZES = "num_hidden_layers num_local_experts hidden_size intermediate_size head_dim num_attention_heads " +
  "num_key_value_heads vocab_size sliding_window";

/**
 * By family: keys that are refused where they are left out, beside {@linkcode SIZES} and each dictionary's rope_type,
 * factor and original_max_position_embeddings; the same for null; and pairs whose outcome is not that of their members.
 */
const EXPECTED: readonly { absent: string; null: string; pairs: readonly string[] }[] = [
  {
    absent: "rope_theta",
    null: "rope_theta rope_scaling",
    pairs: [
      "num_experts_per_tok experts_per_token",
      "initial_context_length rope_scaling.original_max_position_embeddings",
    ],
  },
  {
    absent: "",
    null: "",
    pairs: [
      "num_experts_per_tok experts_per_token",
      "rope_theta rope_parameters",
      "rope_theta rope_parameters.rope_theta",
      "initial_context_length rope_parameters.original_max_position_embeddings",
    ],
  },
  {
    absent: "rope_parameters.truncate rope_scaling.truncate",
    null: "",
    pairs: [
      "num_experts_per_tok experts_per_token",
      "rope_theta rope_parameters",
      "rope_theta rope_parameters.rope_theta",
      "rope_parameters rope_scaling.truncate",
      "rope_scaling rope_parameters.truncate",
      "rope_parameters.truncate rope_scaling.truncate",
    ],
  },
  {
    absent: "num_experts_per_tok rope_theta max_position_embeddings rope_scaling",
    null: "num_experts_per_tok rope_theta max_position_embeddings rope_scaling",
    pairs: [
      "initial_context_length rope_scaling",
      "initial_context_length rope_scaling.original_max_position_embeddings",
    ],
  },
  {
    absent: "num_experts_per_tok max_position_embeddings rope_parameters",
    null: "num_experts_per_tok max_position_embeddings rope_parameters",
    pairs: [
      "rope_theta rope_parameters.rope_theta",
      "initial_context_length rope_parameters",
      "initial_context_length rope_parameters.original_max_position_embeddings",
    ],
  },
  {
    absent:
      "num_experts_per_tok rope_theta max_position_embeddings rope_parameters.beta_fast rope_parameters.beta_slow " +
      "rope_scaling.beta_fast rope_scaling.beta_slow",
    null:
      "num_experts_per_tok rope_theta max_position_embeddings rope_parameters.beta_fast rope_parameters.beta_slow " +
      "rope_parameters.truncate rope_scaling.beta_fast rope_scaling.beta_slow rope_scaling.truncate",
    pairs: [
      "rope_theta rope_scaling",
      "rope_parameters rope_scaling",
      "rope_parameters rope_scaling.beta_fast",
      "rope_parameters rope_scaling.beta_slow",
      "rope_scaling rope_parameters.beta_fast",
      "rope_scaling rope_parameters.beta_slow",
      "rope_parameters.beta_fast rope_scaling.beta_fast",
      "rope_parameters.beta_slow rope_scaling.beta_slow",
    ],
  },
];

for (const [i, family] of GOLDEN.families.entries()) {
  const { config, reading, singles, pairs } = family, expected = EXPECTED[i]!;
  const dictionaries = ["rope_scaling", "rope_parameters"].filter((key) => config[key]);
  const values = i < 3 ? "the published values" : "other values";
  const paths = Object.keys(singles);
  const always = `${SIZES} ${
    dictionaries.map((key) => `${key}.rope_type ${key}.factor ${key}.original_max_position_embeddings`).join(" ")
  }`;
  const sorted = (names: string) => names.split(" ").filter((name) => name !== "").toSorted();

  Deno.test(`readConfig() of ${values} in ${dictionaries.join(" and ")} without a key is transformers' reading`, () => {
    assertEquals(difference(ours(config)!, reading), null);
    for (const [at, value] of (["absent", "null"] as const).entries()) {
      const refused = paths.filter((path) => !isRead(family, [path], value, singles[path]![at]!));
      assertEquals(refused.toSorted(), sorted(`${always} ${expected[value]}`), value);
    }
  });

  Deno.test(`readConfig() of ${values} in ${dictionaries.join(" and ")} without two keys is, too`, () => {
    const codes = pairs.split(" ").map((code) => code === "." ? "" : code);
    const refused = new Set(sorted(`${always} ${expected.absent}`));
    const all = paths.flatMap((a, i) => paths.slice(i + 1).map((b) => [a, b] as const));
    assertEquals(all.length, codes.length);
    const odd = all.filter(([a, b], at) => {
      const read = isRead(family, [a, b], "absent", codes[at]!);
      // What stands in a dictionary goes with it.
      return read !== ![a, b].some((path) => refused.has(path) && path.split(".")[0] !== (path === b ? a : b));
    });
    assertEquals(odd.map((pair) => pair.join(" ")), expected.pairs);
  });
}

Deno.test("inverseFrequencies() are transformers' where YaRN's bounds lie outside the head or change places", () => {
  const kinds = { inside: 0, reversed: 0 };
  for (const { headDim, rope, frequencies, growth } of GOLDEN.yarn) {
    const { rope_scaling: _, ...config } = GOLDEN.families[0]!.config;
    const model = ours({ ...config, head_dim: headDim, rope_theta: rope["rope_theta"], rope_parameters: rope })!;
    const own = inverseFrequencies(headDim, model.rope);
    assert(own.every((x, i) => isNear(x, frequencies[i]!)), JSON.stringify({ headDim, rope, own: [...own] }));
    assert(isNear(concentration(model.rope), growth));
    const { theta, yarn } = model.rope;
    const pair = (turns: number) =>
      headDim / 2 * Math.log(yarn!.originalMaxPositions / (turns * 2 * Math.PI)) / Math.log(theta);
    if (Math.max(pair(yarn!.betaFast), 0) > Math.min(pair(yarn!.betaSlow), headDim - 1) + 1) kinds.reversed++;
    if (pair(yarn!.betaFast) > 0 && pair(yarn!.betaSlow) < headDim / 2 - 1) kinds.inside++;
  }
  assert(kinds.inside > 5 && kinds.reversed > 20, JSON.stringify(kinds));
});
