/** Files that get shorter while they are read: one line that names the file, and no result. */
import { assertEquals, assertMatch } from "../assert.ts";
import { dose, everyNth } from "../soak.ts";
import { BrokenCheckpoint } from "./broken.ts";
import { inProcess } from "./in_process.ts";

const DATA = new URL("../goldens/word-problems.jsonl", import.meta.url).pathname;

/** Cuts a file to a half at its read number `at`, whoever opens it; disposed of, files are read as they are. */
function cutting(path: string, at: number) {
  const open = Deno.openSync;
  let reads = 0;
  const read = () => {
    if (++reads === at) Deno.truncateSync(path, Math.floor(Deno.statSync(path).size / 2));
  };
  Deno.openSync = (given, options) => {
    const file = open(given, options);
    if (given !== path) return file;
    const now = file.readSync.bind(file), later = file.read.bind(file);
    file.readSync = (into) => (read(), now(into));
    file.read = (into) => (read(), later(into));
    return file;
  };
  return { happened: () => reads >= at, [Symbol.dispose]: () => void (Deno.openSync = open) };
}

const GENERATE = ["--max-tokens", "1", "Hi"];
/** Commands, and the file of the checkpoint that they read; the first few are tried every time. */
const CASES: readonly (readonly [file: string, command: string, ...rest: string[]])[] = [
  ["model.safetensors", "inspect"],
  ["tokenizer.json", "generate", ...GENERATE],
  ["model.safetensors", "generate", "--backend", "reference", ...GENERATE],
  ["model.safetensors", "generate", "--weights", "read", ...GENERATE],
  ["model.safetensors", "generate", "--tp", "2", ...GENERATE],
  ["model.safetensors", "eval", "gsm8k", "--limit", "1", "--max-tokens", "1", "--data", DATA],
  ["model.safetensors", "quantize", "--scheme", "w_mxfp6_e3m2", "--out", "OUT"],
  ["model.safetensors", "logits", "--out", "OUT", "Hi"],
  ...["config.json", "generation_config.json", "tokenizer_config.json", "chat_template.jinja", "data.jsonl"].map((
    file,
  ) => [file, "eval", "gsm8k", "--limit", "1", "--max-tokens", "1", "--data", "DATA"] as const),
];

Deno.test("a file that is cut while it is read is refused in one line, by every command that reads it", async () => {
  for (const [file, ...command] of CASES.slice(0, dose(3, CASES.length))) {
    for (const at of everyNth(4, [1, 2, 3, 5, 14, 27])) {
      using checkpoint = new BrokenCheckpoint();
      Deno.copyFileSync(DATA, checkpoint.path("data.jsonl"));
      const places: Record<string, string> = { OUT: checkpoint.path("out"), DATA: checkpoint.path("data.jsonl") };
      const args = [...command.map((word) => places[word] ?? word), "--model", checkpoint.dir];
      using cut = cutting(checkpoint.path(file), at);
      const { code, stdout, stderr } = await inProcess(args);
      if (!cut.happened()) break;
      const what = `${args.join(" ")}, read ${at} of ${file}: ${stderr}`;
      assertEquals([code, stdout], [2, ""], what);
      assertMatch(stderr, new RegExp(String.raw`^error: [^\n]*${file}: [^\n]*\n$`), what);
    }
  }
});
