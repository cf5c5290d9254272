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
    this.#at = 0;
    return this.u32(...words);
  }

  /** Appends integer words. */
  u32(...words: number[]): this {
    for (const word of words) this.#words[this.#at++] = word;
    return this;
  }

  /** Appends a float32. */
  f32(value: number): this {
    this.#floats[this.#at++] = value;
    return this;
  }
}
