/** A request on its way to the end of its answer: its line of the log, and what ends it. */

/** A line of the log: one for each request. */
export type LogLine = Readonly<Record<string, string | number | boolean | null>>;

/** Characters of a path in the log; every endpoint's has fewer. */
const MOST_PATH = 120;

/** A path whose end, in which nothing is told from other such paths, is left out. */
function shortened(path: string): string {
  return path.length <= MOST_PATH ? path : `${path.slice(0, MOST_PATH - 1)}…`;
}

/** One request. */
export class Exchange {
  readonly id: string = crypto.randomUUID();
  /** Fires when the client went away, or the server ends what still runs. */
  readonly abort = new AbortController();
  /** Whether its answer is a stream, which ends it. */
  streams = false;
  readonly #started = performance.now();
  readonly #fields: Record<string, string | number | boolean | null> = {};
  readonly #leave = () => this.abort.abort();
  #ended = false;

  /**
   * @param path Without the query, in which a client may have put what is nobody's business.
   * @param address Where it comes from.
   * @param onEnd Called once.
   */
  constructor(
    readonly request: Request,
    readonly path: string,
    readonly address: string,
    readonly onEnd: (exchange: Exchange, line: LogLine) => void,
  ) {
    request.signal.addEventListener("abort", this.#leave);
  }

  /** Adds fields to its line in the log. */
  note(fields: LogLine): void {
    Object.assign(this.#fields, fields);
  }

  /** @param left Whether the client went away before. */
  end(status: number, left = false): void {
    if (this.#ended) return;
    this.#ended = true;
    this.request.signal.removeEventListener("abort", this.#leave);
    this.onEnd(this, {
      time: new Date().toISOString(),
      id: this.id,
      method: this.request.method,
      path: shortened(this.path),
      status,
      ms: Math.round(performance.now() - this.#started),
      ...this.#fields,
      ...(left ? { left } : {}),
    });
  }
}
