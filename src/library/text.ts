/**
 * Turns text into a checkpoint's token ids and back, and replies in harmony into channels.
 *
 * @module
 */
import { show } from "../describe.ts";
import { InputError } from "../errors.ts";
import { checkpointTokenizer, textDirectory } from "../session/tokenizer.ts";
import { ChatRenderer } from "../text/chat.ts";
import { type Channels, parseReply } from "../text/harmony_reply.ts";
import type { ReasoningEffort } from "../text/harmony_render.ts";
import { noonOf } from "../text/day.ts";
import { decode } from "../text/stream_decoder.ts";
import type { EncodeOptions } from "../text/tokenizer.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { refuseOtherThanText, refuseOtherType, refuseOtherWord, refuseUnknown, wrongKind } from "./known.ts";
import { behind } from "./opened.ts";

export type { ChannelKind } from "../text/harmony_header.ts";
export type { MessageEnd } from "../text/harmony.ts";
export type { Channels, ToolCall } from "../text/harmony_reply.ts";
export type { ReasoningEffort } from "../text/harmony_render.ts";
export type { EncodeOptions } from "../text/tokenizer.ts";

/** What a question is rendered with. */
export interface QuestionOptions {
  /** Instructions that come first. */
  readonly system?: string;
  /** How much to reason; default: the template's own. */
  readonly reasoning?: ReasoningEffort;
  /** The day that the chat template is told, as in 2026-01-31, at noon; default: the clock's day and time. */
  readonly date?: string;
}

/** A checkpoint's tokenizer and chat template. */
export interface Tokenizer {
  /**
   * Token ids of a text; none is added at the start or the end.
   *
   * @param text Any text.
   * @param options Whether special tokens that it spells out are read as such; default: no.
   * @returns Its token ids.
   * @throws {InputError} if the tokenizer's merges and vocabulary contradict each other.
   * @throws {TypeError} if `text` is no string.
   */
  encode(text: string, options?: EncodeOptions): Int32Array;
  /**
   * The text of token ids. Bytes that are no UTF-8 become U+FFFD.
   *
   * @param ids Token ids.
   * @param special Special tokens are written by name (`keep`) or left out (`skip`, default).
   * @returns Their text.
   * @throws {InputError} if an id is outside the checkpoint's vocabulary.
   * @throws {TypeError} if `ids` cannot be iterated.
   */
  decode(ids: Iterable<number>, special?: "keep" | "skip"): string;
  /**
   * Token ids of a prompt that asks the model one question, by the checkpoint's chat template, else in harmony.
   *
   * @param question What the user says.
   * @param options What comes before it.
   * @returns Token ids up to where the model's reply begins.
   * @throws {InputError} if the template refuses it, or `date` is no day of the calendar.
   * @throws {TypeError} if `question` is no string.
   */
  question(question: string, options?: QuestionOptions): Int32Array;
  /**
   * A reply in harmony, sorted by channel. Whatever breaks the format is kept as text.
   *
   * @param ids Token ids of the reply.
   * @returns Its reasoning, its answer and its tool calls.
   * @throws {InputError} if an id is outside the checkpoint's vocabulary.
   * @throws {TypeError} if `ids` cannot be iterated.
   */
  reply(ids: Iterable<number>): Channels;
}

/**
 * Opens a checkpoint's tokenizer; of a checkpoint without one, as OpenAI's own layout is, that of gpt-oss where it
 * fits.
 *
 * @param checkpoint What `openCheckpoint()` of `@mxoss/mxoss/checkpoint` returned.
 * @param onWarning Called with a line if the tokenizer is not the checkpoint's own.
 * @returns The tokenizer.
 * @throws {InputError} if there is none that can be read, or its chat template is not Jinja.
 * @throws {TypeError} if `checkpoint` is not of `openCheckpoint()`, or `onWarning` no function.
 *
 * @example
 * ```ts
 * import { openCheckpoint } from "@mxoss/mxoss/checkpoint";
 * import { openSession } from "@mxoss/mxoss/session";
 * import { openTokenizer } from "@mxoss/mxoss/text";
 * import { assertEquals } from "@std/assert";
 *
 * const checkpoint = openCheckpoint("models/tiny-gpt-oss");
 * const tokenizer = await openTokenizer(checkpoint);
 * assertEquals(tokenizer.decode(tokenizer.encode("Sam has 47 marbles.")), "Sam has 47 marbles.");
 *
 * await using session = await openSession(checkpoint, { context: 512 });
 * const ids: number[] = [];
 * const prompt = tokenizer.question("Tom has 3 apples. Tom buys 4 more. How many apples does Tom have now?");
 * for await (const id of session.generate(prompt)) ids.push(id);
 * assertEquals(tokenizer.reply(ids).final, "#### 7");
 * ```
 */
export async function openTokenizer(
  checkpoint: Checkpoint,
  onWarning?: (line: string) => void,
): Promise<Tokenizer> {
  const opened = behind(checkpoint);
  if (onWarning !== undefined && typeof onWarning !== "function") throw wrongKind("onWarning", "a function", onWarning);
  const tokenizer = await checkpointTokenizer(opened, onWarning);
  const chat = await ChatRenderer.fromDirectory(textDirectory(opened), tokenizer);
  const { vocab } = opened.config;
  const known = (ids: Iterable<number>): number[] => {
    // A generator of replies, which has to be awaited, would be an empty text.
    if (typeof ids?.[Symbol.iterator] !== "function") throw wrongKind("ids", "token ids that can be iterated", ids);
    return Array.from(ids, (id) => {
      if (Number.isInteger(id) && id >= 0 && id < vocab) return id;
      throw InputError.of("wrong_value", { name: "ids" }, `token ids from 0 to ${vocab - 1}`, show(id));
    });
  };
  return {
    encode: (text, options = {}) => {
      refuseOtherThanText("text", text);
      refuseUnknown(options, { allowSpecial: true });
      refuseOtherType("allowSpecial", "boolean", options.allowSpecial);
      return tokenizer.encode(text, options);
    },
    decode: (ids, special = "skip") => {
      refuseOtherWord("special", ["keep", "skip"], special);
      return decode(tokenizer, known(ids), special);
    },
    question: (question, options = {}) => {
      refuseOtherThanText("question", question);
      refuseUnknown(options, { system: true, reasoning: true, date: true });
      refuseOtherType("system", "string", options.system);
      refuseOtherWord("reasoning", ["low", "medium", "high"], options.reasoning);
      const { date, ...asked } = options, now = timeOf(date);
      return chat.render({ messages: [{ role: "user", content: question }], ...asked, now }).ids;
    },
    reply: (ids) => parseReply(tokenizer, known(ids)).channels(),
  };
}

/** The time that templates are told. */
function timeOf(date: string | undefined): Date {
  if (date === undefined) return new Date();
  refuseOtherType("date", "string", date);
  const noon = noonOf(date);
  if (noon !== null) return noon;
  throw InputError.of("wrong_value", { name: "date" }, "a day of the calendar, as in 2026-01-31", show(date));
}
