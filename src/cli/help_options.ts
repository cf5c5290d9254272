/** The options of `mxoss help`. */
import { type CommandSpec, toggle } from "./options.ts";

const OPTIONS = {
  man: toggle("print the manual page of all commands, as troff for man"),
};

/** Help texts. */
export const HELP: CommandSpec<typeof OPTIONS> = {
  name: "help",
  summary: "show what a command does, or print the manual page",
  positional: { name: "COMMAND", help: "the command; without it all are listed" },
  options: OPTIONS,
  examples: [
    { line: "mxoss help eval", does: "the options of a command, as mxoss eval --help" },
    { line: "mxoss help --man", does: "the manual page: mxoss help --man | man -l -" },
  ],
  notes: [],
};
