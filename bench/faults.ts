/**
 * What it costs a sound run to notice faults: `deno run --allow-all bench/faults.ts`. Each figure is the least of many,
 * in microseconds.
 */
import { explainBusErrors } from "../src/backends/emulate/bus_error.ts";
import { openCheckpoint } from "../src/checkpoint/checkpoint.ts";
import { refuseChanged } from "../src/checkpoint/identity.ts";
import { allFinite } from "../src/formats/finite.ts";

function least(times: number, act: (i: number) => void): string {
  let best = Infinity;
  for (let i = 0; i < times; i++) {
    const started = performance.now();
    act(i);
    best = Math.min(best, performance.now() - started);
  }
  return (1000 * best).toFixed(1).padStart(8);
}

const logits = Float32Array.from({ length: 201_088 }, (_, i) => Math.sin(i));
const { identity } = openCheckpoint(new URL("../models/tiny-gpt-oss", import.meta.url).pathname);
console.log(
  `${least(300, () => void allFinite(logits))} us  a row of 201,088 logits looked through for NaN and infinities`,
);
console.log(
  `${least(300, () => refuseChanged(identity))} us  ${identity.length} files of a checkpoint asked for changes`,
);
console.log(`${least(30, (i) => explainBusErrors([`/models/${i}/a`]))} us  the handler of SIGBUS installed`);
