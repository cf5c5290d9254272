/** The options of `mxoss devices`. */
import { type CommandSpec, option, text, toggle } from "./options.ts";

const OPTIONS = {
  "hip-library": option("FILE", text("a file").optional(), "the HIP library to load, instead of looking for one"),
  json: toggle("print one JSON object"),
};

/** What each backend finds on this machine. */
export const DEVICES: CommandSpec<typeof OPTIONS> = {
  name: "devices",
  summary: "show what each backend finds on this machine, and why not",
  positional: null,
  options: OPTIONS,
  notes: ["GPU libraries are looked for where --allow-ffi permits it."],
};
