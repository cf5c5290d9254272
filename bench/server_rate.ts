/**
 * Tokens per second that 16 clients of a server get beside those of a batch of 16 without a server, as `mxoss bench`
 * measures them; both in turns, by the clock and by processor time.
 *
 *     deno run --allow-all bench/server_rate.ts [--threads=2] [--times=7]
 */
import { parseArgs } from "node:util";
import { countOf, optionsOrEnd } from "./options.ts";
import { measureRates, middleRatio } from "../tests/serve/rate.ts";

const { values: flags } = parseArgs({
  options: {
    times: { type: "string", default: "7" },
    threads: { type: "string", default: `${navigator.hardwareConcurrency}` },
  },
});

const [times, threads] = optionsOrEnd(() =>
  [countOf("--times", flags.times), countOf("--threads", flags.threads)] as const
);

const rates = await measureRates(times, threads);
for (const { batch, server } of rates) {
  console.log(
    `batch ${batch.clock.toFixed(0)} tok/s, ${batch.processor.toFixed(0)} a second of processor time; ` +
      `server ${server.clock.toFixed(0)} and ${server.processor.toFixed(0)}`,
  );
}
const [clock, processor] = [middleRatio(rates, "clock"), middleRatio(rates, "processor")];
console.log(`middle of the ratios: ${clock.toFixed(2)} by the clock, ${processor.toFixed(2)} by processor time`);
