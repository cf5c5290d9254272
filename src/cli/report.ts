/** `mxoss report`: finished runs again, apart or as one. */
import { writeComparison } from "./compare_files.ts";
import { joinShards } from "../eval/shards/join.ts";
import { findRuns, type Found, type FoundResults, inRuns, parsed, unfinished } from "./report_inputs.ts";
import { type EvalResults, type FinishedRun, finishedRun } from "../eval/finished_run.ts";
import { z } from "zod";
import { removeIfThere, writeWhole } from "../checkpoint/atomic.ts";
import { makeWritableDirectory } from "../checkpoint/directories.ts";
import type { Indexed } from "../eval/journal.ts";
import { InputError } from "../errors.ts";
import { mergeRuns } from "../eval/merge.ts";
import { mergedSamples } from "../eval/merge_samples.ts";
import { samplesPage } from "../eval/report/samples_page.ts";
import { resultsText } from "../eval/results_file.ts";
import { CompareResults } from "../eval/results_schema.ts";
import { type Asked, namesOf, type Task } from "../eval/task.ts";
import { GSM8K } from "../eval/tasks/gsm8k.ts";
import { KeptPassages, PASSAGES, passagesHeader } from "../eval/passages.ts";
import { PERPLEXITY } from "../eval/tasks/perplexity.ts";
import { compareTables } from "./compare_tables.ts";
import { COMMANDS_OF_SCHEMAS, refuseOtherResults } from "./eval/output.ts";
import { gsm8kTables, perplexityTables } from "./eval/tables.ts";
import type { OptionValues, Parsed } from "./options.ts";
import type { REPORT } from "./report_options.ts";
import { UsageError } from "./spelling.ts";
import { folded } from "./table.ts";
import { note, writeLines, writeOut } from "./terminal.ts";
import { reading } from "../validate.ts";

type ReportOptions = OptionValues<typeof REPORT.options>;

/** Runs the command; gives its exit code. */
export async function reportCommand({ options, positionals }: Parsed<typeof REPORT.options>): Promise<number> {
  const [first, ...others] = positionals ?? [];
  if (first === undefined) throw UsageError.of("missing", { name: "DIR" }, "a directory of results", "none");
  const found = [first, ...others].flatMap(findRuns) as [Found, ...Found[]];
  const [{ schema }] = found;
  const other = found.find((one) => one.schema !== schema);
  if (other !== undefined) {
    const names = [schema, other.schema].map((name) => COMMANDS_OF_SCHEMAS[name] ?? name);
    throw UsageError.of("wrong_value", { file: other.path, key: "schema" }, `results of ${names[0]}`, `of ${names[1]}`);
  }
  switch (schema) {
    case GSM8K.schema:
      return await merged(GSM8K, found, options, gsm8kTables);
    case PERPLEXITY.schema:
      return await merged(PERPLEXITY, found, options, perplexityTables);
    case "mxoss.compare":
      return await compared(found as [FoundResults], options);
    default:
      throw UsageError.of("wrong_value", { file: found[0].path, key: "schema" }, "results of mxoss eval", schema);
  }
}

async function merged<Work extends Asked<Results["protocol"]>, Entry extends Indexed, Results extends EvalResults>(
  task: Task<never, Work, Entry, Results>,
  found: readonly Found[],
  { out, bandwidth, json }: ReportOptions,
  tables: (results: Results, names: ReturnType<typeof namesOf>) => string[],
): Promise<number> {
  const runs: FinishedRun<Results>[] = [];
  for (const one of inRuns(found)) {
    if (!Array.isArray(one)) {
      runs.push(finishedRun(one.dir, parsed(task.results, one)));
      continue;
    }
    const joined = joinShards(task, one, bandwidth);
    if (joined.kind === "unfinished") throw unfinished(one[0], joined.shards);
    runs.push(joined.run);
  }
  const [run, ...more] = runs as [FinishedRun<Results>, ...FinishedRun<Results>[]];
  const alone = more.length === 0 && found[0]!.kind === "shard";
  const results = alone ? run.results : mergeRuns(task, [run, ...more], bandwidth);
  const text = resultsText(task.results, results);
  if (out !== undefined) {
    makeWritableDirectory(out);
    refuseOtherResults(out, task, task.identity(results.protocol));
    const samples = mergedSamples(task, runs, results), there = samples !== null && samples !== "missing";
    writeWhole(`${out}/results.json`, text);
    writeWhole(`${out}/report.html`, await task.page(results, there));
    // One that lies there from before would not be of these results.
    if (there) writeWhole(`${out}/samples.html`, samplesPage(samples));
    else removeIfThere(`${out}/samples.html`);
    if (samples === "missing") {
      note("no samples.html: a run was made by an earlier version, or without the first setting");
    }
  }
  await (json ? writeOut(text) : writeLines(folded(tables(results, namesOf(results)))));
  return 0;
}

async function compared(found: readonly FoundResults[], { out, bandwidth, json }: ReportOptions): Promise<number> {
  const [one, second] = found;
  if (second !== undefined) {
    throw UsageError.of(
      "wrong_value",
      { name: "DIR" },
      "one of mxoss compare, which compares two settings",
      second.dir,
    );
  }
  const stored = parsed(CompareResults, one!);
  const results: CompareResults = { ...stored, bandwidth: bandwidth ?? stored.bandwidth };
  const text = resultsText(CompareResults, results);
  if (out !== undefined) {
    makeWritableDirectory(out);
    refuseOtherResults(out, { schema: "mxoss.compare", protocol: z.unknown(), identity: () => null }, null);
    await writeComparison(out, results, passagesIn(one!.dir, stored));
  }
  await (json ? writeOut(text) : writeLines(folded(compareTables(results))));
  return 0;
}

/** The passages that lie beside the results of a comparison; null where an earlier version made them. */
function passagesIn(dir: string, results: CompareResults): KeptPassages[] | null {
  const { has, read } = finishedRun(dir, results);
  if (!has(PASSAGES)) return null;
  const header = passagesHeader(results.protocol, results.divergence.alarm);
  const found = [...read(PASSAGES, header, reading(KeptPassages)).values()];
  const { sequences } = results.divergence;
  if (found.length === sequences) return found.sort((x, y) => x.index - y.index);
  const problem = `expected ${sequences} entries, got ${found.length}: it was cut off; run the same command again`;
  throw InputError.saying("missing", { file: `${dir}/${PASSAGES}.jsonl` }, problem);
}
