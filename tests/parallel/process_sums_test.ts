/** Sums over ranks in several processes, which are threads here, have the bits of sums over threads of one. */
import { createSharedCommunication, type SharedCommunication } from "../../src/parallel/communicator.ts";
import { assertEquals } from "../assert.ts";
import type { Exchange } from "./communicator_rank.ts";

/** Sums whose result shows in which order ranks were added, and ordinary ones. */
const STEPS = [
  { group: "world", round: false, values: [1, 1e8, -1e8, 3, 1e-3, 7, -2e7, 0.1] },
  { group: "tensor", round: false, values: [0.1, 0.2, 0.3, 1e7, 0.1, 1e7, 0.2, 0.3] },
  { group: "world", round: true },
  { group: "tensor", round: true },
] as const;

/** What each of some ranks got, of which `processes` have as many each. */
async function sums(tp: number, ep: number, processes: number): Promise<number[][][]> {
  const ranks = tp * ep, count = ranks / processes, values = new SharedArrayBuffer(4 * 5 * ranks);
  const meeting = createSharedCommunication(processes, 1, 1);
  const shared = Array.from(
    { length: processes },
    (_, process): SharedCommunication =>
      createSharedCommunication(tp, ep, 8, processes === 1 ? null : { first: process * count, count }),
  );
  return await Promise.all(Array.from({ length: ranks }, (_, rank) => {
    const worker = new Worker(new URL("./communicator_rank.ts", import.meta.url), { type: "module" });
    const process = Math.floor(rank / count), speaks = processes > 1 && rank === process * count;
    const exchange: Exchange | null = speaks ? { shared: meeting, process, processes, values } : null;
    return new Promise<number[][]>((resolve, reject) => {
      worker.onmessage = ({ data }) => data.failed ? reject(new Error(data.failed)) : resolve(data);
      worker.postMessage({ shared: shared[process], rank, steps: STEPS, exchange });
    });
  }));
}

Deno.test("sums over processes have the bits of sums over threads, in groups within a process and across", async () => {
  for (const [tp, ep, processes] of [[4, 1, 2], [2, 2, 2], [2, 2, 4], [2, 4, 2]] as const) {
    assertEquals(await sums(tp, ep, processes), await sums(tp, ep, 1), `tp ${tp}, ep ${ep} in ${processes} processes`);
  }
});
