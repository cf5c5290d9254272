/** What the directories of `mxoss report` hold: finished runs, and parts of runs. */
import { z } from "zod";
import { InputError } from "../errors.ts";
import { kindOf } from "../checkpoint/atomic.ts";
import { checkedResults } from "../eval/results_file.ts";
import { shardOfDirectory, shardsIn } from "../eval/shards/attempts.ts";
import { shardName } from "../eval/shards/division.ts";
import type { NotedShard, UnfinishedShard } from "../eval/shards/join.ts";
import { readNote, runsOf, type ShardNote, sharedPart } from "../eval/shards/note.ts";
import { readable, readWhole } from "../read.ts";
import { firstIssue, tryReading } from "../validate.ts";
import { MAX_RESULTS_BYTES } from "./eval/output.ts";
import { quoted, UsageError } from "./spelling.ts";
import { note } from "./terminal.ts";

/** A results.json before it is looked at closely. */
export interface FoundResults {
  readonly kind: "results";
  readonly dir: string;
  readonly path: string;
  readonly schema: string;
  readonly json: unknown;
}

/** A part of a run. */
export interface FoundPart extends NotedShard {
  readonly kind: "shard";
  readonly path: string;
  readonly schema: string;
}

/** What a directory holds. */
export type Found = FoundResults | FoundPart;

const Head = z.looseObject({ schema: z.string() });

/**
 * What there is in a directory: the results of a run that has its answers beside them, else parts, else results that
 * have nothing beside them. Results that were made of parts are so made anew.
 */
export function findRuns(given: string): Found[] {
  const dir = given.replace(/(?<=.)[/\\]+$/, "");
  const there = statOf(dir);
  // Where nothing is, no parts are looked for either.
  if (there === null) return [readResults(dir)];
  if (there?.isDirectory === false) {
    throw InputError.of("wrong_value", { file: dir }, "the directory that eval or compare wrote", kindOf(there));
  }
  if (shardOfDirectory(dir) !== null) {
    const part = readPart(dir);
    if (part !== null) return [part];
  }
  const parts = shardsIn(dir).flatMap(({ dir }) => readPart(dir) ?? []);
  return parts.length === 0 || (holds(dir, "results.json") && hasAnswers(dir)) ? [readResults(dir)] : parts;
}

/** What lies at a path; null where nothing does, undefined where something is wrong that is said where it is read. */
function statOf(path: string): Deno.FileInfo | null | undefined {
  try {
    return Deno.statSync(path);
  } catch (thrown) {
    const { NotFound, NotADirectory } = Deno.errors;
    return thrown instanceof NotFound || thrown instanceof NotADirectory ? null : undefined;
  }
}

function readPart(dir: string): FoundPart | null {
  const found = readNote(dir);
  return found && { kind: "shard", dir, note: found, path: `${dir}/shard.json`, schema: found.task };
}

const holds = (dir: string, name: string) => statOf(`${dir}/${name}`) !== null;

/** Whether there are answers that one process gave. */
function hasAnswers(dir: string): boolean {
  const names = readable(dir, () => Array.from(Deno.readDirSync(dir), ({ name }) => name));
  return names.some((name) => /^(answers|nll)\..*\.jsonl$/.test(name));
}

function readResults(dir: string): FoundResults {
  const path = `${dir}/results.json`;
  if (statOf(path) === null) {
    if (statOf(dir) && hasAnswers(dir)) {
      const got = "answers of one that has not ended; the same mxoss eval goes on with it";
      throw UsageError.of("missing", { file: dir }, "the results of a finished run", got);
    }
    throw UsageError.saying(
      "missing",
      { file: path },
      "no such file; mxoss eval and mxoss compare write it with --out",
    );
  }
  const bytes = readWhole(path, MAX_RESULTS_BYTES);
  let found: unknown, schema: string;
  try {
    found = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    schema = Head.parse(found).schema;
  } catch {
    throw UsageError.of("wrong_value", { file: path }, "results that mxoss wrote", "something else");
  }
  return { kind: "results", dir, path, schema, json: checkedResults(found, path) };
}

/**
 * Results as their schema has them.
 *
 * @throws {InputError} if they are of another version.
 */
export function parsed<T>(schema: z.ZodType<T>, { path, json }: FoundResults): T {
  const results = tryReading(schema, json);
  if (results.success) return results.data;
  const { key, expected, got } = firstIssue(results.error, json),
    where = { file: path, ...(key === "" ? {} : { key }) };
  throw InputError.of("wrong_value", where, `${expected}, as results of this version of mxoss have it`, got);
}

/** Finished runs as they are, and parts with those of the same settings, in the order in which each first comes up. */
export function inRuns(found: readonly Found[]): (FoundResults | [FoundPart, ...FoundPart[]])[] {
  const divided = new Map<string, FoundPart[]>(), runs: (FoundResults | [FoundPart, ...FoundPart[]])[] = [];
  for (const one of found) {
    if (one.kind === "results") {
      runs.push(one);
      continue;
    }
    const settings = JSON.stringify(sharedPart(one.note).settings);
    const before = divided.get(settings), run: [FoundPart] = [one];
    if (before === undefined) runs.push(run);
    else before.push(one);
    divided.set(settings, before ?? run);
  }
  return runs;
}

/** Commands that are shown: more are soon no list to copy. */
const MOST_SHOWN = 10;

/** Says which commands finish the parts of a run, and gives the error that it is not finished. */
export function unfinished(
  { note: { command, task } }: { note: ShardNote },
  parts: readonly UnfinishedShard[],
): InputError {
  for (const { shard, done, places } of parts.slice(0, MOST_SHOWN)) {
    const shown = ["mxoss", "eval", ...command, "--shard", shardName(shard)].map(quoted).join(" ");
    note(`${shown}  # ${done} of ${places} done`);
  }
  const [{ shard: { of, number } }] = parts as [UnfinishedShard];
  const left = parts.reduce((sum, { done, places }) => sum + places - done, 0);
  const unit = task === "mxoss.eval.gsm8k" ? "problem" : "sequence", some = left === 1 ? unit : `${unit}s`;
  const which = parts.length === 1
    ? `is not finished (${left} ${some} left): run it with --shard ${number}/${of}`
    : `are not finished (${left} ${some} left): run them with --shard I/${of}, where I is ${rangesOf(parts)}`;
  return UsageError.saying("missing", { name: "DIR" }, `${parts.length} of ${of} parts ${which}`);
}

/** Their numbers in few words: `1-3, 7`. */
function rangesOf(parts: readonly UnfinishedShard[]): string {
  const runs = runsOf(parts.map(({ shard: { number } }) => number));
  return runs.map(([first, last]) => first === last ? `${first}` : `${first}-${last}`).join(", ");
}
