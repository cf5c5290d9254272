/**
 * The examples of every --help: each is a command line that can be parsed, and does what it says. Those that compute
 * nothing are carried out by `deno task test`, those that do by `deno task test:soak`, but for commands that do not end
 * by themselves.
 */
import { COMMANDS } from "../../src/cli/commands.ts";
import { assert, assertEquals } from "../assert.ts";
import { Cache } from "../checkpoint/hub_tree.ts";
import { SOAK } from "../soak.ts";
import { inProcess } from "./in_process.ts";

const GOLDENS = new URL("../goldens/", import.meta.url).pathname;

/** Commands whose examples compute nothing. */
const CHEAP = ["inspect", "list", "devices", "completions", "help"];
/** Commands that go on until they are told to end; tests of their own start them. */
const ENDLESS = ["chat", "serve"];

/** A line as a shell splits it: quotes of both kinds, and in double ones no escapes but of themselves. */
function split(line: string): string[] {
  return Array.from(
    line.matchAll(/(?:[^\s"']+|"[^"]*"|'[^']*')+/g),
    ([word]) =>
      word.replaceAll(/"([^"]*)"|'([^']*)'/g, (_, double?: string, single?: string) => double ?? single ?? ""),
  );
}

/** Files and directories that examples name, in a directory of the test. */
class Workspace extends Cache {
  /** @param opened Whether models are opened. */
  constructor(opened: boolean) {
    super();
    if (opened) this.model("openai/gpt-oss-20b");
    const text = Deno.readTextFileSync(`${GOLDENS}eval/two_turns.txt`);
    this.write("text.txt", text.slice(0, 200));
    this.write("question.txt", "Sam has 47 marbles and gives 12 away. How many has he now?");
    const problems = Deno.readTextFileSync(`${GOLDENS}word-problems.jsonl`).split("\n").slice(0, 2).join("\n");
    this.write("problems.jsonl", problems);
    this.write("gpt-oss-20b-mxfp4.gguf", Deno.readFileSync(`${GOLDENS}gguf/model-bf16.gguf`));
  }

  /** The words of a line with paths into the directory. */
  paths(words: readonly string[]): string[] {
    const names = /^(?:(?:text|question)\.txt|problems\.jsonl|results|monday|tuesday|both|quantized|bench\.html)$/;
    const converted = /^(?:converted|gpt-oss-20b-mxfp4\.gguf)$/;
    return words.map((word) =>
      names.test(word) || converted.test(word)
        ? `${this.path}/${word}`
        : word === "logits.safetensors"
        ? `${this.path}/${word}`
        : word
    );
  }
}

for (const [name, command] of COMMANDS) {
  const carried = CHEAP.includes(name) || (SOAK && !ENDLESS.includes(name));
  const how = carried ? " that end well" : " that can be parsed";
  Deno.test(`the examples of mxoss ${name} are command lines${how}`, async () => {
    const { examples } = await command.spec();
    assert(examples.length > 0, "no example");
    using place = new Workspace(carried);
    const env = { HF_HUB_CACHE: place.path, HOME: place.path };
    if (carried && name === "report") await makeRuns(place, env);
    for (const { line, does } of examples) {
      const [program, ...args] = place.paths(split(line));
      assertEquals([program, does.trim() === does && does.length > 8], ["mxoss", true], line);
      const rest = args[0] === name ? args.slice(1) : args;
      assert(args[0] === name || name === "generate", `${line} is of another command`);
      await command.parse(rest);
      if (!carried) continue;
      for (const made of ["logits.safetensors", "quantized", "converted"]) remove(`${place.path}/${made}`);
      const { code, stderr } = await inProcess(args, { env });
      assertEquals(code, 0, `${line}\n${stderr}`);
    }
  });
}

/** What examples of `mxoss report` show. */
async function makeRuns(place: Workspace, env: Readonly<Record<string, string>>): Promise<void> {
  for (const [out, schemes] of [["monday", "w_mxfp4,w_mxfp6_e2m3"], ["tuesday", "w_mxfp4,w_mxfp4_a_mxfp4"]] as const) {
    const args = ["eval", "perplexity", "--text", `${place.path}/text.txt`, "--limit", "16", "--scheme", schemes];
    const { code, stderr } = await inProcess([
      ...args,
      "--out",
      `${place.path}/${out}`,
    ], { env });
    assertEquals(code, 0, stderr);
  }
  Deno.renameSync(`${place.path}/monday`, `${place.path}/results`);
  Deno.symlinkSync(`${place.path}/results`, `${place.path}/monday`);
}

function remove(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch {
    // It is not there.
  }
}
