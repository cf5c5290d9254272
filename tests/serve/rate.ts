/**
 * What 16 clients of a server get beside the same 16 replies computed in batches without one, in turns: what else the
 * machine does meanwhile meets both. Tokens per second are of the clock and mean something on a quiet machine only;
 * tokens per second of processor time, of which the clients' is none of the server's, do so on a busy one as well.
 *
 * `mxoss bench` lets no two sequences have the same token, so that they choose different experts; neither does this.
 * Sixteen times the same sequence would take a fifth less than what any clients ask for.
 */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { argmax } from "../../src/session/likelihood.ts";
import { openSession } from "../session/open_session.ts";
import { type ServerProcess, startServer } from "./server_process.ts";
import { TINY } from "./serving.ts";

const CLIENTS = 16;
/** Tokens of a reply. */
const TOKENS = 224;
/** What each client continues. */
const promptOf = (client: number) => client + 1;

/** Tokens per second. */
export interface Rate {
  readonly clock: number;
  readonly processor: number;
}

/** Rates of one turn. */
export interface Rates {
  readonly batch: Rate;
  readonly server: Rate;
}

/** Measures both, several times in turns. */
export async function measureRates(times: number, threads: number): Promise<Rates[]> {
  const sizes = ["--sequences=16", "--context=512", `--threads=${threads}`, "--log=none"];
  await using server = await startServer(sizes);
  const session = await openSession(openCheckpoint(TINY), {
    backend: "emulate",
    dtype: "bf16",
    kvCacheDtype: "auto",
    context: 512,
    slots: CLIENTS,
    threads,
  });
  const rates: Rates[] = [];
  // The first turn compiles.
  for (let i = -1; i < times; i++) {
    const batch = await rateOf(Deno.pid, () => decodeBatch(session));
    const both = { batch, server: await rateOf(server.pid, () => ask(server)) };
    if (i >= 0) rates.push(both);
  }
  await session.close();
  return rates;
}

/** @param pid The process that computes. */
async function rateOf(pid: number, work: () => Promise<void>): Promise<Rate> {
  const processor = processorSeconds(pid), began = performance.now();
  await work();
  const tokens = CLIENTS * TOKENS;
  return {
    clock: 1000 * tokens / (performance.now() - began),
    processor: tokens / (processorSeconds(pid) - processor),
  };
}

/** Seconds of processor time that all threads of a process took so far. */
function processorSeconds(pid: number): number {
  const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** One token of each sequence in a batch, and the next ones chosen of its logits. */
async function decodeBatch(session: Awaited<ReturnType<typeof openSession>>): Promise<void> {
  for (let slot = 0; slot < CLIENTS; slot++) session.reset(slot);
  let tokens = Array.from({ length: CLIENTS }, (_, slot) => promptOf(slot));
  for (let step = 0; step < TOKENS; step++) {
    const next: number[] = [];
    await session.step(tokens.map((token, slot) => ({ slot, token })), (_i, logits) => next.push(argmax(logits)));
    tokens = next;
  }
}

/** Clients that stream their replies. */
async function ask({ url }: ServerProcess): Promise<void> {
  await Promise.all(Array.from({ length: CLIENTS }, async (_, i) => {
    const body = { prompt: [promptOf(i)], max_tokens: TOKENS, temperature: 0, ignore_eos: true, stream: true };
    const response = await fetch(`${url}/v1/completions`, { method: "POST", body: JSON.stringify(body) });
    for await (const _piece of response.body!);
  }));
}

/** The middle of the ratios of server to batch. */
export function middleRatio(rates: readonly Rates[], kind: keyof Rate): number {
  return rates.map(({ batch, server }) => server[kind] / batch[kind]).toSorted((a, b) => a - b)[rates.length >> 1]!;
}
