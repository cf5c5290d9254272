/** Rotation matrices that AMD Quark would not compute with as they are stored, and those that all linears share. */
import { assertEquals } from "../assert.ts";
import { type Json, numbers, refusal, type Tensors } from "./refused_export.ts";

type Case = [string, string, (t: Tensors) => void, (algorithm: Json) => void, string];

const Q = "model.layers.0.self_attn.q_proj";
const KEY = "config.json: quantization_config.algo_config";
const NOTHING = () => {};

/** Matrices that are not those that Quark computes with. */
const OTHERS: Case[] = [
  [
    "a trained matrix with NaN",
    "rotation_online_32",
    (t) => {
      const matrix = numbers("F64", [32, 32], 8);
      new Float64Array(matrix.bytes.buffer)[1000] = NaN;
      t.set(`${Q}.input_rotation`, matrix);
    },
    (algorithm) => algorithm["trainable"] = true,
    `model.safetensors: tensor ${Q}.input_rotation: expected finite numbers, got NaN at element 1000`,
  ],
  [
    "signs that the config calls trained",
    "rotation_online_32",
    NOTHING,
    (algorithm) => algorithm["trainable"] = true,
    `model.safetensors: tensor ${Q}.input_rotation: expected F64 [32, 32], as trainable is true, got I8 [32, 32]`,
  ],
  ...([["rotation_online_full", 64], ["fake_rotation", 32]] as const).map(([name, size]): Case => [
    `another matrix than Quark's own where that counts (${name})`,
    name,
    (t) => new Int8Array(t.get(`${Q}.input_rotation`)!.bytes.buffer)[size + 2] = -1,
    NOTHING,
    `model.safetensors: tensor ${Q}.input_rotation: expected 1 at element ${size + 2}, as in Hadamard's matrix of ` +
    `${size}, with which AMD Quark computes here, got -1`,
  ]),
];

const SHARED = "model.shared_input_rotation_16";

/** Refusals of one matrix for all linears. */
const SHARINGS: Case[] = [
  [
    "a shared rotation of linears that the config does not list",
    "rotation_shared",
    NOTHING,
    (algorithm) => algorithm["online_config"] = null,
    `${KEY}[0].online_config.online_rotation_layers: expected a list of the linears that ${SHARED} rotates, ` +
    "got nothing",
  ],
  [
    "two shared rotations of one width",
    "rotation_shared",
    (t) => t.set("shared_input_rotation_16", numbers("I8", [16, 16], 1)),
    NOTHING,
    `model.safetensors: tensor shared_input_rotation_16: expected none of width 16 beside ${SHARED}, got one`,
  ],
  [
    "a shared rotation of another width than its name says",
    "rotation_shared",
    (t) => t.set(SHARED, numbers("I8", [32, 32], 1)),
    NOTHING,
    `model.safetensors: tensor ${SHARED}: expected I8 or F64 [16, 16], got I8 [32, 32]`,
  ],
  [
    "a shared rotation of another width than the config has",
    "rotation_shared",
    NOTHING,
    (algorithm) => algorithm["rotation_size"] = 32,
    `model.safetensors: tensor ${SHARED}: expected none of that name, got one: what it does to the model is not known`,
  ],
];

for (const [what, name, tensors, config, line] of [...OTHERS, ...SHARINGS]) {
  Deno.test(`a Quark export with ${what} is refused`, () => {
    assertEquals(refusal(name, tensors, config), line);
  });
}
