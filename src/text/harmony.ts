/**
 * Reads what a GPT-OSS model replies in harmony, token by token, into channels and tool calls.
 *
 * A quantized model may break the format anywhere, so nothing here throws and nothing is lost: every event says what it
 * was made of, and the `raw` texts of all events, joined, are the reply. What is read out of a broken reply:
 *
 * - `<|channel|>` or `<|start|>` inside content begins another message, as if the one before had ended (`end: "none"`).
 * - A header that cannot become one any more (see `#hopeless`), or that ends before `<|message|>`, is cut: a header as
 *   far as it goes, then content.
 * - Other special tokens inside content, and blanks between messages, become `stray` events. OpenAI's parser (0.0.8)
 *   keeps the former in the content by name, also `<|channel|>` and `<|start|>`, and refuses the latter.
 */
import { type ChannelKind, type Header, parseHeader, type Piece, splitBroken } from "./harmony_header.ts";
import { Runs, StreamDecoder, type TokenBytes } from "./stream_decoder.ts";

/**
 * How a message ended: `<|end|>`, `<|return|>`, `<|call|>`, the end of the reply (`eof`: the stream ended, or
 * `<|endoftext|>`), or the start of another message (`none`).
 */
export type MessageEnd = "end" | "return" | "call" | "eof" | "none";

/** What the parser saw; `raw` is the piece of the reply that made the event. */
export type HarmonyEvent =
  | { readonly type: "start"; readonly header: Header; readonly raw: string }
  /** Content of the message that started last. */
  | { readonly type: "text"; readonly channel: ChannelKind; readonly text: string; readonly raw: string }
  /** A special token where none belongs; it is not part of the content. */
  | { readonly type: "stray"; readonly raw: string }
  | { readonly type: "end"; readonly end: MessageEnd; readonly raw: string };

/** Longest header text that is waited for, in UTF-16 units; OpenAI's longest recipients have some 60. */
const MAX_HEADER = 256;

const ENDS: ReadonlyMap<string, MessageEnd> = new Map([
  ["<|end|>", "end"],
  ["<|return|>", "return"],
  ["<|call|>", "call"],
  ["<|endoftext|>", "eof"],
]);

/**
 * The streaming parser. It begins as after a prompt that ends in `<|start|>assistant`.
 *
 * @example
 * ```ts ignore
 * const parser = new HarmonyParser(tokenizer);
 * for (const id of ids) {
 *   for (const event of parser.push(id)) if (event.type === "text" && event.channel === "final") write(event.text);
 * }
 * parser.finish();
 * ```
 */
export class HarmonyParser {
  readonly #tokenizer: TokenBytes | null;
  readonly #decoder: StreamDecoder | null;
  #header: Piece[] = [];
  /** Header text so far, and its part since the last special token. */
  #headerLength = 0;
  #section = "";
  /** Whether the role is known without the header naming it: after the prompt, and where a message lacks its start. */
  #roleGiven = true;
  /** Whether a message was begun, so that even an empty header is one. */
  #started = true;
  /** Whether `<|start|>` is missing before the header that comes next. */
  #unstarted = false;
  #length = 0;
  /** Channel of the message whose content is being read; null: between messages, or in a header. */
  #channel: ChannelKind | null = null;

  /**
   * @param tokenizer For {@linkcode push}; a parser that is only fed by {@linkcode text} and {@linkcode special} needs
   * none.
   */
  constructor(tokenizer?: TokenBytes) {
    this.#tokenizer = tokenizer ?? null;
    this.#decoder = tokenizer ? new StreamDecoder(tokenizer, "keep") : null;
  }

  /**
   * UTF-16 units of the reply so far, special tokens by name. The `raw` texts of the events so far are as long, but for
   * a header that is not read to its end.
   */
  get length(): number {
    return this.#length;
  }

