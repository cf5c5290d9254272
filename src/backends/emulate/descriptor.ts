/** Writes kernel descriptors (wasm/ABI.md) into the descriptor area of a memory, without allocating. */

/** The words of one memory's descriptor area. */
export class DescriptorWriter {
  readonly #words: Uint32Array;
  readonly #floats: Float32Array;
  #at = 0;

  constructor(buffer: ArrayBufferLike, readonly address: number, words: number) {
    this.#words = new Uint32Array(buffer, address, words);
    this.#floats = new Float32Array(buffer, address, words);
  }

  /** Starts a new descriptor with these integer words. */
  begin(...words: number[]): this {
    for (let i = 0; i < words.length; i++) this.#words[i] = words[i]!;
    this.#at = words.length;
    return this;
  }

  /** Appends integer words. */
  u32(...words: number[]): this {
    for (let i = 0; i < words.length; i++) this.#words[this.#at++] = words[i]!;
    return this;
  }

  /** Appends a float32. */
  f32(value: number): this {
    this.#floats[this.#at++] = value;
    return this;
  }
}
