/** What an error line recommends is tried: it must not be refused in turn. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { COMMANDS } from "../../src/cli/commands.ts";
import { type CommandSpec, parseCommand } from "../../src/cli/options.ts";
import { QUANTIZE } from "../../src/cli/quantize_options.ts";
import { COMMAND_LINE } from "../../src/cli/spelling.ts";
import { InputError } from "../../src/errors.ts";
import { planModel } from "../../src/plan/planned.ts";
import { SCHEME_NAMES } from "../../src/plan/scheme.ts";
import { planTargets } from "../../src/quantize/targets.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { rewrite, TemporaryDirectory } from "../checkpoint/container.ts";
import { run, someScales } from "../quantize/run.ts";
import { TINY } from "./program.ts";

const SPECS: readonly CommandSpec[] = await Promise.all([...COMMANDS.values()].map((command) => command.spec()));
const FORMATS = { dtype: "bf16", kvCacheDtype: "auto" } as const;

/** The message of what is thrown; null where nothing is. */
function refused(attempt: () => unknown): string | null {
  try {
    attempt();
    return null;
  } catch (thrown) {
    if (thrown instanceof InputError) return thrown.line(COMMAND_LINE);
    throw thrown;
  }
}

/** Command lines in a message, `"mxoss quantize --scheme NAME"`, without `mxoss`. */
const commandsIn = (message: string): string[][] =>
  [...message.matchAll(/"mxoss ([^"]+)"/g)].map(([, words]) => words!.split(" "));

/** Does what `mxoss quantize` does before it computes or writes anything. */
function tryQuantize([command, ...args]: readonly string[], dir: string): void {
  assertEquals(command, "quantize");
  const filled = args.map((word) => word === "NAME" ? "ptpc_fp8" : word);
  const { options } = parseCommand(QUANTIZE, [...filled, "--out", "new"]);
  const checkpoint = openCheckpoint(dir);
  const { source, config } = checkpoint;
  const inputScales = someScales(checkpoint);
  const { plan } = planModel(checkpoint, { ...FORMATS, ...(options.calibrate ? { inputScales } : {}) });
  const recipe = { scheme: options.scheme, layers: [], attention: null };
  planTargets(recipe, source, config, plan, options.calibrate === undefined ? null : "later");
}

Deno.test("the commands that a refused --scheme recommends are accepted", () => {
  const checkpoint = openCheckpoint(TINY);
  const lines = SCHEME_NAMES.map((scheme) => refused(() => planModel(checkpoint, { ...FORMATS, scheme })));
  const recommended = lines.flatMap((line) => line === null ? [] : commandsIn(line));
  // All schemes whose inputs are static FP8, whose scales the checkpoint lacks; weights are converted.
  assertEquals(recommended.length, SCHEME_NAMES.filter((name) => /(^|_a_)fp8$/.test(name)).length);
  for (const command of recommended) tryQuantize(command, TINY);
});

Deno.test("the command that makes the scales which a checkpoint lacks is accepted", async () => {
  using dir = new TemporaryDirectory();
  const embedded = openCheckpoint(TINY);
  await run(embedded, dir.path, "w_mxfp4_a_fp8", { attention: "fp8", scales: someScales(embedded) });
  for (const lacking of [/self_attn\.\w+\.input_scale$/, /experts.*input_scale$/]) {
    rewrite(`${dir.path}/model.safetensors`, (tensors) => {
      [...tensors.keys()].filter((name) => lacking.test(name)).forEach((name) => tensors.delete(name));
    });
    const commands = commandsIn(refused(() => planModel(openCheckpoint(dir.path), FORMATS))!);
    assertEquals(commands.length, 1);
    tryQuantize(commands[0]!, dir.path);
  }
});

Deno.test("every value that an option says it expected is accepted", () => {
  let tried = 0;
  for (const { name: command, options } of SPECS) {
    for (const [name, { schema, value }] of Object.entries(options)) {
      if (value === null) continue;
      for (const given of ["nonsense", "w_mxfp4_a_nonsense", "mxfp4", "0=nonsense", "bf16", "nonsense=1"]) {
        const result = schema.safeParse(given);
        if (result.success) continue;
        for (const choice of choicesIn(result.error.issues[0]!.message, given)) {
          assert(schema.safeParse(choice).success, `${command} --${name} ${given}: recommends ${choice}`);
          tried++;
        }
      }
    }
  }
  assert(tried > 200, `${tried}`);
});

/** Words that a message lists after "expected", or gives as examples. */
function choicesIn(message: string, given: string): string[] {
  const [, listed = ""] = /expected ([^;(]*?)(?:, got .*|, as it is called here|$)/.exec(message) ?? [];
  const words = listed.split(/, | or /);
  const examples = [...message.matchAll(/such as ([^\s;:"]+?)(?:, ([^\s;:"]+))?(?=[\s;:"]|$)/g)]
    .flatMap(([, ...found]) => found.filter((word) => word !== undefined).map((word) => word.replace(/,$/, "")));
  const bracketed = /\(([\w, ]+)\)/.exec(message)?.[1]?.split(", ") ?? [];
  const [, weight] = /^(w_\w+)_a_/.exec(given) ?? [];
  const inputs = weight === undefined ? [] : [...message.matchAll(/\ba_(mxfp\w+|fp8)\b(?=,| or)/g)]
    .map(([whole]) => `${weight}_${whole}`);
  const prefix = given.startsWith("0=") ? "0=" : "";
  return [
    ...(words.every((word) => /^[a-z][\w.-]*$/.test(word)) && inputs.length === 0 ? words : []),
    ...bracketed.map((word) => prefix + word),
    ...inputs,
    ...examples,
  ];
}

Deno.test("an option that is asked back after a typing error is accepted", () => {
  let tried = 0;
  for (const spec of SPECS) {
    for (const name of Object.keys(spec.options)) {
      const typed = `--${name.slice(0, 2)}${name.slice(3)}x`;
      const message = assertThrows(() => parseCommand(spec, [typed]), InputError).line(COMMAND_LINE);
      const asked = /did you mean --([\w-]+)\?/.exec(message)?.[1];
      assert(asked === undefined ? message.includes(`mxoss ${spec.name} --help`) : asked in spec.options, message);
      if (asked !== undefined) tried++;
    }
  }
  assert(tried > 50, `${tried}`);
});

Deno.test("what computes names options only that all commands which compute have", () => {
  const computing = SPECS.filter(({ name }) => ["generate", "logits", "eval", "compare"].includes(name));
  assertEquals(computing.length, 4);
  let named = 0;
  for (const folder of ["src/backends", "src/model", "src/parallel", "ffi"]) {
    for (const [path, text] of sourcesIn(new URL(`../../${folder}/`, import.meta.url).pathname)) {
      const code = text.replaceAll(/^\s*(?:\/?\*|\/\/).*$/gm, "");
      for (const [, name] of code.matchAll(/\boption(?:\(|: )"(?!allow-)([a-z][a-z0-9-]+)"/g)) {
        named++;
        const lacking = computing.filter(({ options }) => !(name! in options)).map((spec) => spec.name);
        assertEquals(lacking, [], `${path}: --${name}`);
      }
    }
  }
  assert(named > 0);
});

function* sourcesIn(folder: string): Generator<[path: string, text: string]> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    if (isDirectory) yield* sourcesIn(`${folder}${name}/`);
    else if (name.endsWith(".ts")) yield [`${folder}${name}`, Deno.readTextFileSync(`${folder}${name}`)];
  }
}
