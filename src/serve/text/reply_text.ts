/** A reply's text while its tokens are chosen: characters that are whole, up to the first stop string. */
import { type SpecialMode, StreamDecoder, type TokenBytes } from "../../text/stream_decoder.ts";
import { StopStrings } from "../../text/stop_strings.ts";

/** How a reply becomes text. */
export interface ReplyTextOptions {
  /** Texts that end the reply; one that is the name of a special token does so where names are left out, too. */
  readonly stops: readonly string[];
  /** Tokens whose text is not searched for them; default 0. */
  readonly minTokens?: number | undefined;
  readonly special: SpecialMode;
  /** Ids that end the reply and are not part of its text. */
  readonly stopIds: ReadonlySet<number>;
}

/** What a token adds to the text. */
export interface TokenText {
  /** What may be shown now: less where a stop string may have begun, more where one did not come about. */
  readonly shown: string;
  /** Characters that are the token's own. */
  readonly length: number;
}

/** Characters of a text as Python counts them: code points, of which some are two units of a string here. */
export function charactersOf(text: string): number {
  return text.length - (text.match(/[\ud800-\udbff]/g)?.length ?? 0);
}

/**
 * Turns tokens into text at the moment when they are chosen, so that a stop string ends the sequence at once:
 * {@linkcode ReplyText.watch} is a job's `watch`. The texts are taken beside the tokens, by {@linkcode ReplyText.take}.
 */
export class ReplyText {
  readonly #decoder: StreamDecoder;
  readonly #stops: StopStrings;
  readonly #stopNames: ReadonlySet<string>;
  readonly #stopIds: ReadonlySet<number>;
  readonly #minTokens: number;
  #tokens = 0;
  readonly #texts: TokenText[] = [];

  constructor(readonly tokenizer: TokenBytes, { stops, special, stopIds, minTokens = 0 }: ReplyTextOptions) {
    this.#decoder = new StreamDecoder(tokenizer, special);
    this.#stops = new StopStrings(stops);
    this.#stopNames = new Set(special === "skip" ? stops : []);
    this.#stopIds = stopIds;
    this.#minTokens = minTokens;
  }

  /** The stop string that ended the reply, or null. */
  get stopString(): string | null {
    return this.#stops.found;
  }

  /** Takes a chosen token; true where the text ends with it. */
  readonly watch = (id: number): boolean => {
    const ends = this.#stopIds.has(id), own = ends ? "" : this.#decoder.push(id);
    const name = ends || this.#stopNames.size === 0 ? null : this.tokenizer.specialName(id);
    const searched = name !== null && this.#stopNames.has(name) ? own + name : own;
    const shown = ++this.#tokens > this.#minTokens ? this.#stops.push(searched) : own;
    this.#texts.push({ shown, length: charactersOf(own) });
    return this.#stops.found !== null;
  };

  /** What the next token adds; tokens are taken in the order in which they were chosen. */
  take(): TokenText {
    return this.#texts.shift()!;
  }

  /** What was held back, after the last token. */
  flush(): string {
    const last = this.#decoder.flush();
    return this.#tokens > this.#minTokens ? this.#stops.push(last) + this.#stops.flush() : last;
  }
}
