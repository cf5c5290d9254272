/** What a file, a checkpoint or a model may say is shown by a terminal, and never obeyed. */
import { printable, printableJson, printableLine } from "../../src/printable.ts";
import { quotedPath } from "../../src/cli/spelling.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { BrokenCheckpoint } from "./broken.ts";
import { inProcess } from "./in_process.ts";
import { mxoss } from "./program.ts";
import { isFile } from "../exists.ts";

/**
 * A window title, a bell, C1's CSI, a turn of the direction of writing and its isolate, spaces without width, a tag.
 */
const EVIL = "\u001b]0;owned\u0007\u009b2J\u202egnp.\u2066\u200b\u200d\ufeff\u2028\u{e0041}\ud800";
const SHOWN = "\\u001b]0;owned\\u0007\\u009b2J\\u202egnp.\\u2066\\u200b\\u200d\\ufeff\\u2028\\udb40\\udc41\\ud800";

/** Characters that a terminal obeys or hides, but for line breaks. */
const OBEYED = /[[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}\u200b-\u200f\ufeff]--[\n]]/v;

Deno.test("printable() spells out what a terminal would obey or hide, and nothing else", () => {
  assertEquals(printable(EVIL), SHOWN);
  const plain = "Größe ≤ 3\t日本語 שלום ❤️\n";
  assertEquals(printable(plain), plain);
  assertEquals(printableLine("a\nb\tc"), "a\\u000ab\\u0009c");
  assertEquals(JSON.parse(printableJson({ [EVIL]: ["\\" + EVIL] }, 1)), { [EVIL]: ["\\" + EVIL] });
  assert(!OBEYED.test(printableJson({ [EVIL]: EVIL }, 1)));
});

