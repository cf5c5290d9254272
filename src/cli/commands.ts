/** The program's commands. Each is imported when it is asked for: a run pays only for its own. */
import { dumbTerminal } from "./terminal.ts";
import { type CommandSpec, type OptionTable, type OptionValues, parseCommand, type Parsed } from "./options.ts";
import { namesHubModel } from "./hub.ts";
import { selfTestsOf } from "./self_tests.ts";
import { modelsOf, refuseSeveral, type Shared, type Sharing, sharingOf } from "./sharing.ts";
import { type Address, callsLibraries, computing, type Needs } from "./permissions.ts";

/** A command before it is imported. */
export interface Command {
  /** Whether it may call libraries: to map weight files, or a GPU's. See permissions.ts. */
  readonly ffi: boolean;
  /** What the command line may hold. */
  readonly spec: () => Promise<CommandSpec>;
  /**
   * Reads the arguments after the command's name.
   *
   * @throws {InputError} naming the option, what was expected and what was got.
   */
  readonly parse: (args: readonly string[]) => Promise<ParsedCommand>;
}

/** A command with its arguments, which nothing after this reads again. */
export interface ParsedCommand {
  readonly needs: Needs;
  /** How the processes that were started with it share what it computes; null: each runs it. */
  readonly sharing: Sharing | null;
  readonly models: readonly Shared[];
  /** Gives the exit code. */
  readonly run: () => Promise<number>;
}

/** A command as it is declared, with the types of its own options. */
interface Declared<O extends OptionTable> {
  readonly spec: () => Promise<CommandSpec<O>>;
  /** What of the permissions the options have a use for. */
  readonly needs: (options: OptionValues<O>) => Needs | Promise<Needs>;
  /** Its name, where several processes would each write all of the same files: they are refused. */
  readonly alone?: string;
  /** @param args What was parsed. */
  readonly run: (parsed: Parsed<O>, args: readonly string[]) => Promise<number>;
}

function command<O extends OptionTable>(ffi: boolean, { spec, needs, alone, run }: Declared<O>): Command {
  return {
    ffi,
    spec,
    parse: async (args) => {
      const parsed = parseCommand(await spec(), args);
      if (alone !== undefined) refuseSeveral(alone);
      const own = await needs(parsed.options), hub = own.hub ?? namesHubModel(namesOf(parsed.options));
      const models = own.models ?? modelsOf(parsed.options), sharing = sharingOf(own.divided ? [] : models);
      const libraries = own.libraries || sharing !== null;
      return {
        needs: { ...own, hub, libraries, meets: meetsAt(sharing) },
        sharing,
        models,
        run: () => run(parsed, args),
      };
    },
  };
}

/** Addresses that processes have to listen on, or connect to, to meet. */
function meetsAt(sharing: Sharing | null): Address[] {
  if (!sharing?.place) return [];
  const { place: { host, others = [], port, listen = host }, world: { rank } } = sharing;
  return (rank === 0 ? [listen] : [host, ...others]).map((host) => ({ host, port }));
}

/** What `--model` names, in commands that have it: one, several, or nothing. */
function namesOf({ model }: Readonly<Record<string, unknown>>): string[] {
  return (Array.isArray(model) ? model : [model]).filter((name) => typeof name === "string");
}

