/**
 * 64 clients at once for three minutes: streams, disconnects, slow readers, malformed and oversized requests. Ends with
 * an error if a reply differs from what its request gets alone, a request is lost, or memory grows.
 *
 *     deno task bench:server [--seconds=180] [--clients=64]
 */
import { parseArgs } from "node:util";
import { countOf, optionsOrEnd } from "./options.ts";
import { bytesText } from "../src/amounts.ts";
import { startServer } from "../tests/serve/server_process.ts";
import { checkStress, stress, STRESSED } from "../tests/serve/stress.ts";

const { values: flags } = parseArgs({
  options: {
    seconds: { type: "string", default: "180" },
    clients: { type: "string", default: "64" },
  },
});

const [seconds, clients] = optionsOrEnd(() =>
  [countOf("--seconds", flags.seconds), countOf("--clients", flags.clients)] as const
);

await using server = await startServer(STRESSED);
const { counts, tokens, memory: [early, late] } = await stress(server, clients, seconds);
console.log(`${clients} clients, ${seconds} s: ${tokens} tokens, ${(tokens / seconds).toFixed(0)} tok/s`);
console.log(Object.entries(counts).sort().map(([what, count]) => `${what} ${count}`).join(", "));
console.log(`memory ${bytesText(early)} after a third, ${bytesText(late)} at the end`);
await checkStress(server, { counts, tokens, memory: [early, late] });
console.log("every reply as it is by itself, every request in the log, idle at the end, ended by SIGTERM with code 0");
