/** From arguments to an exit code: dispatch, help, and the one line that an error becomes. */
import { pause } from "../breath.ts";
import { clip, FailureError, InputError, reason } from "../errors.ts";
import { availableMemory } from "../memory.ts";
import { printableLine } from "../printable.ts";
import { allCommands, type Command, COMMANDS, DEFAULT_COMMAND, type ParsedCommand } from "./commands.ts";
import { denied } from "./denied.ts";
import { lookForHub } from "./hub.ts";
import { keepIgnoringHangup } from "./hangup.ts";
import { ignoreSignals } from "./ignored_signals.ts";
import { confine, privileges } from "./permissions.ts";
import { systemError } from "./system_errors.ts";
import { endProcesses, prepareJoining, QUIET_MS, runTogether } from "./processes.ts";
import { ownWorld } from "./sharing.ts";
import { COMMAND_LINE, UsageError } from "./spelling.ts";
import { environmentVariable } from "../environment.ts";
import { refuseOtherBytes } from "./raw_arguments.ts";
import { refuseUnknownCommand } from "./unknown_command.ts";
import { BrokenPipe, dumbTerminal, lastLines, note, writeError, writeOut } from "./terminal.ts";

/**
 * Runs the program and ends the process.
 *
 * Its exit codes are the list of help_words.ts. Ending by `Deno.exit` and not by running out of work keeps a worker
 * that still waits from holding the process.
 *
 * @param args Arguments of the program, without its name.
 */
export async function run(args: readonly string[]): Promise<never> {
  keepIgnoringHangup();
  ignoreSignals();
  if (Deno.stderr.isTerminal()) dumbTerminal();
  const traced = tracing();
  const end = async (code: number) => {
    await lastLines();
    return Deno.exit(await endProcesses(code));
  };
  const fail = (thrown: unknown) => end(report(thrown, traced));
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    fail(event.reason);
  });
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    fail(event.error ?? event.message);
  });
  hushLibraries();
  return await end(await exitCodeOf(args, traced));
}

/**
 * Runs a command line to its exit code, having said in one line on stderr what went wrong.
 *
 * @param traced Whether the stack of an error is shown, too.
 */
export async function exitCodeOf(args: readonly string[], traced: boolean): Promise<number> {
  try {
    return await dispatch(args);
  } catch (thrown) {
    return report(thrown, traced);
  }
}

/** What libraries say on the console quotes files, and belongs on stderr: it goes the way of every other line. */
function hushLibraries(): void {
  const say = (...said: unknown[]) =>
    note(`warning: ${said.map((part) => typeof part === "string" ? part : Deno.inspect(part)).join(" ")}`);
  for (const level of ["debug", "log", "info", "warn", "error", "trace"] as const) console[level] = say;
}

async function dispatch(args: readonly string[]): Promise<number> {
  refuseOtherBytes(args);
  const [first, ...rest] = args;
  const command = first === undefined ? undefined : COMMANDS.get(first);
  if (command !== undefined) {
    if (!asksForHelp(rest)) return await start(command, rest);
    confine(privileges(null));
    const { commandHelp, helpColumns } = await import("./help.ts");
    await writeOut(commandHelp(await command.spec(), helpColumns()));
    return 0;
  }
  if (first === "--version") {
    const [more] = rest;
    if (more !== undefined) throw UsageError.of("wrong_value", { option: "version" }, "nothing after it", `"${more}"`);
    confine(privileges(null));
    await writeOut(await (await import("./version.ts")).versionReport());
    return 0;
  }
  if (asksForHelp(args) || (first === undefined && Deno.stdin.isTerminal())) {
    confine(privileges(null));
    const { helpColumns, programHelp } = await import("./help.ts");
    await writeOut(programHelp(await allCommands(), helpColumns()));
    return 0;
  }
  if (first !== undefined) refuseUnknownCommand(first, [...COMMANDS.keys()]);
  return await start(COMMANDS.get(DEFAULT_COMMAND)!, args);
}

/** Reads the arguments, gives up the permissions that they have no use for, and runs the command with what was read. */
async function start(command: Command, args: readonly string[]): Promise<number> {
  const { needs, sharing, models, run } = await parsedOnce(command, args), needed = privileges(needs);
  // Without FFI the system cannot be asked later; what it says now is remembered.
  if (command.ffi && !needed.ffi) availableMemory();
  if (needs.hub) lookForHub();
  try {
    const joining = prepareJoining(sharing, models);
    confine(needed);
    return await (joining === null ? run() : runTogether(joining, run));
  } catch (thrown) {
    // What is wrong with all, the first says; whoever started them ends the others then.
    if (sharing !== null && sharing.world.rank > 0 && thrown instanceof InputError) await pause(QUIET_MS);
    throw thrown;
  }
}

/** Reads the arguments; of several processes that were started with them, the first says what is wrong. */
async function parsedOnce(command: Command, args: readonly string[]): Promise<ParsedCommand> {
  try {
    return await command.parse(args);
  } catch (thrown) {
    if (!(thrown instanceof InputError && (ownWorld()?.rank ?? 0) > 0)) throw thrown;
    // mpirun ends all as soon as one has failed: the first is given time to say it.
    await pause(QUIET_MS);
    return Deno.exit(thrown.exitCode);
  }
}

/** Whether the options, up to `--`, hold `--help` or `-h`. */
function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  return args.slice(0, end < 0 ? args.length : end).some((argument) => argument === "--help" || argument === "-h");
}

/**
 * Says what went wrong in one line on stderr, with the stack above it if that is asked for, and gives the exit code.
 */
function report(thrown: unknown, traced: boolean): number {
  if (thrown instanceof BrokenPipe) {
    say(`error: ${thrown.message}`);
    return 1;
  }
  if (traced && thrown instanceof Error) writeError(`${thrown.stack ?? thrown.message}\n`);
  if (thrown instanceof InputError || thrown instanceof FailureError) {
    say(`error: ${thrown.line(COMMAND_LINE)}`);
    return thrown.exitCode;
  }
  if (thrown instanceof Deno.errors.NotCapable) {
    say(`error: ${denied(thrown)}`);
    return 2;
  }
  const refused = systemError(thrown);
  if (refused !== null) {
    say(`error: ${refused}`);
    return 1;
  }
  say(`internal error: ${reason(thrown)}; run with MXOSS_TRACE=1 for the stack`);
  return 1;
}

/** Writes the line that an error becomes; cut last, as control characters grow when they are shown. */
function say(line: string): void {
  note(clip(printableLine(line)));
}

/**
 * Whether `MXOSS_TRACE` asks for stacks; false, without a question to the user, where the environment may not be read.
 */
function tracing(): boolean {
  const permission = Deno.permissions.querySync({ name: "env", variable: "MXOSS_TRACE" });
  try {
    return permission.state === "granted" && ["1", "true"].includes(environmentVariable("MXOSS_TRACE") ?? "");
  } catch {
    // Bytes that are no text ask for nothing.
    return false;
  }
}
