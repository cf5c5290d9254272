/**
 * What a reply looks like to the user while it is generated: the answer on stdout, the reasoning beside it on stderr.
 */
import { type HarmonyEvent, HarmonyParser } from "../text/harmony.ts";
import { type Channels, ReplyCollector } from "../text/harmony_reply.ts";
import { StreamDecoder } from "../text/stream_decoder.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { writeAnswer, writeAside } from "./terminal.ts";

/** Where a reply is shown while it is generated. */
export interface Display {
  /** Whether the answer goes to stdout as it comes. */
  readonly answer: boolean;
  /** Whether reasoning and tool calls go to stderr as they come. */
  readonly analysis: boolean;
}

/** A reply that is being generated. */
export interface Reply {
  /** Takes the next token. */
  push(id: number): Promise<void>;
  /** Takes the end of the reply; the line on the terminal is ended. */
  finish(): Promise<void>;
  /** What went, or would have gone, to stdout. */
  readonly text: string;
  /** The reply by channel; null where it was not read as harmony. */
  readonly channels: Channels | null;
}

/** A stream of pieces to one of the two outputs, which ends its last line. */
class Output {
  text = "";

  constructor(readonly shown: boolean, readonly write: (piece: string) => Promise<void> | void) {}

  async add(piece: string): Promise<void> {
    this.text += piece;
    if (this.shown && piece !== "") await this.write(piece);
  }

  /** Whether something stands on the current line. */
  get open(): boolean {
    return this.text !== "" && !this.text.endsWith("\n");
  }

  async endLine(): Promise<void> {
    if (this.shown && this.open) await this.write("\n");
  }
}

/** Escapes that a model wrote are not obeyed by the user's terminal; a file or pipe gets them as they are. */
const answerOutput = (shown: boolean) => new Output(shown, writeAnswer);

/** A chat model's reply in harmony: final answers and remarks on stdout, reasoning and tool calls on stderr. */
export class ChatReply implements Reply {
  readonly #parser: HarmonyParser;
  readonly #collector = new ReplyCollector();
  readonly #answer: Output;
  readonly #aside: Output;
  /** Where the current message goes, and whether it has begun. */
  #output: Output;
  #begun = false;

  constructor(tokenizer: Tokenizer, { answer, analysis }: Display) {
    this.#parser = new HarmonyParser(tokenizer);
    this.#answer = answerOutput(answer);
    this.#aside = new Output(analysis, writeAside);
    this.#output = this.#answer;
  }

  get text(): string {
    return this.#answer.text;
  }

  get channels(): Channels {
    return this.#collector.channels();
  }

  push(id: number): Promise<void> {
    return this.#show(this.#parser.push(id));
  }

  async finish(): Promise<void> {
    await this.#show(this.#parser.finish());
    await this.#answer.endLine();
  }

  async #show(events: readonly HarmonyEvent[]): Promise<void> {
    this.#collector.add(events);
    for (const event of events) {
      if (event.type === "start") {
        const aside = event.header.channel === "analysis" || event.header.recipient !== null;
        this.#output = aside ? this.#aside : this.#answer;
        this.#begun = false;
      } else if (event.type === "text") {
        // Messages stand on lines of their own.
        const separator = !this.#begun && this.#output === this.#answer && this.#output.open ? "\n" : "";
        this.#begun = true;
        await this.#output.add(separator + event.text);
      } else if (event.type === "end" && this.#begun && this.#output === this.#aside) {
        await this.#aside.endLine();
      }
    }
  }
}

/** A continuation as it stands, special tokens by name; the token that ended it is left out. */
export class RawReply implements Reply {
  readonly channels = null;
  readonly #decoder: StreamDecoder;
  readonly #stopIds: ReadonlySet<number>;
  readonly #answer: Output;

  constructor(tokenizer: Tokenizer, stopIds: ReadonlySet<number>, { answer }: Display) {
    this.#decoder = new StreamDecoder(tokenizer, "keep");
    this.#stopIds = stopIds;
    this.#answer = answerOutput(answer);
  }

  get text(): string {
    return this.#answer.text;
  }

  async push(id: number): Promise<void> {
    if (!this.#stopIds.has(id)) await this.#answer.add(this.#decoder.push(id));
  }

  async finish(): Promise<void> {
    await this.#answer.add(this.#decoder.flush());
    await this.#answer.endLine();
  }
}
