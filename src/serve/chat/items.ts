/**
 * A reply's tokens as items while they are chosen: reasoning, messages and calls of tools, in the order in which the
 * model writes them. Chat completions and responses are two ways of writing these down.
 */
import { type HarmonyEvent, HarmonyParser } from "../../text/harmony.ts";
import { beginsHeader, type Header } from "../../text/harmony_header.ts";
import { InputReader } from "./custom_tools.ts";
import type { TokenBytes } from "../../text/stream_decoder.ts";
import { StopStrings } from "../../text/stop_strings.ts";

/** What an item is: thoughts, something said to the user, or a call. */
export type ItemKind = "reasoning" | "message" | "call";

/** A part of a reply. */
export interface Item {
  /** Its place in the reply. */
  readonly index: number;
  readonly kind: ItemKind;
  /** Of a call: the function's name; a recipient that is no function is called as the model wrote it. */
  readonly name: string | null;
  /** Whether it calls a tool whose input is a text: that is the item's text then. */
  readonly custom: boolean;
}

/** What a token did to the items. */
export type ItemEvent =
  | { readonly type: "open"; readonly item: Item }
  | { readonly type: "text"; readonly item: Item; readonly text: string }
  | { readonly type: "close"; readonly item: Item; /** Whether it came to its end. */ readonly complete: boolean };

/** A token's part of the reply. */
export interface TokenItems {
  readonly events: readonly ItemEvent[];
  /**
   * Kinds of the items that tokens belong to; null: headers, ends and other special tokens. Mostly the token's own, but
   * whether those of a header are one is known at its end, when it has those of all of them, in their order.
   */
  readonly kinds: readonly (ItemKind | null)[];
}

/** How tokens become items. */
export interface ItemOptions {
  /** Texts that end the reply where they occur in a message to the user; not in reasoning, nor in calls. */
  readonly stops: readonly string[];
  /** Tokens whose text is not searched for them; default 0. */
  readonly minTokens?: number | undefined;
  /** Ids that end the reply. Those of text are no part of it. */
  readonly stopIds: ReadonlySet<number>;
  /** Names of tools whose input is a text. */
  readonly customs?: ReadonlySet<string> | undefined;
}

/** A message of the reply. */
interface Message {
  readonly kind: ItemKind;
  readonly name: string | null;
  /** Of a call of a custom tool. */
  readonly input: InputReader | null;
  item: Item | null;
}

/**
 * Reads a reply. {@linkcode ReplyItems.watch} is a job's `watch`, so that a stop string ends the sequence at once; what
 * each token did is taken beside the tokens, by {@linkcode take}.
 */
export class ReplyItems {
  readonly #parser: HarmonyParser;
  readonly #stops: StopStrings;
  readonly #taken: TokenItems[] = [];
  /** Tokens whose kinds are not known yet: where they end in the reply, and whether they are text. */
  #unknown: { readonly end: number; readonly text: boolean }[] = [];
  #kinds: (ItemKind | null)[] = [];
  /** UTF-16 units of the reply that the parser has given back. */
  #read = 0;
  /** The message that is being read; its item is opened by its first text, a call's at once. */
  #message: Message | null = null;
  #tokens = 0;
  #items = 0;
  #calls = 0;

  constructor(readonly tokenizer: TokenBytes, readonly options: ItemOptions) {
    this.#parser = new HarmonyParser(tokenizer);
    this.#stops = new StopStrings(options.stops);
  }

  /** The stop string that ended the reply; null: none. */
  get stopString(): string | null {
    return this.#stops.found;
  }

  /** Calls so far. */
  get calls(): number {
    return this.#calls;
  }

