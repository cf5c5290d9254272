/**
 * The two kinds of failure that a user sees as one line on stderr.
 *
 * Anything else that escapes is a defect of the program and is reported as such by `src/cli/run.ts`.
 */
import { option, spelled, type Spelling, type Text, words } from "./words.ts";

/**
 * What kind of mistake it is; code decides by it and never by a message's words.
 *
 * - `missing`: a file, a tensor, a key or an option that must be there is not.
 * - `unreadable`: the system refuses to read or to write.
 * - `malformed`: not the format that it should have: no JSON, no UTF-8, a file that is cut short.
 * - `too_large`: more than is taken.
 * - `wrong_value`: another type, number, shape or word than is expected.
 * - `contradiction`: two facts, each right alone, that cannot both be.
 * - `unsupported`: known, and not computed here.
 * - `changed`: not as it was when it was looked at before.
 * - `occupied`: something is in the place that is to be written, or another run writes there.
 * - `uncalibrated`: static FP8 inputs without measured scales.
 * - `other`: none of these.
 */
export type MistakeCode =
  | "missing"
  | "unreadable"
  | "malformed"
  | "too_large"
  | "wrong_value"
  | "contradiction"
  | "unsupported"
  | "changed"
  | "occupied"
  | "uncalibrated"
  | "other";

/** What a mistake is about: from the file to the key in it. Messages begin with these, in this order. */
export interface Subject {
  /** An option, by its name: one that the library has, too, as it is called there. */
  readonly option?: string;
  /** What was given for the option. */
  readonly value?: string | number;
  /** A path. */
  readonly file?: string;
  /** A tensor of the file, as it may be shown. */
  readonly tensor?: string;
  /** A key of the file's JSON. */
  readonly key?: string;
  /** Anything else that has a name, for instance a linear. */
  readonly name?: Text;
}

/** A mistake as data. */
export type Mistake =
  & { readonly code: MistakeCode; readonly subject: Subject }
  & (
    | { readonly expected: Text; readonly got?: Text | number; readonly problem?: never }
    /** What is wrong, in a sentence that "expected ..., got ..." does not fit. */
    | {
      readonly problem: Text;
      readonly expected?: never;
      /** What was got, where that sentence says it. */
      readonly got?: Text | number;
    }
  );

/**
 * A mistake in the arguments, the config or the checkpoint: exit code 2.
 *
 * The message is one line that names the file, the tensor or the option, what was expected and what was got.
 *
 * @example
 * ```ts
 * import { openCheckpoint } from "@mxoss/mxoss/checkpoint";
 * import { InputError } from "@mxoss/mxoss/errors";
 * import { assert, assertThrows } from "@std/assert";
 *
 * const { message } = assertThrows(() => openCheckpoint("no/such/place"), InputError);
 * assert(message.startsWith("no/such/place: "));
 * ```
 */
export class InputError extends Error {
  /** "InputError". */
  override readonly name = "InputError";
  /** With which the program ends. */
  readonly exitCode = 2;
  /** The kind of mistake. */
  readonly code: MistakeCode;
  /** What it is about. */
  readonly subject: Subject;
  /** What would have been right; null where the line says it in other words. */
  readonly expected: string | null;
  /** What is there instead; null where the line does not say it. */
  readonly got: string | null;
  /** All of it, which can be sent to another thread. */
  readonly mistake: Mistake;

  /**
   * Makes the error and its line.
   *
   * @param mistake A text stands for a mistake of code `other` without a subject.
   * @param spelling How `message` spells options and commands.
   */
  constructor(mistake: Mistake | string, spelling?: Spelling) {
    const data: Mistake = typeof mistake === "string" ? { code: "other", subject: {}, problem: mistake } : mistake;
    super(inOneLine(lineOf(data), spelling));
    this.mistake = data;
    this.code = data.code;
    this.subject = data.subject;
    this.expected = data.expected === undefined ? null : spelled(data.expected);
    this.got = data.got === undefined ? null : spelled(words`${data.got}`);
  }

  /** A mistake that "expected ..., got ..." fits. */
  static of(code: MistakeCode, subject: Subject, expected: Text, got?: Text | number): InputError {
    return new this({ code, subject, expected, ...(got === undefined ? {} : { got }) });
  }

  /**
   * A mistake that is said in a sentence of its own, after the subject.
   *
   * @param got What was got, where the sentence says it.
   */
  static saying(code: MistakeCode, subject: Subject, problem: Text, got?: Text | number): InputError {
    return new this({ code, subject, problem, ...(got === undefined ? {} : { got }) });
  }

  /** The message with options and commands spelled in another way. */
  line(spelling?: Spelling): string {
    return inOneLine(lineOf(this.mistake), spelling);
  }

  /** The part of the message after its subject. */
  complaint(spelling?: Spelling): string {
    return inOneLine(complaintOf(this.mistake), spelling);
  }
}

