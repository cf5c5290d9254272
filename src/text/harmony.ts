/**
 * Reads what a GPT-OSS model replies in harmony, token by token, into channels and tool calls.
 *
 * A quantized model may break the format anywhere, so nothing here throws and nothing is lost: every event says what it
 * was made of, and the `raw` texts of all events, joined, are the reply. What is read out of a broken reply:
 *
 * - `<|channel|>` or `<|start|>` inside content begins another message, as if the one before had ended (`end: "none"`).
 * - A header that cannot become one any more (see `#hopeless`), or that ends before `<|message|>`, is cut: a header as
 *   far as it goes, then content.
 * - Other special tokens inside content, and blanks between messages, become `stray` events.
 */
import type { TextMessage } from "./harmony_render.ts";
import { StreamDecoder, type TokenBytes } from "./stream_decoder.ts";

/** What a channel is for: reasoning, calls and remarks, the answer, or anything that the format does not know. */
export type ChannelKind = "analysis" | "commentary" | "final" | "other";

/**
 * How a message ended: `<|end|>`, `<|return|>`, `<|call|>`, the end of the reply (`eof`: the stream ended, or
 * `<|endoftext|>`), or the start of another message (`none`).
 */
export type MessageEnd = "end" | "return" | "call" | "eof" | "none";

/** What precedes the content of a message. */
export interface Header {
  readonly channel: ChannelKind;
  /** The channel as the model wrote it; null: none. */
  readonly channelName: string | null;
  /** `assistant` unless the model wrote something else. */
  readonly role: string;
  /**
   * Whom the message addresses, for example `functions.get_weather`; null: nobody. A message with a recipient is a tool
   * call.
   */
  readonly recipient: string | null;
  /** Format of the content, for example `json` or `code`; null: none given. */
  readonly contentType: string | null;
  /** Whether the content type stood after `<|constrain|>`. */
  readonly constrain: boolean;
  /** Whether the header broke the format. */
  readonly malformed: boolean;
}

/** What the parser saw; `raw` is the piece of the reply that made the event. */
export type HarmonyEvent =
  | { readonly type: "start"; readonly header: Header; readonly raw: string }
  /** Content of the message that started last. */
  | { readonly type: "text"; readonly channel: ChannelKind; readonly text: string; readonly raw: string }
  /** A special token where none belongs; it is no content. */
  | { readonly type: "stray"; readonly raw: string }
  | { readonly type: "end"; readonly end: MessageEnd; readonly raw: string };

/** Longest header text that is waited for, in UTF-16 units; OpenAI's longest recipients have some 60. */
export const MAX_HEADER = 256;

const ENDS: ReadonlyMap<string, MessageEnd> = new Map([
  ["<|end|>", "end"],
  ["<|return|>", "return"],
  ["<|call|>", "call"],
  ["<|endoftext|>", "eof"],
]);

