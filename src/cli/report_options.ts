/** The options of `mxoss report`. */
import { BANDWIDTH_OPTION } from "./eval/options.ts";
import { type CommandSpec, option, text, toggle } from "./options.ts";

const OPTIONS = {
  out: option("DIR", text("a directory").optional(), "write results.json and report.html of all runs together here"),
  bandwidth: BANDWIDTH_OPTION,
  json: toggle("print results.json instead of tables"),
};

/** The tables and the page of runs that are finished. */
export const REPORT: CommandSpec<typeof OPTIONS> = {
  name: "report",
  summary: "show finished runs again, and runs that were made apart as one",
  positional: {
    name: "DIR",
    help: "what --out of mxoss eval or mxoss compare has written; several of mxoss eval become one",
    many: true,
  },
  options: OPTIONS,
  examples: [
    { line: "mxoss report results", does: "shows a finished run again" },
    { line: "mxoss report monday tuesday --out both", does: "joins two runs in one report" },
  ],
  notes: [
    "Nothing is computed: results and page are those that one mxoss eval with all settings would have made. So runs " +
    "of one task on the same problems or text, from several machines or days, are put side by side; each must begin " +
    "with the setting that the others are compared with, unless all were made with --divergence 0. Runs that one run " +
    "could not have made are refused, with the field in which they differ.",
    "Parts of one run (--shard) in a directory are joined. Where some are not finished, their commands are printed.",
  ],
};
