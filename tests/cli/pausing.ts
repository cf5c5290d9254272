/**
 * The program, which pauses in the midst of its work, however fast it is and however seldom a test looks:
 *
 *     pausing.ts COUNT FILE ARGS...
 *
 * As soon as it has given COUNT files of weights their names, it stands still until there is a FILE.
 */
import { run } from "../../src/cli/run.ts";
import { exists } from "../exists.ts";

const [count, file, ...args] = Deno.args as [string, string, ...string[]], { renameSync } = Deno;
const cell = new Int32Array(new SharedArrayBuffer(4));
let left = Number(count);

Deno.renameSync = (from, to) => {
  renameSync(from, to);
  if (!`${to}`.endsWith(".safetensors") || --left !== 0) return;
  // Longer than any work goes on without a look at what has come meanwhile.
  do Atomics.wait(cell, 0, 0, 100); while (!exists(file));
};
await run(args);
