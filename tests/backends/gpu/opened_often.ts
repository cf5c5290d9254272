/**
 * Opens a small model on the test library several times and prints how much more memory may be written to at the end
 * than after the first time, bytes: Linux's /proc/self/maps, without what other processes can see. Own process, as
 * other tests' memory would count.
 */
import { buildHipHost } from "../../hip_host/build.ts";
import { hostKernels } from "../../hip_host/kernels.ts";
import { randomModel, testConfig } from "../random_model.ts";
import { logitsOf, openEngine, sequence } from "./opened.ts";

const TIMES = 8;

function writableBytes(): number {
  let bytes = 0;
  for (const line of Deno.readTextFileSync("/proc/self/maps").split("\n")) {
    const [range, rights] = line.split(" ");
    if (!rights?.startsWith("rw-p")) continue;
    const [from, to] = range!.split("-").map((at) => parseInt(at, 16));
    bytes += to! - from!;
  }
  return bytes;
}

const config = testConfig({}), library = buildHipHost(), kernels = await hostKernels();
let first = 0;
for (let time = 0; time < TIMES; time++) {
  using model = randomModel(1, { config });
  const engine = await openEngine(library, model, { kernels });
  await logitsOf(engine, sequence(0, 2, config.vocab), [1]);
  await engine.close();
  if (time === 0) first = writableBytes();
}
console.log(writableBytes() - first);
