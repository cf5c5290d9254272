/** Results of another implementation that come with the program; tools/verify_goldens.ts writes them. */
import { ownPath } from "../own_files.ts";
import { readStored } from "../stored_files.ts";
import { openSafetensors } from "../checkpoint/safetensors.ts";

/** Where they lie. */
export const GOLDENS_PATH = "src/verify/goldens.safetensors";

/** Token ids and float32 logits of the embedded model, by Hugging Face's implementation. */
export class Goldens {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #file = openSafetensors(ownPath(GOLDENS_PATH));

  constructor() {
    this.#bytes = readStored(ownPath(GOLDENS_PATH));
  }

  #data(name: string): ArrayBuffer {
    const { offset, bytes } = this.#file.tensors.get(name)!;
    return this.#bytes.slice(offset, offset + bytes).buffer;
  }

  /** Logits [positions][V] of the last positions, or scales. */
  numbers(name: string): Float32Array {
    return new Float32Array(this.#data(name));
  }

  ids(name: string): Int32Array {
    return new Int32Array(this.#data(name));
  }

  /** The static scales that the goldens were made with, by module. */
  inputScales(): ReadonlyMap<string, number> {
    const scales = this.numbers("static_input_scale");
    return new Map(Array.from(scales, (scale, i): [string, number] => {
      const module = i % 2 === 0 ? "gate_up_proj" : "down_proj";
      return [`model.layers.${Math.floor(i / 2)}.mlp.experts.${module}`, scale];
    }));
  }
}
