/**
 * Writing to stdout and stderr: whole texts, broken pipes, dimming. Nothing else in the program writes there, and what
 * it has not written itself a terminal does not obey.
 */
import { environmentVariable } from "../environment.ts";
import * as std from "@std/fmt/colors";
import { FailureError, reason } from "../errors.ts";
import { printable, printableLine } from "../printable.ts";
import { PatientWriter, writeAll } from "./patient_writer.ts";
import { cutTo } from "./width.ts";

/** The reader of stdout went away: what it was to get is lost, which a script must not take for success. */
export class BrokenPipe extends Error {
  override readonly name = "BrokenPipe";

  constructor() {
    super("stdout: closed by its reader before all was written");
  }
}

/** Whether stderr is a terminal on which lines can be drawn over. */
export function drawsOver(): boolean {
  return Deno.stderr.isTerminal() && !dumbTerminal();
}

/** Typed here because the npm form has no declarations. */
const colours = std as unknown as { dim(text: string): string };

/**
 * Writes text to stdout, all of it. The event loop keeps turning while a slow reader makes the write wait, so Ctrl-C is
 * heard.
 *
 * @throws {BrokenPipe} when the reader has closed the pipe.
 * @throws {FailureError} when the system refuses, for instance for want of room on the disk.
 */
export function writeOut(text: string): Promise<void> {
  return writeRaw(printable(text));
}

/** Writes lines to stdout, each on one line whatever names from files it has. */
export function writeLines(lines: readonly string[]): Promise<void> {
  return writeRaw(lines.map((line) => `${printableLine(line)}\n`).join(""));
}

/** Writes a piece of a model's reply to stdout: a file or a pipe gets it as it is. */
export function writeAnswer(piece: string): Promise<void> {
  return Deno.stdout.isTerminal() ? writeOut(piece) : writeRaw(piece);
}

async function writeRaw(text: string): Promise<void> {
  // A line that is drawn over on the same terminal makes room.
  if (drawn && Deno.stdout.isTerminal()) eraseLine();
  try {
    await writeAll(Deno.stdout, text);
  } catch (thrown) {
    if (thrown instanceof Deno.errors.BrokenPipe) throw new BrokenPipe();
    throw new FailureError(`stdout: cannot be written: ${reason(thrown)}`);
  }
}

/** Writes text to stderr. */
export function writeError(text: string): void {
  writeRawError(printable(text));
}

/** Who writes to stderr where nobody is to wait for it. */
let patient: PatientWriter | null = null;

/**
 * From now on nothing waits for who reads stderr: what is written there waits, up to a megabyte of it. A server must
 * answer, and end, also where its log is a pipe that nobody reads or a terminal whose output is stopped (Ctrl-S).
 */
export function waitForNoReader(): void {
  patient ??= new PatientWriter(Deno.stderr);
}

/** How long the last lines of a program wait for who reads stderr, in milliseconds. */
const LAST_LINES_MS = 1000;

/** Before the program ends: what waits is written, where somebody reads it. */
export async function lastLines(): Promise<void> {
  await patient?.written(LAST_LINES_MS);
}

/** Writes text to stderr, control sequences included; a stderr that was closed is ignored. */
function writeRawError(text: string): void {
  if (patient !== null) return patient.write(text);
  let bytes = new TextEncoder().encode(text);
  try {
    while (bytes.length > 0) bytes = bytes.subarray(Deno.stderr.writeSync(bytes));
  } catch {
    // There is no other stream to report it on.
  }
}

/** Writes one line to stderr; a line break in it makes no second one. */
export function note(line: string): void {
  // A line that is drawn over, and what a terminal has echoed into it (^C), makes room.
  eraseLine();
  writeRawError(`${printableLine(line)}\n`);
}

/** Writes what a model says beside its answer to stderr, dim on a terminal. */
export function writeAside(piece: string): void {
  writeRawError(dim(printable(piece)));
}

/** Whether the line that stderr's terminal stands in is one that is drawn over. */
let drawn = false;

/** Draws a line over the last one on the terminal that stderr is, never wider than its window. */
export function redraw(line: string): void {
  drawn = true;
  writeRawError(`\r${cutTo(printableLine(line), lineColumns())}\u001b[K`);
}

/**
 * Columns that a line which is drawn over may take now, as the window may be resized at any time. One of the window's
 * stays free: a terminal may wrap what fills its last one, and a wrapped line cannot be drawn over.
 */
export function lineColumns(): number {
  return windowColumns() - 1;
}

/** Columns that lines on stdout may take; as many as they like where it is no terminal. */
export function outputColumns(): number {
  return Deno.stdout.isTerminal() ? windowColumns() : Infinity;
}

/** Columns of the window; 80 where the system does not say. */
function windowColumns(): number {
  try {
    return Deno.consoleSize().columns || 80;
  } catch {
    return 80;
  }
}

/** Removes that line, if it is there: what was written since is not taken for it. */
export function eraseLine(): void {
  if (!drawn) return;
  drawn = false;
  writeRawError("\r\u001b[K");
}

/** What {@linkcode dumbTerminal} has found. */
let dumb = false;

/**
 * Whether the terminal obeys no control sequences (TERM=dumb), as those of editors and logs. Asked before the
 * environment is given up, it is known afterwards; false, without a question to the user, where it may never be read.
 */
export function dumbTerminal(): boolean {
  const { state } = Deno.permissions.querySync({ name: "env", variable: "TERM" });
  try {
    if (state === "granted") dumb = environmentVariable("TERM") === "dumb";
  } catch {
    // Bytes that are no text name no terminal.
  }
  return dumb;
}

/** What an editor of lines reads from and shows them on: stderr, or stdout where only that is a terminal. */
export async function editorStreams(): Promise<{ input: NodeJS.ReadableStream; output: NodeJS.WritableStream }> {
  const { default: process } = await import("node:process");
  return { input: process.stdin, output: Deno.stderr.isTerminal() ? process.stderr : process.stdout };
}

/** Dim text, where stderr is a terminal that may be sent colours: the library leaves them out under `NO_COLOR`. */
function dim(text: string): string {
  return drawsOver() && text !== "" ? colours.dim(text) : text;
}
