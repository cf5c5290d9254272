import { parseArgs } from "../../src/cli/parse_args.ts";
import {
  choice,
  type CommandSpec,
  decimal,
  integer,
  option,
  parseCommand,
  toggle,
  tokenIds,
} from "../../src/cli/options.ts";
import { EVAL } from "../../src/cli/eval/options.ts";
import { QUANTIZE } from "../../src/cli/quantize_options.ts";
import { COMMAND_LINE } from "../../src/cli/spelling.ts";
import { z } from "zod";
import { commandHelp, programHelp } from "../../src/cli/help.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { InputError } from "../../src/errors.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "../assert.ts";

const OPTIONS = {
  count: option("N", integer(1, 9).default(3), "how many"),
  heat: option("T", decimal("a number of at least 0", (n) => n >= 0).optional(), "how hot"),
  kind: option("KIND", choice("plain", "fancy").default("plain"), "which"),
  ids: option("IDS", tokenIds().optional(), "ids"),
  json: toggle("as JSON"),
};
const SPEC: CommandSpec<typeof OPTIONS> = {
  name: "try",
  summary: "try things",
  positional: { name: "PROMPT", help: "what" },
  options: OPTIONS,
  examples: [{ line: "mxoss try it", does: "tries it" }],
  notes: [],
};
const WORD_OPTIONS = { word: option("W", z.string(), "a word") };
const WORDS: CommandSpec<typeof WORD_OPTIONS> = { ...SPEC, options: WORD_OPTIONS };
const DEFAULTS = { count: 3, heat: undefined, kind: "plain", ids: undefined, json: false };

Deno.test("parseCommand() fills in defaults", () => {
  assertEquals(parseCommand(SPEC, []), { options: DEFAULTS, positional: undefined });
});

Deno.test("parseCommand() takes --opt value and --opt=value, before and after the positional argument", () => {
  const wanted = { options: { ...DEFAULTS, count: 5, kind: "fancy", json: true }, positional: "hi there" };
  assertEquals(parseCommand(SPEC, ["--count", "5", "hi there", "--kind=fancy", "--json"]), wanted);
  assertEquals(parseCommand(SPEC, ["--json", "--count=5", "--kind", "fancy", "hi there"]), wanted);
});

Deno.test("parseCommand() does not take the word after a switch for its value", () => {
  assertEquals(parseCommand(SPEC, ["--json", "true"]), { options: { ...DEFAULTS, json: true }, positional: "true" });
});

Deno.test("parseCommand() keeps a positional argument that looks like a number as text", () => {
  assertEquals(parseCommand(SPEC, ["007"]).positional, "007");
  assertEquals(parseCommand(SPEC, [""]).positional, "");
});

Deno.test("parseCommand() takes everything after -- as it stands", () => {
  assertEquals(parseCommand(SPEC, ["--count", "2", "--", "--json"]), {
    options: { ...DEFAULTS, count: 2 },
    positional: "--json",
  });
  assertEquals(parseCommand(SPEC, ["--", "-5 + 3?"]).positional, "-5 + 3?");
});

Deno.test("parseCommand() refuses a negative value by range and not as an option", () => {
  assertThrows(
    () => parseCommand(SPEC, ["--heat", "-1"]),
    InputError,
    '--heat: expected a number of at least 0, got "-1"',
  );
  assertThrows(() => parseCommand(SPEC, ["--heat", "-.5e1"]), InputError, 'got "-.5e1"');
});

Deno.test("integer() and decimal() accept numbers only as people write them", () => {
  for (const text of ["", " 2", "2 ", "0x2", "2.0", "1e0", "Infinity", "NaN", "٢", "1_0"]) {
    assertThrows(() => parseCommand(SPEC, [`--count=${text}`]), InputError, "--count: expected an integer from 1 to 9");
  }
  for (const text of ["", " 2", "0x2", "Infinity", "NaN", "1e999", ".", "1,5"]) {
    assertThrows(() => parseCommand(SPEC, [`--heat=${text}`]), InputError, "--heat: expected a number of at least 0");
  }
  assertEquals(parseCommand(SPEC, ["--heat=.5"]).options.heat, 0.5);
  assertEquals(parseCommand(SPEC, ["--heat=1e-3"]).options.heat, 0.001);
});

