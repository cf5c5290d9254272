/**
 * Problems in GSM8K's form: one JSON object a line, with a `question` and an `answer` that ends in `#### ` and the
 * number.
 */
import { isJsonLines } from "../foreign.ts";
import { createHash } from "node:crypto";
import { printable, show } from "../describe.ts";
import { readWhole, utf8Text } from "../read.ts";
import { isWrittenNumber, parseWritten } from "../json_numbers.ts";
import { InputError, reason } from "../errors.ts";

/** One problem. */
export interface Problem {
  /** Number of the problem in its file, from 0; blank lines are not counted. */
  readonly index: number;
  readonly question: string;
  /** The whole answer, worked out, with the number after the last `#### `. */
  readonly answer: string;
  /** The object as the file has it, further keys included, with its numbers as they are written: see `parseWritten`. */
  readonly record: Readonly<Record<string, unknown>>;
}

/** A file of problems. */
export interface Dataset {
  /** Name of the file, without its directories. */
  readonly name: string;
  /** SHA-256 of the file, in hexadecimal. */
  readonly sha256: string;
  readonly problems: readonly Problem[];
}

/** Largest file of problems, in bytes; GSM8K's test set has 0.75 million. */
const MAX_BYTES = 32 * 1024 * 1024;
/**
 * Largest text, in bytes: tokens take 80 times as much memory while they are made. WikiText-2's test set has 1.3
 * million.
 */
const MAX_TEXT_BYTES = 4 * 1024 * 1024;
/** Most problems of a file; GSM8K's training set has 7,473. */
const MAX_PROBLEMS = 100_000;
/** Characters of the longest question or answer: beyond any model's context. */
const MAX_CHARACTERS = 1 << 20;

/**
 * Reads a file of problems.
 *
 * @param option Name of the option that names the file, for messages.
 * @throws {InputError} naming file and line where it cannot be read or a line is not a problem.
 */
export function readDataset(path: string, option: string): Dataset {
  const where = `${option}: ${path}`, bytes = readWhole(path, MAX_BYTES, where);
  const problems: Problem[] = [];
  utf8Text(bytes, where).split("\n").forEach((line, i) => {
    if (line.trim() === "") return;
    if (problems.length === MAX_PROBLEMS) {
      throw InputError.of("too_large", { file: path }, `at most ${MAX_PROBLEMS} problems`, "more");
    }
    problems.push({ ...parseProblem(line, `${path}:${i + 1}`), index: problems.length });
  });
  if (problems.length === 0) throw InputError.of("wrong_value", { file: where }, "one problem a line", "an empty file");
  return {
    name: path.split(/[/\\]/).at(-1)!,
    sha256: createHash("sha256").update(bytes).digest("hex"),
    problems,
  };
}

/**
 * Reads a text file. One of JSON objects is none: braces and keys would be measured with what they hold.
 *
 * @throws {InputError} where it cannot be read, is too large, is not UTF-8, or holds JSON by its name.
 */
export function readTextFile(path: string, option: string): TextFile {
  const where = `${option}: ${path}`;
  if (isJsonLines(path)) throw InputError.of("wrong_value", { file: where }, "a text", "JSON, an object a line");
  const bytes = readWhole(path, MAX_TEXT_BYTES, where);
  return {
    name: path.split(/[/\\]/).at(-1)!,
    sha256: createHash("sha256").update(bytes).digest("hex"),
    text: utf8Text(bytes, where),
  };
}

/** A file of text. */
export interface TextFile {
  readonly name: string;
  readonly sha256: string;
  readonly text: string;
}

function parseProblem(line: string, where: string): Omit<Problem, "index"> {
  let value: unknown;
  try {
    value = parseWritten(line);
  } catch (thrown) {
    throw InputError.of("malformed", { name: where }, `a JSON object: ${printable(reason(thrown))}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value) || isWrittenNumber(value)) {
    throw InputError.of("malformed", { name: where }, "a JSON object", show(value));
  }
  const record = value as Record<string, unknown>;
  const { question, answer } = record as { question?: unknown; answer?: unknown };
  for (const [name, field] of [["question", question], ["answer", answer]] as const) {
    if (typeof field !== "string" || field.trim() === "") {
      throw InputError.of("wrong_value", { name: `${where}: ${name}` }, "a text", show(field));
    }
    // Of half a character, which JSON can spell as an escape, a tokenizer would make U+FFFD.
    if (!field.isWellFormed()) {
      throw InputError.of("wrong_value", { name: `${where}: ${name}` }, "a text of whole characters", show(field));
    }
    if (field.length > MAX_CHARACTERS) {
      throw InputError.of(
        "too_large",
        { name: `${where}: ${name}` },
        `at most ${MAX_CHARACTERS} characters`,
        field.length,
      );
    }
  }
  if (!/#### -?[$0-9.,]+/.test(answer as string)) {
    throw InputError.of("missing", { name: `${where}: answer` }, '"#### " and a number at its end', "none");
  }
  return { question: question as string, answer: answer as string, record };
}
