/** `mxoss report`: finished runs again, apart or as one. */
import { z } from "zod";
import { writeWhole } from "../checkpoint/atomic.ts";
import { InputError } from "../errors.ts";
import type { Indexed } from "../eval/journal.ts";
import { type FinishedRun, type MergedResults, mergeRuns } from "../eval/merge.ts";
import { resultsText } from "../eval/results_file.ts";
import { CompareResults } from "../eval/results_schema.ts";
import { type Asked, namesOf, type Task } from "../eval/task.ts";
import { GSM8K } from "../eval/tasks/gsm8k.ts";
import { PERPLEXITY } from "../eval/tasks/perplexity.ts";
import { readWhole } from "../read.ts";
import { compareTables } from "./compare_tables.ts";
import { COMMANDS_OF_SCHEMAS, makeDirectory, MAX_RESULTS_BYTES, refuseOtherResults } from "./eval/output.ts";
import { gsm8kTables, perplexityTables } from "./eval/tables.ts";
import type { OptionValues, Parsed } from "./options.ts";
import type { REPORT } from "./report_options.ts";
import { UsageError } from "./spelling.ts";
import { folded } from "./table.ts";
import { writeOut } from "./terminal.ts";

type ReportOptions = OptionValues<typeof REPORT.options>;

/** Runs the command. */
export async function reportCommand({ options, positionals }: Parsed<typeof REPORT.options>): Promise<number> {
  const [first, ...others] = positionals ?? [];
  if (first === undefined) throw UsageError.of("missing", { name: "DIR" }, "a directory of results", "none");
  const found = [first, ...others].map(readResults) as [Found, ...Found[]];
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
      return await compared(found, options);
    default:
      throw UsageError.of("wrong_value", { file: found[0].path, key: "schema" }, "results of mxoss eval", schema);
  }
}

/** A results.json before it is looked at closely. */
interface Found {
  readonly dir: string;
  readonly path: string;
  readonly schema: string;
  readonly json: unknown;
}

const Head = z.looseObject({ schema: z.string() });

function readResults(given: string): Found {
  const dir = given.replace(/(?<=.)[/\\]+$/, ""),
    path = `${dir}/results.json`,
    bytes = readWhole(path, MAX_RESULTS_BYTES);
  try {
    const json: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return { dir, path, schema: Head.parse(json).schema, json };
  } catch {
    throw UsageError.of("wrong_value", { file: path }, "results that mxoss wrote", "something else");
  }
}

function parsed<T>(schema: z.ZodType<T>, { path, json }: Found): T {
  const results = schema.safeParse(json);
  if (results.success) return results.data;
  const [{ path: at, message }] = results.error.issues as [z.core.$ZodIssue];
  const where = { file: path, key: at.join(".") };
  throw InputError.of("wrong_value", where, "results of this version of mxoss", message);
}

async function merged<Work extends Asked<Results["protocol"]>, Entry extends Indexed, Results extends MergedResults>(
  task: Task<never, Work, Entry, Results>,
  found: readonly Found[],
  { out, bandwidth, json }: ReportOptions,
  tables: (results: Results, names: ReturnType<typeof namesOf>) => string[],
): Promise<number> {
  const runs = found.map((one): FinishedRun<Results> => ({ dir: one.dir, results: parsed(task.results, one) }));
  const results = mergeRuns(task, runs as [FinishedRun<Results>], bandwidth), text = resultsText(task.results, results);
  if (out !== undefined) {
    makeDirectory(out);
    refuseOtherResults(out, task, task.identity(results.protocol));
    writeWhole(`${out}/results.json`, text);
    writeWhole(`${out}/report.html`, await task.page(results));
  }
  await writeOut(json ? text : `${folded(tables(results, namesOf(results))).join("\n")}\n`);
  return 0;
}

async function compared(found: readonly Found[], { out, bandwidth, json }: ReportOptions): Promise<number> {
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
    makeDirectory(out);
    refuseOtherResults(out, { schema: "mxoss.compare", protocol: z.unknown(), identity: () => null }, null);
    const { compareReport } = await import("../eval/report/compare_page.ts");
    writeWhole(`${out}/results.json`, text);
    writeWhole(`${out}/report.html`, await compareReport(results));
  }
  await writeOut(json ? text : `${folded(compareTables(results)).join("\n")}\n`);
  return 0;
}
