/**
 * Rotary embedding as Hugging Face's config.json describes it. A missing key means what transformers 5 and vLLM read;
 * where readers differ, or other keys of the file say otherwise, the file is refused.
 */
import * as z from "zod";
import { InputError } from "../errors.ts";
import { show } from "../describe.ts";
import { type Keys, schemaOf } from "./keys.ts";
import type { RopeConfig } from "./model_config.ts";
import { count, MAX, oneOf, positive, scaleFactor, theta } from "../validate.ts";

const none = z.null({ error: "none in GPT-OSS" }).optional();
const one = z.literal([1], { error: "1" }).nullish();

/** Rotary embedding as `rope_scaling` has it, or, with `rope_theta` inside, `rope_parameters`. */
export const ROPE_DICTIONARY = {
  read: {
    rope_type: oneOf("yarn", "default").nullish(),
    /** The key's name in older files. */
    type: oneOf("yarn", "default").nullish(),
    rope_theta: theta.nullish(),
    factor: scaleFactor.nullish(),
    beta_fast: positive.nullish(),
    beta_slow: positive.nullish(),
    original_max_position_embeddings: count(MAX.positions).nullish(),
    truncate: z.boolean({ error: "true or false" }).nullish(),
    attention_factor: positive.nullish(),
  },
  // Keys of other models' YaRN that would change the result, for some reader at least; GPT-OSS has none of them.
  checked: {
    mscale: none,
    mscale_all_dim: none,
    partial_rotary_factor: one,
    attn_factor: one,
    extrapolation_factor: one,
    apply_yarn_scaling: oneOf(true).nullish(),
    // A dictionary for each type of layer.
    sliding_attention: none,
    full_attention: none,
  },
  irrelevant: {},
} satisfies Keys<z.ZodRawShape>;
const Rope = schemaOf(ROPE_DICTIONARY);
type RopeDictionary = z.infer<typeof Rope>;

/** The keys of config.json that say how positions enter. */
export const ROPE_KEYS = {
  rope_theta: theta.nullish(),
  rope_scaling: Rope.nullish(),
  rope_parameters: Rope.nullish(),
  initial_context_length: count(MAX.positions).nullish(),
  max_position_embeddings: count(MAX.positions).nullish(),
  original_max_position_embeddings: count(MAX.positions).nullish(),
  partial_rotary_factor: one,
};
const RopeKeys = z.object(ROPE_KEYS);
/** Their values. */
export type RopeValues = z.infer<typeof RopeKeys>;

/** What transformers takes for keys of GPT-OSS that are missing. */
const DEFAULTS = {
  rope_theta: 150_000,
  max_position_embeddings: 131_072,
};
const DEFAULT_ROPE: RopeDictionary = {
  rope_type: "yarn",
  factor: 32,
  original_max_position_embeddings: 4096,
  truncate: false,
};

/** A dictionary with nothing left open; null where plain rotary embedding has no such key. */
interface Reading {
  readonly rope_type: "yarn" | "default";
  readonly rope_theta: number;
  readonly factor: number | null;
  readonly beta_fast: number | null;
  readonly beta_slow: number | null;
  readonly original_max_position_embeddings: number | null;
  readonly truncate: boolean | null;
  readonly attention_factor: number | null;
}

/** How positions enter a model. */
export interface Positions {
  readonly rope: RopeConfig;
  readonly maxPositions: number;
}

/**
 * Reads the keys.
 *
 * @param path What messages begin with.
 * @param warnings Gets a line for each default that published files do not leave to the reader.
 * @throws {InputError} naming the key that is missing, ambiguous or contradicts another one.
 */
export function readRope(values: RopeValues, path: string, warnings: string[]): Positions {
  const { rope_parameters: parameters, rope_scaling: scaling } = values;
  const [reading, other] = (["rope_parameters", "rope_scaling"] as const).flatMap((key) => {
    const dictionary = values[key];
    if (!dictionary) return [];
    // A base that only one of them has is not the other one's, which transformers reads with the default.
    const base = parameters && scaling && (parameters.rope_theta ?? scaling.rope_theta)
      ? DEFAULTS.rope_theta
      : undefined;
    return [{ key, ...read(dictionary, values, { path, key, base, warnings }) }];
  });
  if (reading && other) {
    for (const key of Object.keys(reading) as (keyof typeof reading)[]) {
      if (key === "key" || reading[key] === other[key]) continue;
      throw InputError.of(
        "wrong_value",
        { file: path, key: `${other.key}.${key}` },
        `${reading.key}.${key}, ${show(reading[key])}`,
        show(other[key]),
      );
    }
  }
  return positionsOf(reading ?? readNothing(values, path, warnings), values, path);
}

/** The reading of a file without a dictionary. */
function readNothing(values: RopeValues, path: string, warnings: string[]): Reading {
  if (values.rope_scaling === null) {
    throw InputError.of(
      "wrong_value",
      { file: path, key: "rope_scaling" },
      "an object",
      "null, which transformers 5 reads as YaRN by 32 and transformers 4 as plain rotary embedding",
    );
  }
  const { initial_context_length: initial } = values, original = DEFAULT_ROPE.original_max_position_embeddings;
  if (initial && initial !== original) {
    throw InputError.of(
      "missing",
      { file: path, key: "rope_scaling" },
      "an object",
      `nothing, which transformers reads as YaRN by 32 of ${original} positions, ` +
        `where initial_context_length is ${initial}`,
    );
  }
  warnings.push("rope_scaling is missing; as in transformers it is YaRN by 32 of 4096 positions, not truncated");
  return read(DEFAULT_ROPE, values, { path, key: "rope_scaling", base: undefined, warnings });
}

