/** Weight files that change while a run maps them: no number is reported with the name of other weights. */
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { BrokenCheckpoint } from "./broken.ts";
import { program } from "./program.ts";

const PROBLEMS = new URL("../goldens/word-problems.jsonl", import.meta.url).pathname;
const WEIGHTS = "model.safetensors";

/** Starts an evaluation and changes the weights when the first answer is there. */
async function evaluate(change: (path: string) => void) {
  using checkpoint = new BrokenCheckpoint();
  const out = checkpoint.path("out");
  const args = ["eval", ...GSM8K, "--model", checkpoint.dir, "--out", out, "--threads", "1"];
  const child = program(args, { writable: checkpoint.dir }).spawn();
  await child.stdin.close();
  const output = child.output();
  const lines = () => {
    try {
      const name = [...Deno.readDirSync(out)].map(({ name }) => name).find((name) => name.startsWith("answers"));
      return name === undefined ? 0 : Deno.readTextFileSync(`${out}/${name}`).split("\n").length - 1;
    } catch {
      return 0;
    }
  };
  let over = false;
  output.then(() => over = true);
  while (!over && lines() < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  change(checkpoint.path(WEIGHTS));
  const { code, stderr } = await output;
  const names = [...Deno.readDirSync(out)].map(({ name }) => name);
  return { code, stderr: new TextDecoder().decode(stderr), results: names.includes("results.json"), kept: lines() - 1 };
}

/** One sequence at a time: there is always more to come after the first answer. */
const GSM8K = ["gsm8k", "--data", PROBLEMS, "--limit", "150", "--sequences", "1"];

/** Writes zeros over the data, in place. */
function overwrite(path: string): void {
  using file = Deno.openSync(path, { write: true });
  const { size } = file.statSync();
  file.seekSync(size / 2, Deno.SeekMode.Start);
  file.writeSync(new Uint8Array(size / 4));
}

Deno.test("eval stops when its weights are overwritten in place, and keeps no answer of the mixture", async () => {
  const { code, stderr, results, kept } = await evaluate(overwrite);
  assertEquals(code, 2, stderr);
  assertMatch(stderr, /error: .*model\.safetensors: changed while it was in use \(its contents were written\); /);
  assertEquals(results, false);
  assert(kept >= 1 && kept < 150, `${kept} answers`);
});

Deno.test({
  name: "a weight file that is cut while it is mapped ends the run with one line, not with a bare SIGBUS",
  // Elsewhere weights are read.
  ignore: Deno.build.os !== "linux" || Deno.build.arch !== "x86_64",
  fn: async () => {
    using checkpoint = new BrokenCheckpoint();
    const script = new URL("cut_weights.ts", import.meta.url).pathname;
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", "--allow-all", script, checkpoint.dir],
      env: { NO_COLOR: "1" },
    }).output();
    const [said, shown] = [stderr, stdout].map((bytes) => new TextDecoder().decode(bytes));
    assertEquals({ code, shown }, { code: 1, shown: "" }, said);
    assertEquals(
      said,
      `error: a mapped weight file was cut short, or its disk failed (SIGBUS), in ${checkpoint.dir}; ` +
        "--weights=read computes from a copy in memory\n",
    );
  },
});