Deno.test("nothing but src/cli/terminal.ts writes to the terminal", () => {
  const root = new URL("../../src/", import.meta.url).pathname;
  const sources: string[] = [];
  const walk = (dir: string) => {
    for (const { name, isDirectory } of Deno.readDirSync(dir)) {
      if (isDirectory) walk(`${dir}${name}/`);
      else if (name.endsWith(".ts")) sources.push(`${dir}${name}`);
    }
  };
  walk(root);
  assert(sources.length > 100);
  const writers = sources.filter((path) =>
    /Deno\.std(?:out|err)\.(?:write|writable)|\bconsole\.(?:log|warn|error|info|debug|trace)\(|\bprocess\.std/
      .test(Deno.readTextFileSync(path))
  );
  assertEquals(writers.map((path) => path.slice(root.length)), ["cli/terminal.ts"]);
});

Deno.test("a file's name and a tensor's are shown in error lines, on one line", async () => {
  const name = `x\nerror: forged ${EVIL.replace("\ud800", "")}`;
  for (const args of [["--model", name, "hi"], ["inspect", "--model", name], ["--prompt-file", name]]) {
    const { stderr, code } = await mxoss(args);
    assertEquals(code, 2);
    assertMatch(stderr, /^error: [^\n]*owned[^\n]*\\u202e[^\n]*\n$/);
    assert(!OBEYED.test(stderr), JSON.stringify(stderr));
  }
});

Deno.test("names of models, texts and directories stay on their line in tables, and can be pasted", async () => {
  using dir = new TemporaryDirectory();
  using checkpoint = new BrokenCheckpoint();
  const forged = "\nforged\t\u001b[2J\u202e", at = (name: string) => `${dir.path}/${name}${forged}`;
  Deno.renameSync(checkpoint.dir, at("model"));
  Deno.writeTextFileSync(at("text"), "Wen has 14 peaches. Ben has 8 fewer than Wen.");
  try {
    const model = ["--model", at("model")], how = ["--text", at("text"), "--limit", "6", "--threads", "1"];
    const evaluated = ["eval", "perplexity", ...model, ...how, "--out", at("out")];
    const shown = async (args: readonly string[]) => {
      const { code, stdout, stderr } = await inProcess(args);
      assertEquals(code, 0, stderr);
      for (const line of `${stdout}${stderr}`.split("\n")) {
        assert(!line.startsWith("forged") && !line.includes("\t") && !OBEYED.test(line), line);
      }
      assertMatch(stdout, /\\u000aforged\\u0009\\u001b\[2J\\u202e/, args.join(" "));
      return stdout;
    };
    await shown(evaluated);
    await shown([...evaluated, "--dry-run"]);
    // Of directories that parts share the line says what to call next; a shell reads there what the name is.
    const part = await inProcess([...evaluated.slice(0, -1), at("parts"), "--shard", "1/1"]);
    const { stdout: word } = await new Deno.Command("bash", {
      args: ["-c", `printf %s ${/mxoss report (.*) gives the results\n$/.exec(part.stdout)![1]!}`],
      env: { LC_ALL: "C.UTF-8" },
    }).output();
    assertEquals(new TextDecoder().decode(word), at("parts"));
    await shown(["report", at("out")]);
    const { stderr: where } = await inProcess([...evaluated.slice(0, -1), `${dir.path}/plain/`]);
    assertEquals(
      where.includes(`report: ${dir.path}/plain/report.html, for a browser; mxoss report ${dir.path}/plain/ `),
      true,
    );
    assertEquals(quotedPath("--out"), "./--out");
    await shown(["compare", ...model, ...how, "--b", "kv=fp8"]);
    await shown(["inspect", ...model]);
    await shown(["list", dir.path]);
  } finally {
    Deno.renameSync(at("model"), checkpoint.dir);
  }
});

Deno.test("a tokenizer's names are shown in error lines, and what its library would leave out is refused", async () => {
  for (
    const [edit, line] of [
      [
        (json) => json["added_tokens"] = [{ id: 2000, content: EVIL.toWellFormed(), lstrip: true }],
        /added_tokens\[0\][^\n]*\\u202e[^\n]*lstrip/,
      ],
      [
        (json) => json["added_tokens"] = [{ id: 2000, content: EVIL }],
        /added_tokens\[0\]: content: expected [^\n]* Unicode[^\n]*\\u202e/,
      ],
      [
        (json) => json["pre_tokenizer"] = { type: "Sequence", pretokenizers: [{ type: EVIL }, { type: "ByteLevel" }] },
        /tokenizer\.json: pre_tokenizer\.pretokenizers\.0: type: expected [^\n]*\\u202e/,
      ],
      [(json) =>
        json["pre_tokenizer"] = {
          type: "Sequence",
          pretokenizers: [{ type: "Split", pattern: { [EVIL]: EVIL }, behavior: "Isolated" }, { type: "ByteLevel" }],
        }, /tokenizer\.json: pre_tokenizer\.pretokenizers\.0: pattern: expected an object with Regex or String/],
    ] satisfies [(json: Record<string, unknown>) => unknown, RegExp][]
  ) {
    using checkpoint = new BrokenCheckpoint();
    checkpoint.edit("tokenizer.json", (text) => {
      const json = JSON.parse(text);
      edit(json);
      return JSON.stringify(json);
    });
    const { stderr, stdout, code } = await mxoss(["--model", checkpoint.dir, "--max-tokens", "1", "hi"]);
    assertEquals([stdout, code], ["", 2]);
    assertMatch(stderr, /^error: [^\n]*\n$/);
    assertMatch(stderr, line);
    assert(!OBEYED.test(stderr), JSON.stringify(stderr));
  }
});

const SCRIPT = "/usr/bin/script";
const noTerminal = !["linux"].includes(Deno.build.os) || !isFile(SCRIPT);

Deno.test({
  name: `what a model says goes to a pipe as it is, and is shown on a terminal${
    noTerminal ? " (no script(1) here)" : ""
  }`,
  ignore: noTerminal,
  fn: async () => {
    using checkpoint = new BrokenCheckpoint();
    const told = EVIL.replace("\ud800", "");
    // The first thing that the model says of itself.
    checkpoint.edit("tokenizer.json", (text) => {
      const json = JSON.parse(text);
      json.added_tokens.find(({ content }: { content: string }) => content === "<|channel|>").content = told;
      delete json.model.vocab["<|channel|>"];
      return JSON.stringify(json);
    });
    const prompt = "<|start|>user<|message|>2 + 2?<|end|><|start|>assistant";
    const args = ["--model", checkpoint.dir, "--raw", "--max-tokens", "1", prompt];
    const piped = await mxoss(args);
    assertEquals([piped.stdout, piped.code], [`${told}\n`, 0], piped.stderr);
    const line = ["deno", "run", "-A", new URL("../../main.ts", import.meta.url).pathname, ...args];
    const { stdout } = await new Deno.Command(SCRIPT, {
      args: ["-qec", line.map((word) => `'${word}'`).join(" "), "/dev/null"],
      env: { NO_COLOR: "1" },
      stdin: "null",
    }).output();
    // A progress bar erases what follows it.
    const seen = new TextDecoder().decode(stdout).replaceAll("\r", "").replaceAll("\u001b[K", "");
    assertMatch(seen, /\\u001b\]0;owned\\u0007\\u009b2J\\u202egnp/);
    assert(!OBEYED.test(seen), JSON.stringify(seen));
  },
});
