/** Help texts and the manual page: everything that the tables say, and troff that its readers accept. */
import { asset } from "../../src/assets.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { describe } from "../../src/cli/help.ts";
import { ENVIRONMENT, EXIT_CODES } from "../../src/cli/help_words.ts";
import { VARIABLES } from "../../src/cli/permissions.ts";
import { valuesOf } from "../../src/cli/values.ts";
import { SCHEME_NAMES } from "../../src/plan/scheme.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { SOAK } from "../soak.ts";
import { inProcess } from "./in_process.ts";

const words = (text: string) => text.replaceAll(/\s+/g, " ");

Deno.test("mxoss help says what --help says, and knows what was meant", async () => {
  const out = async (...args: string[]) => (await inProcess(args)).stdout;
  assertEquals(await out("help"), await out("--help"));
  assertEquals(await out("help", "eval"), await out("eval", "--help"));
  const { code, stderr } = await inProcess(["help", "evil"]);
  assertEquals([code, stderr], [2, 'error: COMMAND: expected a command, got "evil"; did you mean eval?\n']);
  assertMatch((await inProcess(["help", "xyzzyx"])).stderr, /^error: COMMAND: expected generate, .*, got "xyzzyx"\n$/);
  assertMatch((await inProcess(["help", "eval", "--man"])).stderr, /^error: --man: expected without COMMAND/);
});

Deno.test("help says of the tokens of a reply all that their default depends on", async () => {
  const help = words((await inProcess(["help", "eval"])).stdout);
  assertStringIncludes(help, "(default: 2048, of a completion 256, and at most half of the model's context) ");
});

Deno.test("help lists the words that an option takes, once", async () => {
  const help = words((await inProcess(["help", "eval"])).stdout);
  assertStringIncludes(help, `(default: as the checkpoint is stored); some of: ${SCHEME_NAMES.join(", ")} `);
  let listed = 0;
  for (const [name, command] of COMMANDS) {
    const text = words((await inProcess(["help", name])).stdout);
    for (const [option, { schema }] of Object.entries((await command.spec()).options)) {
      const values = valuesOf(schema);
      if (values === null) continue;
      listed++;
      const own = text.slice(text.indexOf(` --${option} `)).split(/ --[a-z]/).slice(0, 2).join("");
      for (const word of values.words) assert(text.includes(word), `${name} --${option}: ${word}: ${own}`);
    }
  }
  assert(listed > 40, `${listed} options with words`);
  assert(!words((await inProcess(["help"])).stdout).includes("one of"), "the program's help has no options");
});

Deno.test("help says a default once, and names no option that the command does not have", async () => {
  /** Options of other programs and commands that a text speaks of, with what they belong to. */
  const others = /llama-perplexity --kl-divergence|made with --divergence 0|\(--shard\)|what --model takes|--help/g;
  let named = 0;
  for (const [name, command] of COMMANDS) {
    const { options, notes } = await command.spec();
    for (const text of [...Object.values(options).map(describe), ...notes]) {
      assert(text.split("(default:").length <= 2, `${name}: ${text}`);
      for (const [, option] of text.replaceAll(others, "").matchAll(/--([a-z][a-z0-9-]*)/g)) {
        assert(Object.hasOwn(options, option!), `${name} has no --${option}: ${text}`);
        named++;
      }
    }
  }
  assert(named > 20, `${named} options named`);
});

Deno.test("help wraps at 100 columns, but for examples, which are lines of a shell", async () => {
  for (const name of COMMANDS.keys()) {
    const lines = (await inProcess(["help", name])).stdout.split("\n").filter((line) => !line.startsWith("  mxoss "));
    assertEquals(lines.filter((line) => line.length > 100), [], name);
  }
});

Deno.test("the manual page has every command, option, exit code and variable", async () => {
  const { code, stdout: page } = await inProcess(["help", "--man"]);
  assertEquals(code, 0);
  assertMatch(page, /^\.TH MXOSS 1 "" "mxoss [\d.]+" "User Commands"\n\.SH NAME\nmxoss \\- /);
  const plain = page.replaceAll("\\-", "-").replaceAll(/\\f[A-Z]/g, "");
  for (const [name, command] of COMMANDS) {
    const spec = await command.spec();
    assertStringIncludes(plain, `.SS mxoss ${name} [OPTIONS]`);
    for (const [option, { value }] of Object.entries(spec.options)) {
      assertStringIncludes(plain, `\n.TP\n--${option}${value === null ? "" : ` ${value}`}\n`);
    }
    for (const { line } of spec.examples) assertStringIncludes(plain, `\n${line.replaceAll("\\", "\\e")}\n`);
  }
  const lines = page.split("\n").filter((line) =>
    /^[.']/.test(line) && !/^\.(?:TH|S[HS]|PP|TP|B|br|nf|fi|R[SE])\b/.test(line)
  );
  assertEquals(lines, [], "text that begins as a request of troff does");
});

Deno.test("README and docs/shell.md have every exit code, and no other", () => {
  const codes = EXIT_CODES.map(([code]) => code);
  const readme = /Exit codes: ([^]*?)\.\n/.exec(Deno.readTextFileSync(asset("README.md")))![1]!;
  assertEquals([...`; ${readme}`.matchAll(/;\s+(\d+) /g)].map(([, code]) => Number(code)), codes);
  const table = Deno.readTextFileSync(asset("docs/shell.md")).matchAll(/^\| (\d+) +\|/gm);
  assertEquals([...table].map(([, code]) => Number(code)), codes);
});

Deno.test("the environment is documented: every variable that the program may read, but those of launchers", () => {
  const said = ENVIRONMENT.map(([names, means]) => `${names} ${means}`).join(" ");
  const own = VARIABLES.filter((name) => /^(?:MXOSS_|HF_|HUGGING|XDG|ROCM|HIP|NCCL|TERM)/.test(name));
  assert(own.length >= 12, own.join());
  assertEquals(own.filter((name) => !said.includes(name)), []);
});

for (
  const [program, args, accepted] of [
    ["man", ["-l", "--warnings", "-"], /^$/],
    // A page that is written anew each time has no date of its own.
    ["mandoc", ["-T", "lint", "-W", "style"], /^(?:mandoc: <stdin>:1:13: WARNING: missing date, using "": TH\n)?$/],
  ] as const
) {
  const there = SOAK && isThere(program);
  Deno.test({
    name: `${program} reads the manual page without a warning${
      there ? "" : ` (skipped: ${SOAK ? `there is no ${program}` : "MXOSS_SOAK is not set"})`
    }`,
    ignore: !there,
    fn: async () => {
      const child = new Deno.Command(program, {
        args: [...args],
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
        env: { MANWIDTH: "80", LC_ALL: "C.UTF-8" },
      }).spawn();
      const output = child.output(), writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode((await inProcess(["help", "--man"])).stdout));
      await writer.close();
      const { stdout, stderr } = await output, decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      assertMatch(program === "mandoc" ? decode(stdout) + decode(stderr) : decode(stderr), accepted);
      if (program === "man") assertMatch(decode(stdout), /EXIT STATUS[^]*130 +interrupted/);
    },
  });
}

function isThere(program: string): boolean {
  try {
    new Deno.Command(program, { args: ["--version"], stdin: "null", stdout: "null", stderr: "null" }).outputSync();
    return true;
  } catch {
    return false;
  }
}
