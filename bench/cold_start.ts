/**
 * Cold start and speed of the whole program with the embedded model: each figure is the median of five processes.
 *
 *     deno run --allow-all bench/cold_start.ts
 *
 * "Cold" means a new process; the files are in the page cache and Deno has the modules in its own cache after a first,
 * uncounted run.
 */
import { spreadOf, spreadText } from "../src/bench/spread.ts";
import { machine } from "./machine.ts";

const RUNS = 5;
const MAIN = new URL("../main.ts", import.meta.url).pathname;
const QUESTION = "Tom has 12 apples. He buys 30 more. Then Tom gives away 17. How many apples does Tom have now?";

/** Tokens per second and milliseconds that `--json` reports. */
interface Reply {
  readonly timings: { readonly prefill_tokens_per_second: number; readonly decode_tokens_per_second: number };
}

/**
 * Runs the program as the README's command does; gives its stdout and the wall-clock time of the process in
 * milliseconds.
 */
async function run(args: readonly string[]): Promise<{ stdout: string; milliseconds: number }> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-read", "--allow-ffi", MAIN, ...args, QUESTION],
    stdin: "null",
  });
  const started = performance.now();
  const { success, stdout, stderr } = await command.output();
  const milliseconds = performance.now() - started;
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return { stdout: new TextDecoder().decode(stdout), milliseconds };
}

/** One call after the other: two processes at once would share the cores. */
async function repeat<T>(measure: () => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let i = 0; i < RUNS; i++) results.push(await measure());
  return results;
}

await run(["--max-tokens", "1"]);
const starts = await repeat(async () => (await run(["--max-tokens", "1"])).milliseconds);
const replies = await repeat(async () => JSON.parse((await run(["--json"])).stdout) as Reply);
const format = (values: readonly number[], unit: string) => `${spreadText(spreadOf(values))} ${unit}`;

console.log(machine());
console.log(`whole process to the first token: ${format(starts.map((ms) => ms / 1000), "s")}; target: under 0.6 s`);
console.log(`prefill: ${format(replies.map(({ timings }) => timings.prefill_tokens_per_second), "tok/s")}`);
console.log(`decode: ${format(replies.map(({ timings }) => timings.decode_tokens_per_second), "tok/s")}`);