  /** Reads a token. Bytes of a character that is not whole yet are held back. */
  push(id: number): HarmonyEvent[] {
    if (this.#tokenizer === null || this.#decoder === null) {
      throw new TypeError("HarmonyParser.push() needs a tokenizer");
    }
    const name = this.#tokenizer.specialName(id);
    if (name === null) return this.text(this.#decoder.push(id));
    return [...this.text(this.#decoder.flush()), ...this.special(name)];
  }

  /** Reads a whole reply as {@linkcode push} and {@linkcode finish} do, but that text of one content is one event. */
  *read(ids: ArrayLike<number>): Generator<HarmonyEvent> {
    const tokenizer = this.#tokenizer!, runs = new Runs(tokenizer);
    for (let at = 0; at < ids.length; at++) {
      // The text of a header is looked at token by token.
      if (this.#channel === null) yield* this.push(ids[at]!);
      else {
        const { bytes, end } = runs.take(ids, at);
        if (bytes.length > 0) yield* this.text(this.#decoder!.pushBytes(bytes));
        if (end < ids.length) yield* this.push(ids[end]!);
        at = end;
      }
    }
    yield* this.finish();
  }

  /** Reads plain text; markup in it is text too. */
  text(text: string): HarmonyEvent[] {
    this.#length += text.length;
    return this.#text(text);
  }

  #text(text: string): HarmonyEvent[] {
    if (text === "") return [];
    if (this.#channel !== null) return [{ type: "text", channel: this.#channel, text, raw: text }];
    if (!this.#started && this.#header.length === 0 && text.trim() === "") return [{ type: "stray", raw: text }];
    this.#header.push({ special: false, text });
    this.#headerLength += text.length;
    this.#section += text;
    return this.#hopeless() ? this.#giveUpHeader() : [];
  }

  /** Reads a special token by name, for example `<|channel|>`. */
  special(name: string): HarmonyEvent[] {
    this.#length += name.length;
    return this.#special(name);
  }

  #special(name: string): HarmonyEvent[] {
    const end = ENDS.get(name);
    if (end !== undefined) return this.#end(end, name);
    if (name === "<|start|>") return this.#start();
    const events: HarmonyEvent[] = [];
    if (this.#channel !== null) {
      if (name !== "<|channel|>") return [{ type: "stray", raw: name }];
      events.push(this.#close("none", ""));
    }
    if (this.#header.length === 0 && !this.#started) {
      this.#started = true;
      this.#roleGiven = true;
    }
    this.#header.push({ special: true, text: name });
    this.#section = "";
    if (name === "<|message|>") events.push(this.#beginContent(false));
    return events;
  }

  /** Reads the end of the stream: what was held back comes out, and an open message ends with `eof`. */
  finish(): HarmonyEvent[] {
    const events = this.text(this.#decoder?.flush() ?? "");
    while (this.#header.length > 0) events.push(...this.#giveUpHeader());
    if (this.#channel !== null) events.push(this.#close("eof", ""));
    this.#started = false;
    return events;
  }

  #start(): HarmonyEvent[] {
    const events: HarmonyEvent[] = [];
    while (this.#header.some((piece) => piece.text !== "<|start|>")) events.push(...this.#giveUpHeader());
    if (this.#channel !== null) events.push(this.#close("none", ""));
    this.#header.push({ special: true, text: "<|start|>" });
    this.#section = "";
    this.#started = true;
    this.#unstarted = false;
    this.#roleGiven = false;
    return events;
  }

  #end(end: MessageEnd, raw: string): HarmonyEvent[] {
    const events: HarmonyEvent[] = [];
    while (this.#header.length > 0) events.push(...this.#giveUpHeader());
    if (this.#channel === null) {
      if (!this.#started) return [...events, { type: "stray", raw }];
      events.push(...this.#giveUpHeader());
    }
    events.push(this.#close(end, raw));
    return events;
  }

  #close(end: MessageEnd, raw: string): HarmonyEvent {
    this.#channel = null;
    this.#started = false;
    this.#unstarted = true;
    this.#roleGiven = false;
    return { type: "end", end, raw };
  }

  #beginContent(broken: boolean): HarmonyEvent {
    const header = parseHeader(this.#header, this.#roleGiven, broken || this.#unstarted);
    const raw = this.#header.map((piece) => piece.text).join("");
    this.#header = [];
    this.#headerLength = 0;
    this.#section = "";
    this.#channel = header.channel;
    return { type: "start", header, raw };
  }

  /**
   * Whether the pending text cannot be part of a header any more, so that waiting would only hold an answer back: it is
   * too long, it goes on after a line break, or it stands before any special token and is neither a role nor a
   * recipient.
   */
  #hopeless(): boolean {
    if (this.#headerLength > MAX_HEADER || /\S\s*\n\s*\S/.test(this.#section)) return true;
    if (this.#header.some((piece) => piece.special)) return false;
    const text = this.#section.trimStart();
    return !["to=", "assistant"].some((word) => word.startsWith(text.slice(0, word.length)));
  }

  /** Begins a message whose header never reached `<|message|>`. Its content may itself begin another header. */
  #giveUpHeader(): HarmonyEvent[] {
    const { head, content } = splitBroken(this.#header, this.#roleGiven);
    this.#header = head;
    const events = [this.#beginContent(true)];
    for (const piece of content) events.push(...(piece.special ? this.#special(piece.text) : this.#text(piece.text)));
    return events;
  }
}
