/**
 * Whatever happens to a kept file: `mxoss report` and the same command once more give what they would give without it,
 * or end in one line and exit code 2.
 */
import { assert, assertEquals } from "../assert.ts";
import { SHORT, TemporaryDirectory } from "../checkpoint/container.ts";
import { movedLines, turnedBits } from "../eval/damages.ts";
import { dose } from "../soak.ts";
import { inProcess as run } from "./in_process.ts";

const TEXT = "<|start|>user<|message|>Wen has 14 peaches. Ben has 8 fewer than Wen. How many do they have?<|end|>";
const PROBLEMS = new URL("../goldens/word-problems.jsonl", import.meta.url).pathname;
const PAGES = ["results.json", "report.html", "samples.html"];

/** Files of results, and whether they are there. */
function pagesOf(dir: string): (string | null)[] {
  return PAGES.map((name) => {
    try {
      return Deno.readTextFileSync(`${dir}/${name}`);
    } catch {
      return null;
    }
  });
}

/** Copies files from one directory to another, folders included. */
function copyAll(from: string, to: string): void {
  Deno.mkdirSync(to, { recursive: true });
  for (const { name, isDirectory } of Deno.readDirSync(from)) {
    if (isDirectory) copyAll(`${from}/${name}`, `${to}/${name}`);
    else Deno.copyFileSync(`${from}/${name}`, `${to}/${name}`);
  }
}

/** Kept files below a directory, by path in it. */
function keptIn(dir: string, within = ""): string[] {
  return [...Deno.readDirSync(`${dir}/${within}`)].flatMap(({ name, isDirectory }) => {
    const path = within === "" ? name : `${within}/${name}`;
    if (isDirectory) return keptIn(dir, path);
    return name.endsWith(".jsonl") || name === "shard.json" ? [path] : [];
  }).sort();
}

/** Of so many turned bits one is tried (else three of a file), and of so many damaged lines. */
const BITS = dose(Infinity, 997), LINES = dose(23, 5);

/** Runs of which each keeps other kinds of files. */
const RUNS: Record<string, (text: string) => string[][]> = {
  "two settings of a text": (text) => [[...perplexity(text)]],
  "parts of a text": (text) => ["1/2", "2/2"].map((part) => [...perplexity(text), "--shard", part]),
  "word problems": () => [[
    ...["eval", "gsm8k", "--data", PROBLEMS, "--limit", "3", "--max-tokens", "3", "--threads", "1", "--shots", "0"],
    ...["--kv-cache-dtype", "auto,fp8", "--divergence", "2"],
  ]],
  "a comparison": (text) => [[
    ...["compare", "--text", text, "--a", "scheme=w_mxfp4", "--b", "scheme=w_mxfp4_a_mxfp4"],
    ...["--limit", "12", "--sequence-length", "6", "--threads", "1"],
  ]],
};
const perplexity = (text: string) => [
  ...["eval", "perplexity", "--text", text, "--sequence-length", "3", "--limit", "13", "--threads", "1"],
  ...["--kv-cache-dtype", "auto,fp8", "--divergence", "3"],
];

for (const [what, commands] of Object.entries(RUNS)) {
  Deno.test(`damaged files of ${what} change no result, or are refused in one line`, async () => {
    using made = new TemporaryDirectory(SHORT);
    const at = (name: string) => `${made.path}/${name}`;
    Deno.writeTextFileSync(at("text.txt"), TEXT);
    const all = commands(at("text.txt"));
    for (const args of all) {
      const { code, stderr } = await run([...args, "--out", at("run")]);
      assertEquals(code, 0, stderr);
    }
    assertEquals((await run(["report", at("run"), "--out", at("whole")])).code, 0);
    const whole = pagesOf(at("whole"));
    const ends = { equal: 0, refused: 0 };
    for (const [place, file] of keptIn(at("run")).entries()) {
      const bytes = Deno.readFileSync(`${at("run")}/${file}`);
      // Others of each file.
      const some = <T>(step: number, all: readonly T[]) => all.filter((_, i) => i % step === 7 * place % step);
      const bits = turnedBits(bytes), step = Math.min(BITS, Math.ceil(bits.length / 3));
      for (const [how, make] of [...some(step, bits), ...some(LINES, movedLines(bytes))]) {
        for (const again of [false, true]) {
          copyAll(at("run"), at("damaged"));
          if (all.length > 1 || again) { for (const name of PAGES) remove(`${at("damaged")}/${name}`); }
          Deno.writeFileSync(`${at("damaged")}/${file}`, make());
          const report = ["report", at("damaged"), "--out", at("got")],
            repeated = [...all.at(-1)!, "--out", at("damaged")];
          const first = await run(again ? repeated : report),
            where = `${file}, ${how}, ${again ? "again" : "report"}: `;
          const joins = again && all.length > 1;
          const { code, stderr } = joins && first.code === 0 ? await run(report) : first;
          if (code === 0) {
            const got = pagesOf(again && !joins ? at("damaged") : at("got"));
            assertEquals(PAGES.filter((_, i) => got[i] !== whole[i]), [], where);
            ends.equal++;
          } else {
            assertEquals(code, 2, where + stderr);
            assert(/(^|\n)error: [^\n]+\n$/.test(stderr), where + stderr);
            ends.refused++;
          }
          remove(at("damaged"));
          remove(at("got"));
        }
      }
    }
    assert(ends.equal > 0 && ends.refused > 0, JSON.stringify(ends));
  });
}

function remove(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch (thrown) {
    if (!(thrown instanceof Deno.errors.NotFound)) throw thrown;
  }
}
