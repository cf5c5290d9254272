/** The program's commands. Each is imported when it is asked for: a run pays only for its own. */
import type { CommandSpec } from "./options.ts";

/** A command before it is imported. */
export interface Command {
  /** Whether it may call libraries: to map weight files, or a GPU's. See permissions.ts. */
  readonly ffi: boolean;
  /** What the command line may hold. */
  readonly spec: () => Promise<CommandSpec>;
  /** Runs with the arguments after the command's name and gives the exit code. */
  readonly run: (args: readonly string[]) => Promise<number>;
}

/** Commands by name; the first is the default. */
export const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ["generate", {
    ffi: true,
    spec: async () => (await import("./generate_options.ts")).GENERATE,
    run: async (args) => await (await import("./generate.ts")).generateCommand(args),
  }],
  ["logits", {
    ffi: true,
    spec: async () => (await import("./logits_options.ts")).LOGITS,
    run: async (args) => await (await import("./logits.ts")).logitsCommand(args),
  }],
  ["eval", {
    ffi: true,
    spec: async () => (await import("./eval/options.ts")).EVAL,
    run: async (args) => await (await import("./eval/eval.ts")).evalCommand(args),
  }],
  ["compare", {
    ffi: true,
    spec: async () => (await import("./compare_options.ts")).COMPARE,
    run: async (args) => await (await import("./compare.ts")).compareCommand(args),
  }],
  ["inspect", {
    ffi: false,
    spec: async () => (await import("./inspect_options.ts")).INSPECT,
    run: async (args) => await (await import("./inspect.ts")).inspectCommand(args),
  }],
  ["quantize", {
    ffi: true,
    spec: async () => (await import("./quantize_options.ts")).QUANTIZE,
    run: async (args) => await (await import("./quantize.ts")).quantizeCommand(args),
  }],
  ["devices", {
    ffi: true,
    spec: async () => (await import("./devices_options.ts")).DEVICES,
    run: async (args) => await (await import("./devices.ts")).devicesCommand(args),
  }],
]);

/** What runs when the first argument names no command: that argument is then a prompt or an option. */
export const DEFAULT_COMMAND = "generate";