  /** Takes a chosen token; true where the reply ends with it. */
  readonly watch = (id: number): boolean => {
    this.#tokens++;
    const special = this.tokenizer.specialName(id) !== null, ends = !special && this.options.stopIds.has(id);
    const { length } = this.#parser, read = ends ? [] : this.#parser.push(id);
    // A part of a character ends with the character, also where something whole stands before it in the token.
    const within = !special && endsWithin(this.tokenizer.bytes(id)) ? 1 : 0;
    this.#unknown.push({ end: Math.max(this.#parser.length + within, length + 1), text: !special && !ends });
    const events = this.#itemsOf(read);
    // A part of a character is as the message that it is in.
    if (this.#message !== null) this.#know(Infinity, this.#message.kind);
    this.#taken.push({ events, kinds: this.#takeKinds() });
    return ends || this.#stops.found !== null;
  };

  /** What the next token did; tokens are taken in the order in which they were chosen. */
  take(): TokenItems {
    return this.#taken.shift() ?? { events: [], kinds: [] };
  }

  /** What was held back, after the last token; but for the header of a message that was cut off in it. */
  finish(): TokenItems {
    const read = this.#parser.finish(), [first] = read;
    const cut = first?.type === "start" && beginsHeader(read.map(({ raw }) => raw).join(""));
    const events = cut ? [] : this.#itemsOf(read);
    this.#know(Infinity, null);
    return { events, kinds: this.#takeKinds() };
  }

  /**
   * The tokens up to a place of the reply that were not known are of a kind. One that goes on beyond it is not: the
   * blank after a header is often the beginning of the first word's token.
   */
  #know(end: number, kind: ItemKind | null): void {
    while (this.#unknown.length > 0 && this.#unknown[0]!.end <= end) {
      this.#kinds.push(this.#unknown.shift()!.text ? kind : null);
    }
  }

  #takeKinds(): readonly (ItemKind | null)[] {
    const kinds = this.#kinds;
    this.#kinds = [];
    return kinds;
  }

  #itemsOf(events: readonly HarmonyEvent[]): ItemEvent[] {
    const out: ItemEvent[] = [];
    for (const event of events) {
      this.#read += event.raw.length;
      this.#know(this.#read, event.type === "text" ? this.#message?.kind ?? null : null);
      if (event.type === "start") {
        const { kind, name } = kindOf(event.header), custom = kind === "call" && this.options.customs?.has(name!);
        this.#message = { kind, name, input: custom === true ? new InputReader() : null, item: null };
        if (this.#message.kind === "call") this.#open(out);
      }
      if (event.type === "text" && this.#message !== null) this.#write(event.text, out);
      if (event.type === "end" && this.#message !== null) {
        // What is held back is no stop string once the message is over.
        if (this.#message.kind === "message" && this.#stops.found === null) this.#put(this.#stops.flush(), out);
        const { item } = this.#message, complete = event.end !== "eof" && event.end !== "none";
        if (item !== null) out.push({ type: "close", item, complete: complete || this.#stops.found !== null });
        this.#message = null;
      }
    }
    return out;
  }

  #write(text: string, out: ItemEvent[]): void {
    const { kind, input } = this.#message!,
      searched = kind === "message" && this.#tokens > (this.options.minTokens ?? 0);
    this.#put(searched ? this.#stops.push(text) : input?.push(text) ?? text, out);
  }

  #put(text: string, out: ItemEvent[]): void {
    if (text !== "") out.push({ type: "text", item: this.#open(out), text });
  }

  #open(out: ItemEvent[]): Item {
    const message = this.#message!;
    if (message.item === null) {
      const { kind, name, input } = message;
      message.item = { index: this.#items++, kind, name, custom: input !== null };
      if (message.kind === "call") this.#calls++;
      out.push({ type: "open", item: message.item });
    }
    return message.item;
  }
}

/** Whether bytes of UTF-8 end within a character. */
function endsWithin(bytes: Uint8Array): boolean {
  const lead = bytes.findLastIndex((byte) => byte >> 6 !== 0b10), first = bytes[lead] ?? 0;
  const length = first < 0xc2 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 1;
  return lead >= 0 && bytes.length - lead < length;
}

function kindOf({ channel, recipient }: Header): { kind: ItemKind; name: string | null } {
  if (recipient !== null) return { kind: "call", name: recipient.replace(/^functions\./, "") };
  // What stands on no channel, or on one that nobody knows, is shown: a broken reply shall not look empty.
  return { kind: channel === "analysis" ? "reasoning" : "message", name: null };
}
