/** The options of `mxoss devices`. */
import { UsageError } from "./spelling.ts";
import { HIP_LIBRARY_OPTION } from "./model_options.ts";
import { choice, type CommandSpec, integer, option, type OptionValues, text, toggle } from "./options.ts";

const OPTIONS = {
  verify: toggle("compute on one GPU, and compare with what it should give; takes about a minute"),
  backend: option("NAME", choice("hip", "cuda").optional(), "of --verify: which library (default: what has a GPU)"),
  device: option("N", integer(0, 255).optional(), "of --verify: which GPU of it (default: 0)"),
  filter: option("TEXT", text("a part of a name").optional(), "of --verify: only what has this in its name"),
  "hip-library": HIP_LIBRARY_OPTION,
  json: toggle("print one JSON object"),
  issue: toggle("of --verify: print a text for an issue"),
  out: option("F", text("a file to write").optional(), "of --verify: also write the results as JSON"),
  force: toggle("replace the file if it is there"),
};

/** What each backend finds on this machine. */
export const DEVICES: CommandSpec<typeof OPTIONS> = {
  name: "devices",
  summary: "show what each backend finds on this machine, and why not, or verify a GPU",
  positional: null,
  options: OPTIONS,
  examples: [
    { line: "mxoss devices", does: "shows the GPUs that are found, or why none is" },
  ],
  notes: [
    "GPU libraries are looked for where calling libraries is permitted.",
    "--verify runs every kernel on inputs of its own beside plain arithmetic, kernels with matrix instructions " +
    "beside the generic ones, the embedded model beside results of Hugging Face's implementation, and a small bench. " +
    "What disagrees is named, and the exit code is 1.",
  ],
};

/**
 * Refuses what means nothing without --verify, and two ways to print.
 *
 * @throws {InputError} naming the option.
 */
export function refuseIdle(options: OptionValues<typeof OPTIONS>): void {
  const { verify, json, issue, out, force, backend, device, filter } = options;
  if (json && issue) throw UsageError.of("contradiction", { option: "issue" }, "without --json");
  if (force && out === undefined) throw UsageError.of("contradiction", { option: "force" }, "with --out");
  if (verify) return;
  const idle = { backend, device, filter, out, issue: issue || undefined };
  for (const [name, value] of Object.entries(idle)) {
    if (value !== undefined) throw UsageError.of("contradiction", { option: name }, "with --verify");
  }
}
