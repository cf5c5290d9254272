/** Errors are data: rooms below the command line name no option as it is typed, and no code reads an error's words. */
import { COMMANDS } from "../../src/cli/commands.ts";
import { COMMAND_LINE } from "../../src/cli/spelling.ts";
import { FailureError, InputError } from "../../src/errors.ts";
import { SESSION_NAMES } from "../../src/library/setting.ts";
import { command, option, words } from "../../src/words.ts";
import { assert, assertEquals, assertStringIncludes } from "../assert.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** Files that may hold `--name`, and why. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  "src/checkpoint/hub/": "the names of folders in a Hugging Face cache, and an option of hf",
  "src/page_colors.ts": "variables of CSS are called so",
  "src/eval/report/": "variables of CSS are called so",
  "src/serve/page/": "variables of CSS are called so",
  "src/eval/schema_document.ts": "writes a document about what the command writes",
  "src/bench/garbage.ts": "a flag of V8",
  "src/backends/emulate/bus_error.ts": "the line is written by a signal handler, with no JavaScript left to spell it",
};

function* sources(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(ROOT + folder)) {
    if (isDirectory) yield* sources(`${folder}${name}/`);
    else if (name.endsWith(".ts")) yield `${folder}${name}`;
  }
}

/** A file without its comments, so that what is left of `--name` stands in texts. */
function code(file: string): string {
  return Deno.readTextFileSync(ROOT + file).replaceAll(/^\s*(?:\/?\*|\/\/).*$|\s\/\/ .*$/gm, "");
}

Deno.test("no room below cli/ spells an option as the command line does", () => {
  const found: string[] = [];
  const used = new Set<string>();
  for (const file of [...sources("src/"), ...sources("ffi/")]) {
    if (file.startsWith("src/cli/")) continue;
    for (const [text] of code(file).matchAll(/(?<![\w-])--(?!this\b)[a-z][\w-]*/g)) {
      const exception = Object.keys(EXCEPTIONS).find((path) => file.startsWith(path));
      if (exception === undefined) found.push(`${file}: ${text}`);
      else used.add(exception);
    }
  }
  assertEquals(found, []);
  assertEquals([...used].sort(), Object.keys(EXCEPTIONS).sort(), "an exception that nothing needs");
});

/** Options that are Deno's own. */
const OF_DENO = ["allow-ffi"];
/** Rooms that the library does not stand on. */
const COMMANDS_ONLY = /^src\/(?:bench|eval|quantize|serve|verify)\//;
/** Options of the rest that the library has not as a choice of a session: of what is written. */
const OF_WRITERS = ["force", "out"];

Deno.test("rooms below cli/ name options as the library does, which the command line has", async () => {
  const named = /\boption(?:\(|: )"([\w-]+)"/g, found = new Set<string>(), ofLibrary = new Set<string>();
  for (const file of [...sources("src/"), ...sources("ffi/")]) {
    if (file.startsWith("src/cli/")) continue;
    for (const [, name = ""] of code(file).matchAll(named)) {
      if (OF_DENO.includes(name)) continue;
      found.add(name);
      if (!COMMANDS_ONLY.test(file)) ofLibrary.add(name);
    }
  }
  assert(["kvCacheDtype", "hipLibrary", "fp8Scales"].every((name) => ofLibrary.has(name)));
  assertEquals([...found].filter((name) => name.includes("-")), []);
  assertEquals([...ofLibrary].filter((name) => !Object.hasOwn(SESSION_NAMES, name)).sort(), OF_WRITERS);
  const specs = await Promise.all([...COMMANDS.values()].map((command) => command.spec()));
  const typed = new Set(specs.flatMap(({ options }) => Object.keys(options).map((name) => `--${name}`)));
  assertEquals([...found].map(COMMAND_LINE.option).filter((name) => !typed.has(name)), []);
});

Deno.test("no code decides by the words of an error", () => {
  const asks = /\b(?:thrown|error|cause)\.message\s*(?:\.(?:endsWith|startsWith|includes|match|replace)|[!=]==)/g;
  const tests = /\.(?:test|exec)\((?:thrown|error|cause)\.message/g;
  const found = [...sources("src/"), ...sources("ffi/")].flatMap((file) =>
    [...code(file).matchAll(asks), ...code(file).matchAll(tests)].map(([text]) => `${file}: ${text}`)
  );
  // V8 gives its own errors no code.
  assertEquals(found, ["src/cli/system_errors.ts: .test(thrown.message"]);
});

Deno.test("an InputError is one line made of its data, spelled plainly or as on the command line", () => {
  const { mistake, ...error } = InputError.of("uncalibrated", { option: "scheme", value: "x" }, "a scale", 0);
  assertEquals(mistake, { code: "uncalibrated", subject: error.subject, expected: "a scale", got: 0 });
  assertEquals([error.code, error.expected, error.got], ["uncalibrated", "a scale", "0"]);
  const lines = (error: InputError | FailureError) => [error.message, error.line(), error.line(COMMAND_LINE)];
  const plain = "scheme x: expected a scale, got 0";
  assertEquals(lines(new InputError(mistake)), [plain, plain, `--${plain}`]);

  const where = { file: "a/b.json", key: "rope.factor" };
  assertEquals(InputError.of("missing", where, "a number").message, "a/b.json: rope.factor: expected a number");
  const tensor = { option: "out", file: "x.safetensors", tensor: "lm_head.weight", name: "row 3" };
  assertEquals(
    InputError.saying("changed", tensor, "differs").line(COMMAND_LINE),
    "--out: x.safetensors: tensor lm_head.weight: row 3: differs",
  );
  assertEquals(InputError.saying("other", {}, "nothing is named").message, "nothing is named");
  const free = new InputError("in its own words");
  assertEquals([free.code, free.expected, free.got, free.message], ["other", null, null, "in its own words"]);

  const how = command("quantize", { scheme: "w_mxfp4", calibrate: "FILE" });
  const failure = new FailureError(words`no room; a smaller ${option("chunk")}, or "${how}" for ${2} of them`);
  // A command is typed wherever it is read of.
  const typed = '"mxoss quantize --scheme w_mxfp4 --calibrate FILE"';
  assertEquals(failure.message, `no room; a smaller chunk, or ${typed} for 2 of them`);
  assertEquals(
    failure.line(COMMAND_LINE),
    `no room; a smaller --chunk, or ${typed} for 2 of them`,
  );
});

Deno.test("a mistake keeps its data on the way through a thread", () => {
  const error = InputError.of("wrong_value", { name: words`${option("tp")} 3` }, words`at most ${option("ep")}`, 4);
  const copy = new InputError(structuredClone(error.mistake));
  assertEquals(copy.line(COMMAND_LINE), "--tp 3: expected at most --ep, got 4");
  assertEquals([copy.code, copy.expected], ["wrong_value", "at most ep"]);
  assert(copy.message === error.message);
  assertStringIncludes(copy.complaint(COMMAND_LINE), "expected at most --ep");
});
