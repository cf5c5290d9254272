/**
 * The standalone binary's start to the first token of the embedded model, against that of `deno run`: medians of whole
 * processes and of the ratio of two in turn, with their intervals.
 *
 *     deno task compile && deno run --allow-all bench/standalone.ts [dist/mxoss]
 *
 * Both kinds of process take turns, so that a machine that is busy for a while slows both. The files are in the page
 * cache, the binary is unpacked and Deno has compiled code in its cache after a first, uncounted run of each.
 */
import { spreadOf, spreadText } from "../src/bench/spread.ts";
import { machine } from "./machine.ts";
import { pairedRatio } from "./paired.ts";

const PAIRS = 15;
const TARGET = 1.3;
const ROOT = new URL("../", import.meta.url).pathname;
const QUESTION = "Tom has 12 apples. He buys 30 more. Then Tom gives away 17. How many apples does Tom have now?";
const ARGS = ["--max-tokens", "1", QUESTION];

const binary = Deno.args[0] ?? `${ROOT}dist/mxoss`;
const cache = await Deno.makeTempDir();

/** Wall-clock milliseconds of a process. */
async function time(program: string, args: readonly string[], env: Record<string, string> = {}): Promise<number> {
  const command = new Deno.Command(program, { args: [...args], stdin: "null", env });
  const started = performance.now();
  const { success, stderr } = await command.output();
  const milliseconds = performance.now() - started;
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return milliseconds;
}

const fromBinary = (args: readonly string[] = ARGS) => time(binary, args, { XDG_CACHE_HOME: cache });
const fromSources = () =>
  time(Deno.execPath(), ["run", "--no-prompt", "--allow-read", "--allow-ffi", `${ROOT}main.ts`, ...ARGS]);

const first = await fromBinary(["--version"]);
await fromBinary();
await fromSources();
const ours: number[] = [], theirs: number[] = [];
for (let i = 0; i < PAIRS; i++) {
  ours.push(await fromBinary());
  theirs.push(await fromSources());
}
await Deno.remove(cache, { recursive: true });

const show = (values: readonly number[]) => `${spreadText(spreadOf(values))} ms`;
console.log(machine());
console.log(`first start, which unpacks ${(Deno.statSync(binary).size / 1e6).toFixed(1)} MB: ${first.toFixed(0)} ms`);
console.log(`start to first token, median of ${PAIRS}: binary ${show(ours)}, deno run ${show(theirs)}`);
console.log(`ratio: ${spreadText(pairedRatio(ours, theirs))}; target: at most ${TARGET}`);