/** A piece of a header in the order of the reply. */
type Piece = { readonly special: boolean; readonly text: string };

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

  /** Reads a token. Bytes of a character that is not whole yet are held back. */
  push(id: number): HarmonyEvent[] {
    if (this.#tokenizer === null || this.#decoder === null) {
      throw new TypeError("HarmonyParser.push() needs a tokenizer");
    }
    const name = this.#tokenizer.specialName(id);
    if (name === null) return this.text(this.#decoder.push(id));
    return [...this.text(this.#decoder.flush()), ...this.special(name)];
  }

  /** Reads plain text; markup in it is text too. */
  text(text: string): HarmonyEvent[] {
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
    for (const piece of content) events.push(...(piece.special ? this.special(piece.text) : this.text(piece.text)));
    return events;
  }
}

/**
 * A role that the format knows or that a special token follows at once, or any before a recipient; and the recipient.
 */
const ROLE = /^\s*(?:(?:system|developer|user|assistant|tool)(?!\S)|\S+(?=\s+to=)|\S+\s*$)?\s*(?:to=\S+\s*)?/;

/**
 * Cuts a header that lacks `<|message|>` where its content seems to begin: after the name of the channel, and what
 * follows it in the way of a recipient and a constraint; without a channel, after the role and a recipient.
 */
function splitBroken(pieces: readonly Piece[], roleGiven: boolean): { head: Piece[]; content: Piece[] } {
  const head: Piece[] = [];
  // What the text after each special token may begin with and still be header.
  let pattern = roleGiven ? /^(?:\s*to=\S+\s*)?/ : /^/;
  for (let i = 0; i < pieces.length; i++) {
    const piece = pieces[i]!;
    if (piece.special) {
      head.push(piece);
      if (piece.text === "<|start|>") pattern = ROLE;
      if (piece.text === "<|channel|>") pattern = /^\s*\S+\s*(?:to=\S+\s*)?/;
      if (piece.text === "<|constrain|>") pattern = /^\s*\S+\s*/;
      continue;
    }
    // Tokens cut text anywhere: read on to the next special token.
    let text = piece.text;
    while (i + 1 < pieces.length && !pieces[i + 1]!.special) text += pieces[++i]!.text;
    const length = pattern.exec(text)?.[0].length ?? 0;
    if (length > 0) head.push({ special: false, text: text.slice(0, length) });
    if (length < text.length) {
      return { head, content: [{ special: false, text: text.slice(length) }, ...pieces.slice(i + 1)] };
    }
    pattern = /^\s*/;
  }
  return { head, content: [] };
}

/**
 * Reads a header: words of the role's part, of the channel's and of the constraint's, with the recipient in any of
 * them.
 */
function parseHeader(pieces: readonly Piece[], roleGiven: boolean, broken: boolean): Header {
  const parts = { role: "", channel: "", constrain: "" };
  let part: keyof typeof parts = "role";
  let malformed = broken;
  const seen = new Set<string>();
  for (const piece of pieces) {
    if (!piece.special) {
      parts[part] += piece.text;
      continue;
    }
    if (piece.text === "<|channel|>") {
      // Of several channels the last counts.
      part = "channel";
      parts.channel = "";
    } else if (piece.text === "<|constrain|>") {
      part = "constrain";
    } else if (piece.text !== "<|start|>" && piece.text !== "<|message|>") {
      malformed = true;
    }
    // Special tokens part words.
    parts[part] += " ";
    if (seen.has(piece.text)) malformed = true;
    seen.add(piece.text);
  }
  let recipient: string | null = null;
  const words = (text: string): string[] => {
    const rest: string[] = [];
    for (const word of text.split(/\s+/).filter(Boolean)) {
      if (!word.startsWith("to=")) rest.push(word);
      else if (recipient === null) recipient = word.slice("to=".length);
      else malformed = true;
    }
    return rest;
  };
  const roleWords = words(parts.role);
  const role = !roleGiven || roleWords[0] === "assistant" ? roleWords.shift() : "assistant";
  const [channelName = null, ...channelWords] = words(parts.channel);
  const constrainWords = words(parts.constrain);
  const types = [...constrainWords, ...channelWords, ...roleWords];
  return {
    channel: kindOf(channelName),
    channelName,
    role: role ?? "assistant",
    recipient: recipient || null,
    contentType: types[0] ?? null,
    constrain: constrainWords.length > 0,
    malformed: malformed || types.length > 1 || role === undefined || recipient === "" ||
      (seen.has("<|channel|>") && channelName === null),
  };
}

function kindOf(channel: string | null): ChannelKind {
  return channel === "analysis" || channel === "commentary" || channel === "final" ? channel : "other";
}

/** A message of the reply. */
export interface ReplyMessage extends Header {
  content: string;
  /** null while the message goes on. */
  end: MessageEnd | null;
}

/** A reply, sorted by channel. */
export interface Channels {
  /** Contents of the channel's messages that are not tool calls, joined by line breaks. */
  readonly analysis: string;
  readonly commentary: string;
  readonly final: string;
  /** Text without a channel, or on one that the format does not know. */
  readonly other: string;
  readonly toolCalls: readonly ToolCall[];
}

/** A call to a tool. */
export interface ToolCall {
  /** For example `functions.get_weather`. */
  readonly recipient: string;
  /** What the model wrote: JSON for functions, if all went well. */
  readonly arguments: string;
  readonly channel: ChannelKind;
  readonly contentType: string | null;
  /** How the message ended; only `call` means that the model finished the call. */
  readonly end: MessageEnd | null;
}

/** Collects a reply from the parser's events. */
export class ReplyCollector {
  readonly messages: ReplyMessage[] = [];

  /** Takes events in order. */
  add(events: Iterable<HarmonyEvent>): void {
    for (const event of events) {
      if (event.type === "start") this.messages.push({ ...event.header, content: "", end: null });
      // A text or an end event always follows a start event.
      if (event.type === "text") this.messages.at(-1)!.content += event.text;
      if (event.type === "end") this.messages.at(-1)!.end = event.end;
    }
  }

  /** What was said so far. */
  channels(): Channels {
    const joined = (kind: ChannelKind) =>
      this.messages.filter((m) => m.channel === kind && m.recipient === null && m.content !== "").map((m) => m.content)
        .join("\n");
    const toolCalls = this.messages.flatMap((m) =>
      m.recipient === null
        ? []
        : [{ recipient: m.recipient, arguments: m.content, channel: m.channel, contentType: m.contentType, end: m.end }]
    );
    return {
      analysis: joined("analysis"),
      commentary: joined("commentary"),
      final: joined("final"),
      other: joined("other"),
      toolCalls,
    };
  }
}

/** The messages of a reply as part of a conversation: rendered, `<|return|>` becomes `<|end|>`. */
export function toHistory(messages: readonly ReplyMessage[]): TextMessage[] {
  return messages.map(({ role, channelName, recipient, contentType, constrain, content }) => ({
    ...(role === "assistant" || role === "user" ? { role } : { role: "tool", name: role }),
    channel: channelName,
    recipient,
    contentType,
    constrain,
    content,
  }));
}

/** Reads a whole reply. */
export function parseReply(tokenizer: TokenBytes, ids: Iterable<number>): ReplyCollector {
  const parser = new HarmonyParser(tokenizer);
  const collector = new ReplyCollector();
  for (const id of ids) collector.add(parser.push(id));
  collector.add(parser.finish());
  return collector;
}
