/**
 * The header of a harmony message: role, channel, recipient and content type, read from the text and special tokens
 * before `<|message|>`.
 */

/** What a channel is for: reasoning, calls and remarks, the answer, or anything that the format does not know. */
export type ChannelKind = "analysis" | "commentary" | "final" | "other";

/** What precedes the content of a message. */
export interface Header {
  readonly channel: ChannelKind;
  /** The channel as the model wrote it; null: none. */
  readonly channelName: string | null;
  /** `assistant` unless the model wrote something else. */
  readonly role: string;
  /**
   * Recipient of the message, for example `functions.get_weather`; null where there is none. A message with a
   * recipient is a tool call.
   */
  readonly recipient: string | null;
  /** Format of the content, for example `json` or `code`; null: none given. */
  readonly contentType: string | null;
  /** Whether the content type stood after `<|constrain|>`. */
  readonly constrain: boolean;
  /**
   * Whether the header broke the format; so does every header that OpenAI's parser (0.0.8) refuses. It refuses replies
   * with anything between messages, too, which says nothing of their headers here.
   */
  readonly malformed: boolean;
}

/** A piece of a header in the order of the reply. */
export type Piece = { readonly special: boolean; readonly text: string };

/**
 * A role that the format knows or that a special token follows at once, or any before a recipient; and the recipient.
 */
const ROLE = /^\s*(?:(?:system|developer|user|assistant|tool)(?!\S)|\S+(?=\s+to=)|\S+\s*$)?\s*(?:to=\S+\s*)?/;

const ROLES: ReadonlySet<string> = new Set(["system", "developer", "user", "assistant", "tool"]);

/**
 * Cuts a header that lacks `<|message|>` where its content seems to begin: after the name of the channel, and what
 * follows it in the way of a recipient and a constraint; without a channel, after the role and a recipient.
 */
export function splitBroken(pieces: readonly Piece[], roleGiven: boolean): { head: Piece[]; content: Piece[] } {
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

/** What parts no words for OpenAI's parser, or ends a channel's name, or was no character. */
const ODD = /[^\S \t\n\f\r]|[\u0085<\ufffd]/;

/** Beginnings of a word, the empty one too. */
const beginningOf = (word: string): string => [...word].reduceRight((rest, letter) => `(?:${letter}${rest})?`, "");
const TO = "(?:\\s*t(?:o(?:=[^\\s<]*)?)?)?", TYPE = `\\s+(?:${beginningOf("json")}|${beginningOf("code")})`;
const HEADER = new RegExp(
  `^(?:<\\|start\\|>\\s*${beginningOf("assistant")})?${TO}\\s*` +
    `(?:<\\|channel\\|>[^\\s<]*${TO}(?:\\s*<\\|constrain\\|>[^\\s<]*${TO}|${TYPE})?\\s*)?$`,
);

/** Whether a text without `<|message|>` may be the beginning of an assistant's header, special tokens by name. */
export function beginsHeader(text: string): boolean {
  return HEADER.test(text);
}

/**
 * Reads a header: words of the role's part, of the channel's and of the constraint's, with the recipient in any of
 * them.
 *
 * A recipient is what stands after `to=`. OpenAI's parser (0.0.8) also takes a single word after the channel for one,
 * so that `<|channel|>final <|constrain|>json` there addresses `<|constrain|>json` and has no content type.
 */
export function parseHeader(pieces: readonly Piece[], roleGiven: boolean, broken: boolean): Header {
  const parts = { role: "", channel: "", constrain: "" };
  let part: keyof typeof parts = "role";
  let malformed = broken;
  const seen = new Set<string>();
  for (const piece of pieces) {
    if (!piece.special) {
      if (ODD.test(piece.text)) malformed = true;
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
  // A name follows at once.
  for (const name of ["channel", "constrain"] as const) {
    if (seen.has(`<|${name}|>`) && !/^ \S/.test(parts[name])) malformed = true;
  }
  let recipient: string | null = null, typed = false;
  /** @param named Whether the first word is a name; others are types, after which no recipient may stand. */
  const words = (text: string, named: (word: string) => boolean): string[] => {
    const rest: string[] = [];
    for (const word of text.split(/\s+/).filter(Boolean)) {
      if (!word.startsWith("to=")) {
        if (rest.length > 0 || !named(word)) typed = true;
        rest.push(word);
        continue;
      }
      if (recipient !== null || typed) malformed = true;
      recipient ??= word.slice("to=".length);
    }
    return rest;
  };
  const roleWords = words(parts.role, (word) => !roleGiven || word === "assistant");
  const role = !roleGiven || roleWords[0] === "assistant" ? roleWords.shift() : "assistant";
  let channelWords: string[] = [], constrainWords: string[] = [];
  for (const name of seen) {
    if (name === "<|channel|>") channelWords = words(parts.channel, () => true);
    else if (name === "<|constrain|>") {
      typed = true;
      constrainWords = words(parts.constrain, () => false);
    }
  }
  const [channelName = null, ...otherWords] = channelWords, types = [...constrainWords, ...otherWords, ...roleWords];
  // Another name is a tool's, whose answer is for somebody.
  const unknown = role !== undefined && !ROLES.has(role) && recipient === null && types.length === 0;
  return {
    channel: kindOf(channelName),
    channelName,
    role: role ?? "assistant",
    recipient: recipient || null,
    contentType: types[0] ?? null,
    constrain: constrainWords.length > 0,
    malformed: malformed || types.length > 1 || role === undefined || unknown || recipient === "" ||
      (seen.has("<|channel|>") && channelName === null),
  };
}

function kindOf(channel: string | null): ChannelKind {
  return channel === "analysis" || channel === "commentary" || channel === "final" ? channel : "other";
}
