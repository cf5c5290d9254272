/** `mxoss help`. */
import { closest } from "./closest.ts";
import type { HELP } from "./help_options.ts";
import { commandHelp, helpColumns, programHelp } from "./help.ts";
import { manPage } from "./man_page.ts";
import type { CommandSpec, Parsed } from "./options.ts";
import { UsageError } from "./spelling.ts";
import { writeOut } from "./terminal.ts";

/**
 * Runs the command.
 *
 * @param specs All commands of the program.
 */
export async function helpCommand(
  { options, positional }: Parsed<typeof HELP.options>,
  specs: readonly CommandSpec[],
): Promise<number> {
  if (options.man && positional !== undefined) {
    throw UsageError.of(
      "contradiction",
      { option: "man" },
      "without COMMAND: it is of all commands",
      `"${positional}"`,
    );
  }
  await writeOut(
    options.man
      ? manPage(specs)
      : positional === undefined
      ? programHelp(specs, helpColumns())
      : helpOf(positional, specs),
  );
  return 0;
}

function helpOf(name: string, specs: readonly CommandSpec[]): string {
  const found = specs.find((spec) => spec.name === name);
  if (found !== undefined) return commandHelp(found, helpColumns());
  const names = specs.map((spec) => spec.name), near = closest(name, names);
  const hint = near === undefined ? names.join(", ") : `${near}?`;
  throw UsageError.of(
    "wrong_value",
    { name: "COMMAND" },
    near === undefined ? hint : "a command",
    `"${name}"${near === undefined ? "" : `; did you mean ${hint}`}`,
  );
}
