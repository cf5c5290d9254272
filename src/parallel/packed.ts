/** Messages between processes as bytes: questions as words, all else as V8 serializes it. */
import { deserialize, serialize } from "node:v8";
import type { Downward, Upward } from "./process_messages.ts";
import { isQuestion, mostWordsOf, readQuestion, writeQuestion } from "./question.ts";

/** First word of a question, which is followed by session and rank; what V8 serializes begins with a byte of 255. */
const MARK = 0x51, SESSION = 1, RANK = 2, QUESTION = 3;

/** A message as bytes. */
export function packed(message: Downward | Upward): Uint8Array<ArrayBuffer> {
  if (message.kind !== "rank" || !("message" in message) || !isQuestion(message.message)) {
    return new Uint8Array(serialize(message));
  }
  const { session, rank, message: question } = message, words = new Int32Array(QUESTION + mostWordsOf(question));
  words[0] = MARK;
  words[SESSION] = session;
  words[RANK] = rank;
  const length = QUESTION + writeQuestion(question, words.subarray(QUESTION));
  return new Uint8Array(words.buffer, 0, 4 * length);
}

/**
 * The message that bytes hold.
 *
 * @throws {Error} where they hold none.
 */
export function unpacked(bytes: Uint8Array<ArrayBuffer>): Downward | Upward {
  if (bytes[0] !== MARK) return deserialize(bytes) as Downward | Upward;
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  return {
    kind: "rank",
    session: words[SESSION]!,
    rank: words[RANK]!,
    message: readQuestion(words.subarray(QUESTION)),
  };
}
