/**
 * Sequences computed in batches, in a process of its own: the one that runs the tests has other threads at work. For
 * each line of stdin it decodes so many tokens of each, and writes the processor seconds that this took.
 *
 *     rate_batch.ts THREADS SEQUENCES TOKENS
 */
import process from "node:process";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { argmax } from "../../src/session/likelihood.ts";
import { openSession } from "../session/open_session.ts";
import { TINY } from "./serving.ts";

const [threads, sequences, tokens] = Deno.args.map(Number) as [number, number, number];
const session = await openSession(openCheckpoint(TINY), {
  ...{ backend: "emulate", dtype: "bf16", kvCacheDtype: "auto", context: 512, slots: sequences, threads },
});

/** One token of each sequence in a batch, and the next ones chosen of its logits. */
async function decode(): Promise<void> {
  for (let slot = 0; slot < sequences; slot++) session.reset(slot);
  let ids = Array.from({ length: sequences }, (_, slot) => slot + 1);
  for (let step = 0; step < tokens; step++) {
    const next: number[] = [];
    await session.step(ids.map((token, slot) => ({ slot, token })), (_i, logits) => next.push(argmax(logits)));
    ids = next;
  }
}

for await (const _line of Deno.stdin.readable) {
  const before = process.cpuUsage();
  await decode();
  const { user, system } = process.cpuUsage(before);
  console.log((user + system) / 1e6);
}
await session.close();
