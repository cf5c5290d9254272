/** What the directory of a shard says about the run that it is a part of: all that the results need beside answers. */
import { z } from "zod";
import { writeWhole } from "../../checkpoint/atomic.ts";
import { sealed, unsealed } from "../../checksum.ts";
import { InputError } from "../../errors.ts";
import { printableJson } from "../../printable.ts";
import { readJson } from "../../read.ts";
import { firstIssue, tryReading } from "../../validate.ts";
import { findDifference } from "../journal.ts";
import { Bandwidth, CELL_FIELDS, decisive } from "../setting_schema.ts";

/** Version of the file; it grows when a field changes its meaning. */
const VERSION = 1;
/** Largest note that is read, in bytes: that of a matrix of thousands of settings. */
const MAX_BYTES = 16 * 1024 * 1024;

const whole = z.int().min(0);

/** The schema of shard.json. */
export const ShardNote = z.strictObject({
  schema: z.literal("mxoss.shard"),
  version: z.literal(VERSION),
  /** Version of the program. */
  mxoss: z.string(),
  /** Schema of the results. */
  task: z.string(),
  /** Protocol of all that is asked, as results have it. */
  protocol: z.unknown(),
  bandwidth: Bandwidth,
  /** Sequences on which predictions are compared; see `Amount`. */
  divergence: z.union([whole, z.strictObject({ precision: z.number() })]),
  alarm: z.number(),
  /** The matrix, in order. */
  cells: z.tuple([z.strictObject(CELL_FIELDS)], z.strictObject(CELL_FIELDS)),
  shard: z.strictObject({ number: z.int().min(1), of: z.int().min(1) }),
  /** Places of all that is asked which the shard answers: from the first to before the last. */
  places: z.strictObject({ from: whole, to: whole }),
  /** Indices at these places, as runs of neighbours: first and last of each. */
  indices: z.array(z.tuple([whole, whole])),
  /** The command line that any shard is run with, without the shard. */
  command: z.array(z.string()),
});
/** What shard.json says. */
export type ShardNote = z.infer<typeof ShardNote>;

const pathOf = (dir: string) => `${dir}/shard.json`;

/** Runs of neighbours among increasing numbers. */
export function runsOf(indices: readonly number[]): [first: number, last: number][] {
  const runs: [number, number][] = [];
  for (const index of indices) {
    const run = runs.at(-1);
    if (run !== undefined && run[1] === index - 1) run[1] = index;
    else runs.push([index, index]);
  }
  return runs;
}

/** Writes the note of a shard, whose directory is there; every attempt writes the same. */
export function writeNote(dir: string, note: ShardNote): void {
  writeWhole(pathOf(dir), `${printableJson(sealed(ShardNote.parse(note)), 1)}\n`);
}

/**
 * Reads the note of a shard; null where there is none.
 *
 * @throws {InputError} if it is no such file.
 */
export function readNote(dir: string): ShardNote | null {
  let json: unknown;
  try {
    json = unsealed(readJson(pathOf(dir), MAX_BYTES), pathOf(dir), "remove it, and run this part again");
  } catch (thrown) {
    if (thrown instanceof InputError && thrown.code === "missing") return null;
    throw thrown;
  }
  const note = tryReading(ShardNote, json);
  if (note.success) return note.data;
  const { key, expected, got } = firstIssue(note.error, json),
    where = { file: pathOf(dir), ...(key === "" ? {} : { key }) };
  throw InputError.of("wrong_value", where, `${expected}, which this version of mxoss writes`, got);
}

/** What all shards of a run say alike. */
export function sharedPart({ mxoss, task, protocol, bandwidth, divergence, alarm, cells }: ShardNote) {
  const settings = cells.map(({ key, protocol, ...rest }) => [key, { ...rest, protocol: decisive(protocol) }] as const);
  return {
    ...{ mxoss, task, protocol },
    order: settings.map(([key]) => key).join(" "),
    settings: Object.fromEntries(settings),
    ...{ bandwidth, divergence, alarm },
  };
}

/** See {@linkcode sharedPart}. */
type SharedPart = ReturnType<typeof sharedPart>;

/** The first field in which two shards are not of one run, in words; null where they are of one. */
export function otherRun(one: ShardNote, other: ShardNote): string | null {
  return differenceOf(sharedPart(one), sharedPart(other));
}

/** The same of what two shards say. */
export function differenceOf(one: Partial<SharedPart>, other: Partial<SharedPart>): string | null {
  const found = findDifference(one, other);
  return found === null ? null : `${found.field} is ${found.after}, not ${found.before}`;
}
