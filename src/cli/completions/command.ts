/** `mxoss completions`: prints a script for a shell. */
import { UsageError } from "../spelling.ts";
import type { CommandSpec, Parsed } from "../options.ts";
import { writeOut } from "../terminal.ts";
import { bashCompletions } from "./bash.ts";
import { fishCompletions } from "./fish.ts";
import { SHELLS } from "./options.ts";
import { type ShellCommand, shellCommands } from "./tables.ts";
import { zshCompletions } from "./zsh.ts";

const WRITERS: Readonly<Record<(typeof SHELLS)[number], (commands: readonly ShellCommand[]) => string>> = {
  bash: bashCompletions,
  zsh: zshCompletions,
  fish: fishCompletions,
};

/**
 * Runs the command.
 *
 * @param specs All commands of the program.
 */
export async function completionsCommand(
  { positional }: Parsed<Record<never, never>>,
  specs: readonly CommandSpec[],
): Promise<number> {
  const shell = SHELLS.find((name) => name === positional);
  if (shell === undefined) {
    const expected = `${SHELLS.slice(0, -1).join(", ")} or ${SHELLS.at(-1)}`;
    throw UsageError.of(
      "wrong_value",
      { name: "SHELL" },
      expected,
      positional === undefined ? "none" : `"${positional}"`,
    );
  }
  await writeOut(WRITERS[shell](shellCommands(specs)));
  return 0;
}