/**
 * A failure of the program or of the hardware (out of memory, no such device, a worker that died): exit code 1.
 *
 * @example
 * ```ts
 * import { FailureError, InputError } from "@mxoss/mxoss/errors";
 * import { assertEquals } from "@std/assert";
 *
 * const codeOf = (thrown: InputError | FailureError) => thrown.exitCode;
 * assertEquals([codeOf(new InputError("one")), codeOf(new FailureError("two"))], [2, 1]);
 * ```
 */
export class FailureError extends Error {
  /** "FailureError". */
  override readonly name = "FailureError";
  /** With which the program ends. */
  readonly exitCode = 1;

  /**
   * Makes the error.
   *
   * @param text What failed, in one line.
   */
  constructor(readonly text: Text) {
    super(inOneLine(text));
  }

  /** The message with options and commands spelled in another way. */
  line(spelling?: Spelling): string {
    return inOneLine(this.text, spelling);
  }
}

/** A text with line breaks spelled out: folded, they would make another name of one, or another value. */
function inOneLine(text: Text, spelling?: Spelling): string {
  return spelled(text, spelling).replaceAll("\n", "\\u000a");
}

/** The one line that a mistake becomes. */
function lineOf(mistake: Mistake): Text {
  const subject = subjectText(mistake.subject);
  return words`${subject}${subject === "" ? "" : ": "}${complaintOf(mistake)}`;
}

function complaintOf({ problem, expected, got }: Mistake): Text {
  if (problem !== undefined) return problem;
  return words`expected ${expected}${got === undefined ? "" : words`, got ${got}`}`;
}

function subjectText({ option: name, value, ...subject }: Subject): Text {
  const parts: Text[] = [];
  if (name !== undefined) parts.push(value === undefined ? option(name) : words`${option(name)} ${value}`);
  if (subject.file !== undefined) parts.push(quotedBlanks(subject.file));
  if (subject.tensor !== undefined) parts.push(`tensor ${subject.tensor}`);
  if (subject.key !== undefined) parts.push(subject.key);
  if (subject.name !== undefined) parts.push(subject.name);
  return parts.reduce((text, part, i) => i === 0 ? part : words`${text}: ${part}`, "");
}

/** A path, in quotes where it is empty or begins or ends with blanks, which nobody would see. */
function quotedBlanks(path: string): string {
  return path.trim() === path && path !== "" ? path : `"${path}"`;
}

/** One line of text from anything that was thrown, with line breaks folded, for messages that quote a cause. */
export function reason(thrown: unknown): string {
  return oneLine(thrown instanceof Error ? thrown.message : String(thrown));
}

/** The same of what a system call refused, without the call and the path, which Deno adds once more. */
export function systemReason(thrown: unknown): string {
  return reason(thrown).replace(/: [a-z]+ '.*'$/, "");
}

/** A text with its line breaks folded. */
export function oneLine(text: string): string {
  // A pattern with blanks on both sides of the break would take quadratic time on many blanks.
  return text.split("\n").map((line) => line.trim()).filter((line) => line !== "").join(" ");
}

/** Characters of the longest line that says what went wrong. */
const MAX_LINE = 300;
/** Characters that are left of a word, for instance a path, before a line loses whole words. */
const MIN_WORD = 60;
/** Characters of a line that are looked at word by word. */
const MAX_WORDS = 1 << 13;

/**
 * A line that is not long, however long the names in it are: the longest words lose their middle first, so that a file
 * deep in a cache costs no tensor its name. Of what is still too long the middle is left out, as its ends say what and
 * where.
 */
export function clip(line: string): string {
  let text = line.length > MAX_WORDS ? withoutMiddle(line, MAX_WORDS, 1 / 2) : line;
  while (text.length > MAX_LINE) {
    const word = text.split(" ").reduce((longest, one) => one.length > longest.length ? one : longest);
    if (word.length <= MIN_WORD) break;
    const most = Math.max(MIN_WORD, word.length - (text.length - MAX_LINE));
    // The end of a path says more than its beginning.
    text = text.replace(word, () => withoutMiddle(word, most, 1 / 3));
  }
  return (text.length > MAX_LINE ? withoutMiddleWords(text) : text).toWellFormed();
}

/** At most so many characters, `…` among them, of which a share stands before it. */
function withoutMiddle(text: string, most: number, before: number): string {
  const head = Math.floor((most - 1) * before);
  return `${text.slice(0, head)}…${text.slice(text.length - (most - 1 - head))}`;
}

/** A line without its middle words, none of which is long. */
function withoutMiddleWords(line: string): string {
  const half = Math.floor(MAX_LINE / 2) - 2;
  return `${line.slice(0, line.lastIndexOf(" ", half))} … ${line.slice(line.indexOf(" ", line.length - half) + 1)}`;
}
