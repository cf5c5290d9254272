/** What is refused of an export of AMD Quark's whose tensors and config were changed. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { InputError } from "../../src/errors.ts";
import { planModel } from "../../src/plan/planned.ts";
import { assertThrows } from "../assert.ts";
import { unpack } from "../model/quark_exports.ts";
import { rewrite, type StoredNumbers } from "./container.ts";

export type Tensors = Map<string, StoredNumbers>;
export type Json = Record<string, unknown>;

/** A tensor of zeros. */
export const numbers = (dtype: StoredNumbers["dtype"], shape: number[], bytesEach: number): StoredNumbers => ({
  dtype,
  shape,
  bytes: new Uint8Array(bytesEach * shape.reduce((product, size) => product * size, 1)),
});

/** One line of what is refused of an export that was changed, without the directory. */
export function refusal(
  name: string,
  tensors: (t: Tensors) => void,
  config: (algorithm: Json, quantization: Json) => void,
) {
  using dir = unpack(name);
  rewrite(`${dir.path}/model.safetensors`, tensors);
  const path = `${dir.path}/config.json`, json = JSON.parse(Deno.readTextFileSync(path));
  const quantization = json.quantization_config;
  config(quantization.algo_config?.[0], quantization);
  Deno.writeTextFileSync(path, JSON.stringify(json));
  const { message } = assertThrows(
    () => planModel(openCheckpoint(dir.path), { dtype: "f32", kvCacheDtype: "auto" }),
    InputError,
  );
  return message.replaceAll(`${dir.path}/`, "");
}
