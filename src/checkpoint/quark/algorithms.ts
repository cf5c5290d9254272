/**
 * `algo_config` of AMD Quark's `quantization_config`: what was done to a model before its weights were quantized. Most
 * of it is part of the weights and needs nothing more; what must be computed at every token is read, and all else is
 * refused: a model without it would speak fluent nonsense.
 */
import * as z from "zod";
import { show } from "../../describe.ts";
import { validate } from "../../validate.ts";
import { InputError } from "../../errors.ts";

/** Online rotations that a config says a model has. */
export interface ConfiguredRotation {
  /** Modules with one by name; null where the config does not list them. */
  readonly modules: readonly string[] | null;
  /** Whether each has a prescale too. */
  readonly prescale: boolean;
  /** Width of the matrices; null: as wide as the input of each linear. */
  readonly size: number | null;
  /** Whether matrices hold what training left, rather than signs of Hadamard's. */
  readonly trained: boolean;
  /** Key that says so, for messages. */
  readonly key: string;
}

/** Algorithms that leave nothing but other weights. */
const FOLDED = ["smooth", "autosmoothquant", "awq", "gptq", "gptaq", "qronos", "autoround"];

/** Names of rotations: of all versions, and of Quark up to 0.11 for one with all four unless the entry says less. */
const ROTATIONS = ["rotation", "quarot"];

const BOOL = { error: "true or false" };
const Entry = z.looseObject({ name: z.string({ error: "a name" }) }, { error: "an object with a name" });

/** An object all of whose keys are declared. */
const known = <T extends z.ZodRawShape>(shape: T) =>
  z.strictObject(shape, {
    error: ({ code, keys }) => code === "unrecognized_keys" ? `no key ${show((keys as string[])[0])}` : "an object",
  });

/** Keys of a rotation; those that are not declared more narrowly say where it was folded in, and how it was found. */
const Rotation = known({
  name: z.string(),
  r1: z.boolean(BOOL).nullish(),
  r2: z.boolean(BOOL).nullish(),
  r3: z.boolean(BOOL).nullish(),
  r4: z.boolean(BOOL).nullish(),
  online_r1_rotation: z.boolean(BOOL).nullish(),
  online_config: known({
    shared_parallel: z.unknown().optional(),
    online_rotation_layers: z.array(z.string({ error: "a name" }), { error: "a list of names" }).nullish(),
    use_input_prescale: z.boolean(BOOL).nullish(),
    // Never had an effect; Quark drops it, too.
    shared_input_rotation: z.unknown().optional(),
  }).nullish(),
  scaling_layers: z.unknown().optional(),
  rotation_size: z.int({ error: "an integer above 0" }).positive({ error: "an integer above 0" }).nullish(),
  /** Of Quark up to 0.11, in place of the next two. */
  random: z.unknown().optional(),
  random_r1: z.unknown().optional(),
  random_r2: z.unknown().optional(),
  backbone: z.unknown().optional(),
  model_decoder_layers: z.unknown().optional(),
  v_proj: z.unknown().optional(),
  o_proj: z.unknown().optional(),
  self_attn: z.unknown().optional(),
  mlp: z.unknown().optional(),
  trainable: z.boolean(BOOL).nullish(),
  train_smooth: z.unknown().optional(),
  smooth_positions: z.unknown().optional(),
  /** Of `quarot`: where the matrices came from that were folded in. */
  optimized_rotation_path: z.unknown().optional(),
});

/**
 * Reads the entries. Of several rotations Quark reads the first back and forgets the others, so that no other may have
 * something to compute.
 *
 * @param json A list, one entry (as older exports have it), or nothing.
 * @param where What messages begin with: file and key.
 * @returns The online rotation, or null where there is none.
 * @throws {InputError} naming the entry that is not understood.
 */
export function readAlgorithms(json: unknown, where: string): ConfiguredRotation | null {
  if (json === null || json === undefined) return null;
  const entries = Array.isArray(json) ? json : [json];
  const rotations: (ConfiguredRotation | null)[] = [];
  entries.forEach((entry, i) => {
    const key = Array.isArray(json) ? `${where}[${i}]` : where;
    const { name } = validate(Entry, entry, key);
    if (ROTATIONS.includes(name)) rotations.push(readRotation(entry, key, name === "quarot"));
    else if (!FOLDED.includes(name)) {
      throw InputError.of("wrong_value", { name: `${key}.name` }, [...FOLDED, ...ROTATIONS].join(", "), show(name));
    }
  });
  const [first = null, ...others] = rotations;
  const other = others.find((one) => one !== null);
  if (other) {
    const expected = "an offline one, as Quark reads back the first rotation alone";
    throw InputError.of("unsupported", { name: other.key }, expected, "an online one");
  }
  return first;
}

/** @param all Whether r3 and r4, too, are done where the entry does not say so. */
function readRotation(json: unknown, key: string, all: boolean): ConfiguredRotation | null {
  const read = validate(Rotation, json, key);
  const { r1, r3 = all, r4 = all, online_r1_rotation: online, online_config: config } = read;
  // R3 rotates queries and keys after the rotary embedding; no tensor shows it.
  if (r3) {
    throw InputError.of(
      "unsupported",
      { name: `${key}.r3` },
      "false",
      "true: rotation of cached keys is not supported",
    );
  }
  if (!(r1 !== false && online) && !r4) return null;
  const listed = config?.online_rotation_layers ?? [];
  return {
    // An empty list says as little as none.
    modules: listed.length > 0 ? listed : null,
    prescale: config?.use_input_prescale ?? false,
    size: read.rotation_size ?? null,
    trained: read.trainable ?? false,
    key,
  };
}
