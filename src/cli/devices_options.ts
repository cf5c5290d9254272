/** The options of `mxoss devices`. */
import { HIP_LIBRARY_OPTION } from "./model_options.ts";
import { type CommandSpec, toggle } from "./options.ts";

const OPTIONS = {
  "hip-library": HIP_LIBRARY_OPTION,
  json: toggle("print one JSON object"),
};

/** What each backend finds on this machine. */
export const DEVICES: CommandSpec<typeof OPTIONS> = {
  name: "devices",
  summary: "show what each backend finds on this machine, and why not",
  positional: null,
  options: OPTIONS,
  notes: ["GPU libraries are looked for where calling libraries is permitted."],
};
