/** Where the lines of a conversation come from: a terminal with editing and history, or a pipe. */
import { InputError } from "../../errors.ts";
import { unreadable } from "../../read.ts";
import { MAX_PROMPT_BYTES } from "../../text/prompt_bytes.ts";
import { UsageError } from "../spelling.ts";
import { editorStreams, writeError } from "../terminal.ts";

/** What {@linkcode Lines.next} gives when Ctrl-C was pressed at an empty prompt. */
export const CANCELLED: unique symbol = Symbol("cancelled");

/** Lines that somebody types, or that a script has. */
export interface Lines {
  /** The next line without its end, null after the last; `prompt` asks for it where somebody sees it. */
  next(prompt: string): Promise<string | null | typeof CANCELLED>;
  /** Does what Ctrl-C at an empty prompt does, for one that came when there was none. */
  cancel?(): void;
  /** Lets go of stdin. */
  close(): Promise<void>;
}

/** Lines that the terminal remembers. */
const HISTORY_LINES = 1000;

/** Completes a line: what may stand there, and the part of the line that it would replace. */
export type Completer = (line: string) => [candidates: string[], replaced: string];

/** Lines of a stream of bytes. */
export class PipedLines implements Lines {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
  readonly #prompted: boolean;
  #text = "";
  #ended = false;

  /** @param prompted Whether somebody types there, at a terminal that cannot edit. */
  constructor(stream: ReadableStream<Uint8Array>, prompted: boolean) {
    this.#reader = stream.getReader();
    this.#prompted = prompted;
  }

  /** @throws {InputError} where the bytes are no UTF-8, or a line has no end. */
  async next(prompt: string): Promise<string | null> {
    if (this.#prompted) writeError(prompt);
    while (true) {
      const end = this.#text.indexOf("\n");
      if (end >= 0 || (this.#ended && this.#text !== "")) {
        const line = end < 0 ? this.#text : this.#text.slice(0, end);
        this.#text = end < 0 ? "" : this.#text.slice(end + 1);
        return line.endsWith("\r") ? line.slice(0, -1) : line;
      }
      if (this.#ended) return null;
      await this.#read();
    }
  }

  async #read(): Promise<void> {
    const name = "stdin";
    try {
      const { value, done } = await this.#reader.read();
      this.#ended = done;
      this.#text += this.#decoder.decode(value, { stream: !done });
    } catch (thrown) {
      if (thrown instanceof TypeError) throw UsageError.of("malformed", { name }, "UTF-8 text", "other bytes");
      throw unreadable(name, thrown);
    }
    if (this.#text.length > MAX_PROMPT_BYTES && !this.#text.includes("\n")) {
      throw UsageError.of("too_large", { name }, `lines of at most ${MAX_PROMPT_BYTES} bytes`, "more");
    }
  }

  async close(): Promise<void> {
    await this.#reader.cancel();
  }
}

/**
 * Lines typed at a terminal, by Node's readline: cursor keys, history, completion. Between two lines it lets go of the
 * terminal, so that Ctrl-C comes as a signal while the model answers.
 */
export class TerminalLines implements Lines {
  #history: string[] = [];
  /** Lines that are read and not asked for yet. */
  readonly #ready: (string | null | typeof CANCELLED)[] = [];
  /** The beginning of a line that came with them. */
  #begun = "";
  /** Ends the line that is being read. */
  #end: ((line: typeof CANCELLED) => void) | null = null;

  /** {@linkcode TerminalLines.open} has the program's own streams. */
  constructor(
    readonly create: typeof import("node:readline").createInterface,
    readonly streams: { readonly input: NodeJS.ReadableStream; readonly output: NodeJS.WritableStream },
    readonly complete: Completer,
  ) {}

  /** Opens the terminal; what is typed is shown where stderr leads, or stdout if only that is a terminal. */
  static async open(complete: Completer): Promise<TerminalLines> {
    const { createInterface } = await import("node:readline");
    return new TerminalLines(createInterface, await editorStreams(), complete);
  }

  async next(prompt: string): Promise<string | null | typeof CANCELLED> {
    while (this.#ready.length === 0) await this.#read(prompt);
    return this.#ready.shift()!;
  }

  cancel(): void {
    if (this.#end === null) this.#ready.push(CANCELLED);
    else this.#end(CANCELLED);
  }

  /** Reads a line, and those that come with it where several are pasted at once. */
  #read(prompt: string): Promise<void> {
    return new Promise((resolve) => {
      const typed = this.create({
        ...this.streams,
        prompt,
        terminal: true,
        history: this.#history,
        historySize: HISTORY_LINES,
        removeHistoryDuplicates: true,
        completer: this.complete,
      });
      let ending = false;
      const end = (...lines: readonly (string | null | typeof CANCELLED)[]) => {
        this.#ready.push(...lines);
        if (ending) return;
        ending = true;
        // When everything is looked at that was typed until now.
        queueMicrotask(() => {
          this.#begun = typed.line;
          this.#end = null;
          typed.close();
          resolve();
        });
      };
      typed.on("history", (lines: string[]) => this.#history = lines.slice());
      typed.on("line", (line: string) => end(line));
      typed.on("SIGINT", () => {
        this.streams.output.write("\n");
        if (typed.line === "") return end(CANCELLED);
        // What was typed is dropped first. The terminal is not let go of: between two lines the next Ctrl-C would be
        // a signal, which stops nothing.
        Object.assign(typed, { line: "", cursor: 0, prevRows: 0 });
        if (!ending) typed.prompt();
      });
      // Ctrl-D.
      typed.on("close", () => ending || end(null));
      this.#end = end;
      typed.prompt();
      if (this.#begun !== "") typed.write(this.#begun);
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** What begins and ends a question of several lines. */
const QUOTES = '"""';

/**
 * The next question or command, which may be several lines long: a backslash at the end of a line (two stand for one)
 * and `"""` before and after go on in the next.
 *
 * @throws {InputError} where the input ends in the middle of it.
 */
export async function readInput(lines: Lines, prompt: string): Promise<string | null | typeof CANCELLED> {
  const first = await lines.next(prompt);
  if (typeof first !== "string") return first;
  const quoted = first.trimStart().startsWith(QUOTES);
  const parts = [quoted ? first.trimStart().slice(QUOTES.length) : first];
  while (true) {
    const last = parts.at(-1)!;
    if (quoted && last.trimEnd().endsWith(QUOTES)) {
      parts[parts.length - 1] = last.trimEnd().slice(0, -QUOTES.length);
      break;
    }
    const slashes = quoted ? 0 : /\\*$/.exec(last)![0].length;
    if (slashes === 1) parts[parts.length - 1] = last.slice(0, -1);
    else if (slashes > 1) parts[parts.length - 1] = last.slice(0, -1);
    if (!quoted && slashes !== 1) break;
    const more = await lines.next("... ");
    // The question is dropped, and not the conversation.
    if (more === CANCELLED) return "";
    if (more === null) {
      throw UsageError.of(
        "malformed",
        { name: "stdin" },
        quoted ? `${QUOTES} after the question` : "another line",
        "its end",
      );
    }
    parts.push(more);
    refuseLong(parts);
  }
  // The line breaks beside the quotes are none of the question's.
  return quoted ? parts.join("\n").replace(/^\n|\n$/g, "") : parts.join("\n");
}

function refuseLong(parts: readonly string[]): void {
  const bytes = parts.reduce((sum, { length }) => sum + length, 0);
  if (bytes > MAX_PROMPT_BYTES) {
    throw InputError.of("too_large", { name: "the question" }, `at most ${MAX_PROMPT_BYTES} bytes`, "more");
  }
}
