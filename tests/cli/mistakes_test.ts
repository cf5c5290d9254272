/** Mistakes that people make every day: each is said in one line, with what would be right. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { DEFAULTS, planSetting } from "../../src/session/setting.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { refuseUnknownCommand } from "../../src/cli/unknown_command.ts";
import { InputError } from "../../src/errors.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { BrokenCheckpoint } from "./broken.ts";
import { inProcess } from "./in_process.ts";
import { mxoss, program, TINY } from "./program.ts";

const QUESTION = "Ann has 3 plums and buys 4. How many plums does Ann have?";

Deno.test("a first word that looks like a command is a mistake with a suggestion, and no prompt", async () => {
  const line = (word: string) =>
    assertThrows(() => refuseUnknownCommand(word, [...COMMANDS.keys()]), InputError).message;
  for (
    const [word, meant] of [
      ["inspct", "inspect"],
      ["quantise", "quantize"],
      ["evaluate", "mxoss eval"],
      ["ls", "mxoss list"],
      ["gsm8k", "mxoss eval gsm8k"],
      ["pull", "hf download org/name"],
    ]
  ) {
    assertEquals(
      line(word!),
      `${word}: no command of mxoss; did you mean ${meant}? as a prompt: mxoss generate ${word}`,
    );
  }
  assertEquals(
    line("constructor"),
    "constructor: no command of mxoss; mxoss --help lists them; " +
      "as a prompt: mxoss generate constructor",
  );
  for (const prompt of ["Hi", "how many?", "2+2", "hello!", "-", "", "hi there", "été", "--x"]) {
    refuseUnknownCommand(prompt, ["hi"]);
  }
  const { code, stdout, stderr } = await inProcess(["inspct", "--model", "/nowhere"]);
  assertEquals([code, stdout], [2, ""]);
  assertMatch(stderr, /^error: inspct: no command of mxoss; did you mean inspect\?[^\n]*\n$/);
  assertEquals((await inProcess(["generate", "--max-tokens", "1", "hello"])).code, 0);
  assertEquals((await inProcess(["--max-tokens", "1", "hello"])).code, 0);
});

Deno.test("- as a prompt is stdin", async () => {
  const asked = ["--max-tokens", "1", "--json"];
  const ids = (stdout: string) => JSON.parse(stdout).prompt_token_ids;
  const { code, stdout, stderr } = await mxoss(["-", ...asked], { stdin: `${QUESTION}\n` });
  assertEquals([code, stderr], [0, ""]);
  assertEquals(ids(stdout), ids((await inProcess([...asked, QUESTION])).stdout));
  const both = await inProcess(["-", "--prompt-file", "x"]);
  assertMatch(both.stderr, /^error: --prompt-file: expected without PROMPT, got both\n$/);
});

Deno.test("a chat template that is missing is said", async () => {
  using checkpoint = new BrokenCheckpoint();
  Deno.removeSync(checkpoint.path("chat_template.jinja"));
  const args = ["--model", checkpoint.dir, "--max-tokens", "1"];
  const { code, stderr } = await inProcess([...args, "Hi"]);
  assertEquals(code, 0);
  assertEquals(
    stderr.split("\n")[0],
    `warning: ${checkpoint.dir}: no chat template; gpt-oss's own format, harmony, is used`,
  );
  assert(!(await inProcess([...args, "--raw", "Hi"])).stderr.includes("template"));
});

Deno.test("a chat template with special tokens that the tokenizer lacks is said", async () => {
  using checkpoint = new BrokenCheckpoint();
  const path = checkpoint.path("tokenizer.json");
  Deno.writeTextFileSync(path, Deno.readTextFileSync(path).replaceAll("<|start|>", "<|begin|>"));
  const { code, stderr } = await inProcess(["--model", checkpoint.dir, "--max-tokens", "1", "Hi"]);
  assertEquals(code, 0);
  assertEquals(
    stderr.split("\n")[0],
    `warning: ${
      checkpoint.path("chat_template.jinja")
    }: writes <|start|>, of which the tokenizer makes several tokens each`,
  );
});

Deno.test("a chat template that leaves out what is said is said", async () => {
  using checkpoint = new BrokenCheckpoint();
  const path = checkpoint.path("chat_template.jinja"), template = Deno.readTextFileSync(path);
  const run = async (...args: string[]) => {
    const { code, stderr } = await inProcess(["--model", checkpoint.dir, "--max-tokens", "1", ...args, "Hi"]);
    assertEquals(code, 0);
    return stderr.split("\n")[0]!;
  };
  const told = ["--system", "Be brief."], cut = "note: cut off after 1 token (--max-tokens 1)";
  assertEquals([await run(), await run(...told)], [cut, cut]);
  Deno.writeTextFileSync(path, template.replace("for message in messages", "$& if message.role != 'system'"));
  assertEquals(await run(), cut);
  assertEquals(await run(...told), `warning: --system: ${path} leaves out what the system message says`);
  const { stderr } = await inProcess(["chat", "--model", checkpoint.dir], { stdin: "/system Be brief.\n" });
  assertMatch(stderr, /^warning: \/system: [^\n]* leaves out what the system message says\nsystem: Be brief\.\n/);
  const [said] = (await inProcess(["chat", "--model", checkpoint.dir, ...told], { stdin: "" })).stderr.split("\n");
  assertEquals(said, `warning: --system: ${path} leaves out what the system message says`);
  const saved = checkpoint.path("saved.json"), commands = `/system Be brief.\n/save ${saved}\n/load ${saved}\n`;
  const loaded = await inProcess(["chat", "--model", checkpoint.dir, "--out", checkpoint.dir], { stdin: commands });
  assertStringIncludes(loaded.stderr, `warning: ${saved}: ${path} leaves out what the system message says`);
  Deno.writeTextFileSync(path, "{{ messages | length }} questions<|start|>assistant");
  assertEquals(await run(), `warning: ${path}: leaves out what the user says`);
});

Deno.test("a file of JSON lines is no text", async () => {
  using dir = new TemporaryDirectory();
  const file = dir.write("data.jsonl", '{"question": "1+1?", "answer": "#### 2"}\n');
  for (
    const args of [
      ["eval", "perplexity", "--text", file],
      ["compare", "--b", "kv=fp8", "--text", file],
      ["--prompt-file", file],
      ["logits", "--prompt-file", file, "--out", `${dir.path}/x`],
    ]
  ) {
    const { code, stdout, stderr } = await inProcess(args);
    assertEquals([code, stdout], [2, ""]);
    assertMatch(
      stderr,
      /^error: --(text|prompt-file): [^\n]*data\.jsonl: expected [a-z ]*text, got JSON, an object a line\n$/,
    );
  }
});

Deno.test("files of other tools are named where a model is expected", async () => {
  using dir = new TemporaryDirectory();
  using checkpoint = new BrokenCheckpoint();
  const gguf = dir.write("model.gguf", "GGUF\u0003");
  checkpoint.bytes(() =>
    new TextEncoder().encode("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n")
  );
  const cases: [model: string, line: RegExp][] = [
    [gguf, /model\.gguf: expected a checkpoint directory, got a GGUF file, [^,]* \(mxoss convert makes [^,]*\)$/],
    [dir.path, /: expected a checkpoint in safetensors, got GGUF files, [^,]* \(mxoss convert makes [^,]*\)$/],
    [checkpoint.dir, /model\.safetensors: expected a safetensors file, got a git-LFS pointer, in place of the file/],
  ];
  for (const [model, line] of cases) {
    const { code, stdout, stderr } = await inProcess(["--model", model, "Hi"]);
    assertEquals([code, stdout], [2, ""]);
    assertMatch(stderr.trimEnd(), line);
  }
});

Deno.test("an address and a home that no shell has expanded are told from models", async () => {
  for (
    const [model, line] of [
      [
        "https://hub.example/openai/gpt-oss-20b/tree/main",
        /: an address, [^\n]*; the model's name is openai\/gpt-oss-20b$/,
      ],
      ["hf://openai/gpt-oss-20b", /: an address, [^\n]*; the model's name is openai\/gpt-oss-20b$/],
      ["~/models/gpt-oss", /nothing of that name \(a shell takes "~" for your home at the beginning of a word only\)$/],
    ] as const
  ) {
    const { code, stdout, stderr } = await inProcess(["inspect", `--model=${model}`]);
    assertEquals([code, stdout], [2, ""]);
    assertMatch(stderr.trimEnd(), line);
  }
});

Deno.test("--seed without --temperature, and many more threads than cores, are said", async () => {
  assertMatch(
    (await inProcess(["--seed", "1", "Hi"])).stderr,
    /^error: --seed: expected with --temperature above 0, got 0\n$/,
  );
  const checkpoint = openCheckpoint(TINY), warnings: string[] = [], cores = navigator.hardwareConcurrency;
  for (const threads of [cores, 4 * cores + 1]) {
    planSetting({ ...DEFAULTS, checkpoint, threads }, (line) => warnings.push(line));
  }
  assertEquals(warnings.length, 1);
  assertMatch(warnings[0]!, new RegExp(`^${4 * cores + 1} threads on ${cores} cores?: they take turns`));
});

Deno.test("--stop ends an answer before a text, across tokens, and says so", async () => {
  const whole = JSON.parse((await inProcess(["--json", QUESTION])).stdout);
  assertMatch(whole.text, /^#### \d+$/);
  const cut = JSON.parse((await inProcess(["--json", "--stop", "# 7", "--stop", "## ", QUESTION])).stdout);
  assertEquals([cut.text, cut.channels.final, cut.finish_reason], ["##", "##", "stop"]);
  assertEquals(cut.protocol.stop, ["# 7", "## "]);
  assert(cut.token_ids.length < whole.token_ids.length);
  assertEquals(cut.token_ids, whole.token_ids.slice(0, cut.token_ids.length));
  // Reasoning is not looked at; what only begins as a stop string is shown at the end.
  const kept = await inProcess(["--stop", `${whole.text}!`, "--stop", whole.channels.analysis.slice(0, 4), QUESTION]);
  assertEquals([kept.code, kept.stdout, kept.stderr], [0, `${whole.text}\n`, ""]);
  const raw = JSON.parse((await inProcess(["--json", "--raw", "--max-tokens", "9", "--stop", "e", "The"])).stdout);
  assert(!raw.text.includes("e"));
  assertMatch((await inProcess(["--stop", "", "Hi"])).stderr, /^error: --stop: expected a text, got ""\n$/);
});

Deno.test("a reader that goes away is one line and exit code 1", async () => {
  const child = program(["--help"]).spawn();
  await child.stdin.close();
  await child.stdout.cancel();
  const stderr = await new Response(child.stderr).text();
  const { code } = await child.status;
  assertEquals([code, stderr], [1, "error: stdout: closed by its reader before all was written\n"]);
});