/** Where a dictionary stands. */
interface Place {
  readonly path: string;
  readonly key: "rope_parameters" | "rope_scaling";
  /** Base where no key has one; undefined: that is refused. */
  readonly base: number | undefined;
  readonly warnings: string[];
}

function read(rope: RopeDictionary, values: RopeValues, place: Place): Reading {
  const { path, key } = place;
  const type = rope.rope_type ?? rope.type;
  if (!type) throw InputError.of("missing", { file: path, key: `${key}.rope_type` }, '"yarn" or "default"', "nothing");
  if (rope.type && rope.type !== type) {
    throw InputError.of(
      "wrong_value",
      { file: path, key: `${key}.type` },
      `${key}.rope_type, ${show(type)}`,
      show(rope.type),
    );
  }
  const theta = rope.rope_theta ?? values.rope_theta ?? place.base;
  if (!theta) {
    throw InputError.of("wrong_value", { file: path, key: "rope_theta" }, "a number above 1", show(values.rope_theta));
  }
  if (values.rope_theta && values.rope_theta !== theta) {
    throw InputError.of(
      "wrong_value",
      { file: path, key: "rope_theta" },
      `${key}.rope_theta, ${show(theta)}`,
      show(values.rope_theta),
    );
  }
  if (type === "default") {
    return {
      ...{ rope_type: type, rope_theta: theta, factor: null, beta_fast: null, beta_slow: null },
      ...{ original_max_position_embeddings: null, truncate: null, attention_factor: null },
    };
  }
  const { factor, truncate, attention_factor: attention } = rope;
  if (!factor) {
    throw InputError.of("missing", { file: path, key: `${key}.factor` }, "a number from 1 to 1000000", "nothing");
  }
  if (truncate === undefined) {
    place.warnings.push(`${key}.truncate is missing; as in transformers and vLLM it is true, where GPT-OSS has false`);
  }
  // The graph computes the concentration from the factor, as GPT-OSS does, and in float32, where a few digits less make
  // no difference.
  const concentration = 0.1 * Math.log(factor) + 1;
  if (attention && Math.fround(attention) !== Math.fround(concentration)) {
    throw InputError.of(
      "wrong_value",
      { file: path, key: `${key}.attention_factor` },
      `${concentration} (0.1 ln factor + 1) or none`,
      attention,
    );
  }
  return {
    rope_type: type,
    rope_theta: theta,
    factor,
    beta_fast: rope.beta_fast ?? 32,
    beta_slow: rope.beta_slow ?? 1,
    original_max_position_embeddings: originalPositions(rope, values, place),
    // null is false to Python.
    truncate: truncate === undefined ? true : truncate ?? false,
    attention_factor: Math.fround(concentration),
  };
}

function originalPositions(rope: RopeDictionary, values: RopeValues, { path, key, warnings }: Place): number {
  const { initial_context_length: initial, original_max_position_embeddings: outer, max_position_embeddings } = values;
  const name = "original_max_position_embeddings", inner = rope[name], most = max_position_embeddings;
  const original = inner ?? most;
  if (!original) throw InputError.of("missing", { file: path, key: `${key}.${name}` }, "a positive integer", "nothing");
  if (outer && outer !== original) {
    throw InputError.of("wrong_value", { file: path, key: name }, `${key}.${name}, ${original}`, outer);
  }
  if (inner) {
    if (initial && initial !== inner) {
      warnings.push(`initial_context_length is ${initial} and ${key}.${name} ${inner}; the latter counts`);
    }
  } else if (initial && initial !== original) {
    throw InputError.of(
      "missing",
      { file: path, key: `${key}.${name}` },
      "a positive integer",
      `nothing, which transformers reads as max_position_embeddings, ${original}, ` +
        `where initial_context_length is ${initial}`,
    );
  } else {
    warnings.push(`${key}.${name} is missing; as in transformers it is max_position_embeddings, ${original}`);
  }
  return original;
}

function positionsOf(reading: Reading, values: RopeValues, path: string): Positions {
  const { rope_theta: theta, factor, original_max_position_embeddings: originalMaxPositions } = reading;
  const implied = factor && originalMaxPositions ? Math.floor(factor * originalMaxPositions) : null;
  const maxPositions = values.max_position_embeddings ?? implied;
  if (maxPositions === null) {
    throw InputError.of("missing", { file: path, key: "max_position_embeddings" }, "a positive integer", "nothing");
  }
  if (!values.max_position_embeddings && maxPositions !== DEFAULTS.max_position_embeddings) {
    throw InputError.of(
      "missing",
      { file: path, key: "max_position_embeddings" },
      "a positive integer",
      `nothing, which transformers reads as ${DEFAULTS.max_position_embeddings}, ` +
        `where YaRN's keys make ${maxPositions}`,
    );
  }
  if (reading.rope_type === "default") return { rope: { theta, yarn: null }, maxPositions };
  const { beta_fast: betaFast, beta_slow: betaSlow, truncate } = reading;
  const yarn = {
    ...{ factor: factor!, betaFast: betaFast!, betaSlow: betaSlow! },
    ...{ originalMaxPositions: originalMaxPositions!, truncate: truncate! },
  };
  return { rope: { theta, yarn }, maxPositions };
}
