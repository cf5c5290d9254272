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
import { commandHelp, programHelp } from "../../src/cli/help.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { InputError } from "../../src/errors.ts";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "../assert.ts";

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
  notes: [],
};
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

Deno.test("parseCommand() refuses names that JavaScript objects have anyway", () => {
  for (const name of ["__proto__", "constructor", "toString", "count.x", "no-json"]) {
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
