/** Values that come at their own time, in order. */
export class Queue<T> {
  readonly #values: T[] = [];
  #taker: { resolve(value: T): void; reject(cause: unknown): void } | null = null;
  #failure: { readonly cause: unknown } | null = null;

  put(value: T): void {
    if (this.#taker === null) this.#values.push(value);
    else this.#taker.resolve(value);
    this.#taker = null;
  }

  fail(cause: unknown): void {
    this.#failure = { cause };
    this.#taker?.reject(cause);
    this.#taker = null;
  }

  take(): Promise<T> {
    const first = this.#values.shift();
    if (first !== undefined) return Promise.resolve(first);
    if (this.#failure !== null) return Promise.reject(this.#failure.cause);
    return new Promise((resolve, reject) => this.#taker = { resolve, reject });
  }
}
