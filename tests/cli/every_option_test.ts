/**
 * Every option of every command: it changes what the command writes, or it is refused. What an option is tried with
 * stands in option_trials.ts, in which none may be missing; `deno task test` carries out those that compute nothing,
 * `deno task test:soak` all.
 */
import { COMMANDS } from "../../src/cli/commands.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { SOAK } from "../soak.ts";
import { inProcess } from "./in_process.ts";
import { trials } from "./option_trials.ts";
import { Files } from "./trial.ts";

/** Paths and contents below a directory. */
function contents(path: string): string[] {
  return [...Deno.readDirSync(path)].sort((a, b) => a.name < b.name ? -1 : 1).flatMap(({ name, isDirectory }) => {
    const inside = `${path}/${name}`;
    return isDirectory ? contents(inside) : [name, new TextDecoder("latin1").decode(Deno.readFileSync(inside))];
  });
}

/** A command line that writes into a directory. */
const inside = (path: string, args: readonly string[]) => args.map((word) => word.replace("OUT", path));

/** What a benchmark measured, without the figures, which are others every time. */
function subjects(json: string): string {
  if (json === "") return json;
  const { computed, figures } = JSON.parse(json) as { computed: unknown; figures: { subject: unknown }[] };
  return JSON.stringify([computed, figures.map(({ subject }) => subject)]);
}

/** What a command line leaves: exit code, output without times, files. */
async function traces(command: string, args: readonly string[]): Promise<string> {
  using out = new TemporaryDirectory();
  const { code, stdout, stderr } = await inProcess([command, ...inside(out.path, args)]);
  const said = command === "bench" && args.includes("--json") ? subjects(stdout) : stdout;
  const written = `${code}\n${said}\n${stderr}\n${contents(out.path).join("\n")}`;
  return written.replaceAll(out.path, "OUT").replaceAll(/("\w+(?:_ms|per_second)": )[\d.]+/g, "$1 TIME");
}

Deno.test("every option of every command is tried", async () => {
  using files = new Files();
  const tried = trials(files);
  for (const [name, command] of COMMANDS) {
    assertEquals(Object.keys(tried[name]!).sort(), Object.keys((await command.spec()).options).sort(), name);
  }
});

for (const command of COMMANDS.keys()) {
  Deno.test(`mxoss ${command}: every option changes what is written, or is refused`, async () => {
    using files = new Files();
    const known = new Map<string, string>();
    for (const [name, list] of Object.entries(trials(files)[command]!)) {
      for (const { base, added, computes, refused } of list) {
        if (computes && !SOAK) continue;
        const line = `mxoss ${command} ${[...base, ...added].join(" ")}`;
        if (refused !== null) {
          const { code, stdout, stderr } = await inProcess([command, ...inside(files.path, [...base, ...added])]);
          assertMatch(stderr, refused, line);
          assertEquals([code, stdout], [2, ""], line);
          continue;
        }
        const key = JSON.stringify(base), without = known.get(key) ?? await traces(command, base);
        known.set(key, without);
        assert(without !== await traces(command, [...base, ...added]), `${line}: --${name} changes nothing`);
      }
    }
  });
}
