/**
 * What 16 clients of a server get beside the same 16 replies computed in batches without one, in turns: what else the
 * machine does meanwhile meets both. Tokens per second are of the clock and mean something on a quiet machine only;
 * tokens per second of processor time, of which the clients' is none of the server's, do so on a busy one as well, and
 * so does the share of the time in which the thread that computes had nothing to do.
 *
 * `mxoss bench` lets no two sequences have the same token, so that they choose different experts; neither does this.
 * Sixteen times the same sequence would take a fifth less than what any clients ask for.
 */
import { type ServerProcess, startServer } from "./server_process.ts";

const CLIENTS = 16;
/** Tokens of a reply. */
const TOKENS = 224;
const BATCH = new URL("./rate_batch.ts", import.meta.url).pathname;

/** Tokens per second. */
export interface Rate {
  readonly clock: number;
  readonly processor: number;
}

/** Rates of one turn. */
export interface Rates {
  readonly batch: Rate;
  readonly server: Rate;
  /** Part of the server's time in which the busiest of its threads neither computed nor waited for a processor. */
  readonly idle: number;
}

/** Measures both, several times in turns. */
export async function measureRates(times: number, threads: number): Promise<Rates[]> {
  const sizes = ["--sequences=16", "--context=512", `--threads=${threads}`, "--log=none"];
  await using server = await startServer(sizes);
  await using batch = new Batch(threads);
  const rates: Rates[] = [];
  // The first turn compiles.
  for (let i = -1; i < times; i++) {
    const alone = await rateOf(() => batch.decode()), { pid } = server, before = timesOfThreads(pid);
    const served = await rateOf(async () => {
      const start = processorSeconds(pid);
      await ask(server);
      return processorSeconds(pid) - start;
    });
    const seconds = CLIENTS * TOKENS / served.clock, [computed, waited] = busiest(before, timesOfThreads(pid));
    if (i >= 0) rates.push({ batch: alone, server: served, idle: 1 - (computed + waited) / seconds });
  }
  return rates;
}

/** @param work Gives the processor seconds that it took. */
async function rateOf(work: () => Promise<number>): Promise<Rate> {
  const tokens = CLIENTS * TOKENS, began = performance.now(), processor = await work();
  return { clock: 1000 * tokens / (performance.now() - began), processor: tokens / processor };
}

/** Seconds of processor time that all threads of a process took so far. */
function processorSeconds(pid: number): number {
  const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Seconds that a thread computed so far, and for which it was ready and waited for a processor. */
type ThreadTimes = readonly [computed: number, waited: number];

function timesOfThreads(pid: number): ReadonlyMap<string, ThreadTimes> {
  return new Map(Array.from(Deno.readDirSync(`/proc/${pid}/task`), ({ name }) => {
    const [computed, waited] = Deno.readTextFileSync(`/proc/${pid}/task/${name}/schedstat`).split(" ");
    return [name, [Number(computed) / 1e9, Number(waited) / 1e9]];
  }));
}

/** Times of the thread that computed most between two looks. */
function busiest(before: ReadonlyMap<string, ThreadTimes>, after: ReadonlyMap<string, ThreadTimes>): ThreadTimes {
  const times = after.entries().map(([name, [computed, waited]]): ThreadTimes => {
    const [ownComputed, ownWaited] = before.get(name) ?? [0, 0];
    return [computed - ownComputed, waited - ownWaited];
  });
  return [...times].sort(([a], [b]) => b - a)[0]!;
}

/** The batches. */
class Batch implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamDefaultReader<string>;

  constructor(threads: number) {
    const args = ["run", "--no-check", "--allow-all", BATCH, ...[threads, CLIENTS, TOKENS].map(String)];
    this.#child = new Deno.Command(Deno.execPath(), { args, stdin: "piped", stdout: "piped" }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#reader = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Decodes; gives the processor seconds that this took. */
  async decode(): Promise<number> {
    await this.#writer.write(new TextEncoder().encode("\n"));
    return Number((await this.#reader.read()).value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.close();
    while (!(await this.#reader.read()).done);
    await this.#child.status;
  }
}

/** Clients that stream their replies. */
async function ask({ url }: ServerProcess): Promise<void> {
  await Promise.all(Array.from({ length: CLIENTS }, async (_, i) => {
    const body = { prompt: [i + 1], max_tokens: TOKENS, temperature: 0, ignore_eos: true, stream: true };
    const response = await fetch(`${url}/v1/completions`, { method: "POST", body: JSON.stringify(body) });
    for await (const _piece of response.body!);
  }));
}

/** The middle of the ratios of server to batch. */
export function middleRatio(rates: readonly Rates[], kind: keyof Rate): number {
  return rates.map(({ batch, server }) => server[kind] / batch[kind]).toSorted((a, b) => a - b)[rates.length >> 1]!;
}