Deno.test("tokenIds() reads ids and refuses what int32 cannot hold", () => {
  assertEquals(parseCommand(SPEC, ["--ids", "3, 1,2"]).options.ids, Int32Array.of(3, 1, 2));
  for (const text of ["", "1,", "-1", "1.5", "2147483648"]) {
    assertThrows(() => parseCommand(SPEC, [`--ids=${text}`]), InputError, "--ids: expected token ids");
  }
});

Deno.test("parseCommand() says what was got once, in the words of the option where it has its own", () => {
  const message = (spec: CommandSpec, ...args: string[]) =>
    assertThrows(() => parseCommand(spec, args), InputError).line(COMMAND_LINE);
  const endings: [spec: CommandSpec, option: string, value: string, ending: string][] = [
    [SPEC, "kind", "x, got y", 'expected plain or fancy, got "x, got y"'],
    [EVAL, "scheme", "bf16,nonsense", ', got "nonsense"'],
    [EVAL, "scheme", "bf16,w_mxfp4_a_x", " or nothing, got a_x"],
    [EVAL, "tp", "1,two", 'expected an integer from 1 to 64, got "1,two"'],
    [QUANTIZE, "layers", "0=nonsense", ', got "nonsense"'],
    [QUANTIZE, "layers", "0", ' such as 0-3=w_mxfp6_e2m3, got "0"'],
    [QUANTIZE, "scheme", "bf16", ', got "bf16"'],
  ];
  for (const [spec, option, value, ending] of endings) {
    const line = message(spec, `--${option}=${value}`, ...option === "layers" ? ["--scheme=ptpc_fp8"] : []);
    assert(line.endsWith(ending), line);
    if (!value.includes("got")) assertEquals(line.split(", got ").length, 2, line);
  }
});

Deno.test("parseCommand() takes an empty value and one with a dash for what they are", () => {
  for (const value of ["", "-", "-1", "--", "--json=1", "a=b"]) {
    if (!value.startsWith("--")) assertEquals(parseCommand(WORDS, ["--word", value]).options.word, value);
    assertEquals(parseCommand(WORDS, [`--word=${value}`]).options.word, value);
  }
});

Deno.test("parseCommand() reads as they are meant spellings that std's parser by itself does not", () => {
  const alone = (...args: string[]) =>
    parseArgs(args, { string: ["_", "word"], boolean: ["switch"], collect: ["word"], alias: {}, unknown: () => {} });
  const spec = { ...SPEC, options: { word: option("W", z.string().optional(), "a word"), switch: toggle("a switch") } };
  const ours = (...args: string[]) => parseCommand(spec, args);
  const message = (...args: string[]) => assertThrows(() => ours(...args), InputError).message;

  assertEquals([alone("--word", "-1")["word"], ours("--word", "-1").options.word], [[""], "-1"]);
  assertEquals([alone("--word", "")["word"], alone("--word", "")._, ours("--word", "").options.word], [[""], [""], ""]);
  assertEquals(alone("--word")["word"], [""]);
  assertEquals(message("--word"), "--word: expected a value");
  assertEquals([alone("--switch", "true")._, ours("--switch", "true").positional], [[], "true"]);
  assertEquals(alone("--switch=no")["switch"], true);
  assertEquals(message("--switch=no"), '--switch: takes no value, got "no"');
  assertEquals(alone("--no-word=x")["word"], ["x"]);
  assertMatch(message("--no-word=x"), /^--no-word: unknown option/);
});

Deno.test("parseCommand() refuses names that JavaScript objects have anyway", () => {
  for (const name of ["__proto__", "constructor", "toString", "count.x", "no-json", "_"]) {
    assertThrows(() => parseCommand(SPEC, [`--${name}=1`]), InputError, `--${name}: unknown option of mxoss try`);
  }
});

Deno.test("commandHelp() names every option, its default and the width of a terminal is respected", () => {
  const help = commandHelp(SPEC);
  for (
    const text of ["usage: mxoss try [OPTIONS] [PROMPT]", "--count N", "(default: 3)", "--json ", "(default: plain)"]
  ) {
    assertStringIncludes(help, text);
  }
  assert(help.split("\n").every((line) => line.length <= 100), help);
});

Deno.test("programHelp() names every command", async () => {
  const specs = await Promise.all([...COMMANDS.values()].map((command) => command.spec()));
  assertEquals(specs.map((spec) => spec.name), [...COMMANDS.keys()]);
  const help = programHelp(specs);
  for (const spec of specs) assertStringIncludes(help, spec.name);
  for (const spec of specs) assertStringIncludes(help, spec.summary);
  assert(help.split("\n").every((line) => line.length <= 100), help);
});