/** Commands by name; the first is the default. */
export const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  [
    "generate",
    command(true, {
      spec: async () => (await import("./generate_options.ts")).GENERATE,
      needs: (options) => ({ ...computing(options) }),
      run: async (parsed) => await (await import("./generate.ts")).generateCommand(parsed),
    }),
  ],
  [
    "chat",
    command(true, {
      spec: async () => (await import("./chat/options.ts")).CHAT,
      needs: (options) => {
        // For later: the environment is given up.
        dumbTerminal();
        return { ...computing(options), out: options.out ?? "." };
      },
      run: async (parsed) => await (await import("./chat/run.ts")).chatCommand(parsed),
    }),
  ],
  [
    "logits",
    command(true, {
      spec: async () => (await import("./logits_options.ts")).LOGITS,
      needs: (options) => ({ ...computing(options), out: options.out }),
      run: async (parsed) => await (await import("./logits.ts")).logitsCommand(parsed),
    }),
  ],
  [
    "eval",
    command(true, {
      spec: async () => (await import("./eval/options.ts")).EVAL,
      needs: async (options) => {
        const { dividesProcesses } = await import("./eval/shard.ts");
        const divided = dividesProcesses(options, modelsOf(options));
        return { ...computing(options), shares: true, divided, out: options.out };
      },
      run: async (parsed, args) => await (await import("./eval/eval.ts")).evalCommand(parsed, args),
    }),
  ],
  [
    "compare",
    command(true, {
      spec: async () => (await import("./compare_options.ts")).COMPARE,
      needs: async (options) => {
        const { sideChoices } = await import("./compare_sides.ts");
        const sides = sideChoices(options);
        return {
          libraries: sides.some(callsLibraries),
          models: sides,
          selfTests: sides.map(selfTestsOf).find((file) => file !== null) ?? null,
          out: options.out,
          hub: namesHubModel(sides.map(({ model }) => model)),
        };
      },
      run: async (parsed) => await (await import("./compare.ts")).compareCommand(parsed),
    }),
  ],
  [
    "report",
    command(false, {
      spec: async () => (await import("./report_options.ts")).REPORT,
      needs: ({ out }) => ({ libraries: false, out }),
      alone: "report",
      run: async (parsed) => await (await import("./report.ts")).reportCommand(parsed),
    }),
  ],
  [
    "inspect",
    command(false, {
      spec: async () => (await import("./inspect_options.ts")).INSPECT,
      needs: () => ({ libraries: false }),
      run: async (parsed) => await (await import("./inspect.ts")).inspectCommand(parsed),
    }),
  ],
  [
    "list",
    command(true, {
      spec: async () => (await import("./list_options.ts")).LIST,
      needs: () => ({ libraries: false, hub: true }),
      run: async (parsed) => await (await import("./list.ts")).listCommand(parsed),
    }),
  ],
  [
    "quantize",
    command(true, {
      spec: async () => (await import("./quantize_options.ts")).QUANTIZE,
      needs: ({ weights, out }) => ({ libraries: callsLibraries({ backend: "emulate", weights }), out }),
      alone: "quantize",
      run: async (parsed) => await (await import("./quantize.ts")).quantizeCommand(parsed),
    }),
  ],
  [
    "convert",
    command(true, {
      spec: async () => (await import("./convert_options.ts")).CONVERT,
      needs: ({ out }) => ({ libraries: false, out }),
      alone: "convert",
      run: async (parsed) => await (await import("./convert.ts")).convertCommand(parsed),
    }),
  ],
  [
    "bench",
    command(true, {
      spec: async () => (await import("./bench_options.ts")).BENCH,
      needs: (options) => ({ ...computing(options), out: options.out }),
      run: async (parsed) => await (await import("./bench.ts")).benchCommand(parsed),
    }),
  ],
  [
    "serve",
    command(true, {
      spec: async () => (await import("./serve_options.ts")).SERVE,
      needs: (options) => ({ ...computing(options), listen: options }),
      run: async (parsed) => await (await import("./serve.ts")).serveCommand(parsed),
    }),
  ],
  [
    "devices",
    command(true, {
      spec: async () => (await import("./devices_options.ts")).DEVICES,
      needs: ({ out }) => ({ libraries: true, out }),
      run: async (parsed) => await (await import("./devices.ts")).devicesCommand(parsed),
    }),
  ],
  [
    "completions",
    command(false, {
      spec: async () => (await import("./completions/options.ts")).COMPLETIONS,
      needs: () => ({ libraries: false }),
      run: async (parsed) =>
        await (await import("./completions/command.ts")).completionsCommand(parsed, await allCommands()),
    }),
  ],
  [
    "help",
    command(false, {
      spec: async () => (await import("./help_options.ts")).HELP,
      needs: () => ({ libraries: false }),
      run: async (parsed) => await (await import("./help_command.ts")).helpCommand(parsed, await allCommands()),
    }),
  ],
]);

/** What all command lines may hold, in the order of help. */
export async function allCommands(): Promise<CommandSpec[]> {
  return await Promise.all([...COMMANDS.values()].map((command) => command.spec()));
}

/** What runs when the first argument names no command: that argument is then a prompt or an option. */
export const DEFAULT_COMMAND = "generate";
