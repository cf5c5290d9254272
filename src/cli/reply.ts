/**
 * What a reply looks like to the user while it is generated: the answer on stdout, the reasoning beside it on stderr.
 */
import { type HarmonyEvent, HarmonyParser } from "../text/harmony.ts";
import { type Channels, ReplyCollector } from "../text/harmony_reply.ts";
import { StopStrings } from "../text/stop_strings.ts";
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
  /** Whether a stop string has ended the answer. */
  readonly stopped: boolean;
  /** The reply by channel, up to a stop string; null where it was not read as harmony. */
  readonly channels: Channels | null;
}

/** A stream of pieces to one of the two outputs, which ends its last line. */
class Output {
  text = "";
  /** Whether the last line was ended before the text had its end. */
  #ended = false;

  constructor(readonly shown: boolean, readonly write: (piece: string) => Promise<void> | void) {}

  async add(piece: string): Promise<void> {
    this.text += piece;
    if (!this.shown || piece === "") return;
    const left = this.#ended && piece.startsWith("\n") ? piece.slice(1) : piece;
    this.#ended = false;
    if (left !== "") await this.write(left);
  }

  /** Whether something stands on the current line. */
  get open(): boolean {
    return this.text !== "" && !this.text.endsWith("\n");
  }

  /** Ends the line that is shown; of the text it becomes a part only with what comes after. */
  async endLine(): Promise<void> {
    if (!this.shown || !this.open || this.#ended) return;
    this.#ended = true;
    await this.write("\n");
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
  readonly #stops: StopStrings;

  /** @param stops Texts that end the answer. */
  constructor(tokenizer: Tokenizer, { answer, analysis }: Display, stops: readonly string[] = []) {
    this.#stops = new StopStrings(stops);
    this.#parser = new HarmonyParser(tokenizer);
    this.#answer = answerOutput(answer);
    this.#aside = new Output(analysis, writeAside);
    this.#output = this.#answer;
  }

  get text(): string {
    return this.#answer.text;
  }

  get stopped(): boolean {
    return this.#stops.found !== null;
  }

  get channels(): Channels {
    return this.#collector.channels();
  }

  push(id: number): Promise<void> {
    return this.#show(this.#parser.push(id));
  }

  async finish(): Promise<void> {
    await this.#show(this.#parser.finish());
    if (this.#output === this.#answer) await this.#addHeld();
    await this.#answer.endLine();
  }

  async #show(events: readonly HarmonyEvent[]): Promise<void> {
    for (const event of events) {
      if (event.type === "start") {
        const aside = event.header.channel === "analysis" || event.header.recipient !== null;
        this.#output = aside ? this.#aside : this.#answer;
        this.#begun = false;
      } else if (event.type === "text") {
        await this.#addText(event, this.#output === this.#answer ? this.#stops.push(event.text) : event.text);
        continue;
      } else if (event.type === "end") {
        // What may begin a stop string does not go on in the next message.
        if (this.#output === this.#answer) await this.#addHeld();
        else if (this.#begun) await this.#aside.endLine();
      }
      this.#collector.add([event]);
    }
  }

  async #addHeld(): Promise<void> {
    const text = this.#stops.flush();
    if (text !== "") await this.#addText({ type: "text", channel: "final", text, raw: text }, text);
  }

  async #addText(event: HarmonyEvent & { type: "text" }, text: string): Promise<void> {
    if (text === "") return;
    this.#collector.add([{ ...event, text }]);
    // Messages stand on lines of their own.
    const separator = !this.#begun && this.#output === this.#answer && this.#output.open ? "\n" : "";
    // On a terminal both outputs stand in the same lines.
    if (!this.#begun && this.#output === this.#aside && this.#aside.shown) await this.#answer.endLine();
    this.#begun = true;
    await this.#output.add(separator + text);
  }
}

/** A continuation as it stands, special tokens by name; the token that ended it is left out. */
export class RawReply implements Reply {
  readonly channels = null;
  readonly #decoder: StreamDecoder;
  readonly #stopIds: ReadonlySet<number>;
  readonly #answer: Output;
  readonly #stops: StopStrings;

  /** @param stops Texts that end it. */
  constructor(tokenizer: Tokenizer, stopIds: ReadonlySet<number>, { answer }: Display, stops: readonly string[] = []) {
    this.#stops = new StopStrings(stops);
    this.#decoder = new StreamDecoder(tokenizer, "keep");
    this.#stopIds = stopIds;
    this.#answer = answerOutput(answer);
  }

  get text(): string {
    return this.#answer.text;
  }

  get stopped(): boolean {
    return this.#stops.found !== null;
  }

  async push(id: number): Promise<void> {
    if (!this.#stopIds.has(id)) await this.#answer.add(this.#stops.push(this.#decoder.push(id)));
  }

  async finish(): Promise<void> {
    await this.#answer.add(this.#stops.push(this.#decoder.flush()) + this.#stops.flush());
    await this.#answer.endLine();
  }
}
