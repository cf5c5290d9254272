/**
 * Tokens per second that 16 clients of a server get beside those of a batch of 16 without a server, as `mxoss bench`
 * measures them; both in turns, by the clock and by processor time.
 *
 *     deno run --allow-all bench/server_rate.ts [--threads=2] [--times=7]
 */
import { measureRates, middleRatio } from "../tests/serve/rate.ts";

const valueOf = (name: string, otherwise: number) =>
  Number(Deno.args.find((argument) => argument.startsWith(`--${name}=`))?.slice(name.length + 3) ?? otherwise);

const rates = await measureRates(valueOf("times", 7), valueOf("threads", navigator.hardwareConcurrency));
for (const { batch, server } of rates) {
  console.log(
    `batch ${batch.clock.toFixed(0)} tok/s, ${batch.processor.toFixed(0)} a second of processor time; ` +
      `server ${server.clock.toFixed(0)} and ${server.processor.toFixed(0)}`,
  );
}
const [clock, processor] = [middleRatio(rates, "clock"), middleRatio(rates, "processor")];
console.log(`middle of the ratios: ${clock.toFixed(2)} by the clock, ${processor.toFixed(2)} by processor time`);
