/** A conversation: what was said, and the file that keeps it. */
import { z } from "zod";
import { refuseSpecial, writeWhole } from "../../checkpoint/atomic.ts";
import { InputError } from "../../errors.ts";
import { readWhole } from "../../read.ts";
import type { Protocol } from "../../session/protocol.ts";
import type { ChatMessage, ChatRequest } from "../../text/chat.ts";
import { isoDay, noonOf } from "../../text/day.ts";
import type { ReasoningEffort } from "../../text/harmony_render.ts";
import { validate } from "../../validate.ts";
import { VERSION } from "../version.ts";

/** Largest file of a conversation that is read, in bytes. */
const MAX_FILE_BYTES = 32 << 20;

const words = z.string({ error: "a text" });
const count = z.int({ error: "an integer of at least 0" }).min(0, { error: "an integer of at least 0" });
const finite = z.number({ error: "a number" });
const EFFORTS = ["low", "medium", "high"] as const;

/** The fields of a {@linkcode Protocol}: every field of it, or a conversation could not be read again. */
const computed = {
  model: words,
  snapshot: words.optional(),
  layout: words,
  fingerprint: words,
  scheme: words,
  scale_rule: words.nullable(),
  backend: words,
  dtype: words,
  kv_cache_dtype: words,
  tp: count,
  ep: count,
} satisfies { readonly [Field in keyof Required<Protocol>]: z.ZodType<Protocol[Field]> };

/** How an answer was computed, with all that its tokens depend on. */
const AnswerProtocol = z.strictObject({
  ...computed,
  temperature: finite,
  top_k: count,
  top_p: finite,
  /** null where the likeliest token is taken. */
  seed: count.nullable(),
  /** Texts that end an answer. */
  stop: z.array(words, { error: "a list of texts" }),
});
/** How an answer was computed. */
export type AnswerProtocol = z.infer<typeof AnswerProtocol>;

const Turn = z.strictObject({
  user: words,
  assistant: words,
  /** The reasoning that led to the answer; null where there was none. */
  thinking: words.nullable(),
  /** Why it ended; `interrupted` by Ctrl-C. */
  finish_reason: z.enum(["stop", "length", "context", "interrupted"], { error: "why the answer ended" }),
  prompt_tokens: count,
  generated_tokens: count,
  protocol: AnswerProtocol,
});
/** A question and its answer. */
export type Turn = z.infer<typeof Turn>;

/** A conversation as it is kept. */
const ConversationFile = z.strictObject({
  schema: z.literal("mxoss.chat", { error: "mxoss.chat, which /save of mxoss chat writes" }),
  version: z.literal(1, { error: "1, the version that this mxoss reads" }),
  /** Version of the program that wrote it. */
  mxoss: words,
  system: words.nullable(),
  reasoning: z.enum(EFFORTS, { error: EFFORTS.join(", ") }).nullable(),
  /** The day that the model is told. */
  date: z.iso.date({ error: "a date like 2026-01-31" }),
  turns: z.array(Turn, { error: "a list of turns" }),
});

/** Questions and answers, and what the model is told beside them. */
export class Conversation {
  system: string | null = null;
  reasoning: ReasoningEffort | null = null;
  /** The day that the model is told: when the conversation began, so that the cache stays valid past midnight. */
  now: Date = new Date();
  turns: Turn[] = [];

  /** What to ask the model, with one more question. */
  request(question: string): ChatRequest {
    const messages = this.turns.flatMap(({ user, assistant, thinking }): ChatMessage[] => [
      { role: "user", content: user },
      { role: "assistant", content: assistant, ...(thinking === null ? {} : { thinking }) },
    ]);
    return {
      messages: [...messages, { role: "user", content: question }],
      ...(this.system === null ? {} : { system: this.system }),
      ...(this.reasoning === null ? {} : { reasoning: this.reasoning }),
      now: this.now,
    };
  }

  /**
   * Writes the conversation to a file, or in place of one.
   *
   * @throws {InputError} where the path cannot be written, or something else lies there.
   */
  save(path: string): void {
    refuseOther(path);
    const { system, reasoning, now, turns } = this;
    const date = isoDay(now);
    const file: z.infer<typeof ConversationFile> = {
      ...{ schema: "mxoss.chat", version: 1, mxoss: VERSION },
      ...{ system, reasoning, date, turns },
    };
    writeWhole(path, `${JSON.stringify(file, null, 2)}\n`);
  }

  /**
   * Reads a conversation that {@linkcode save} wrote.
   *
   * @param where What messages begin with, if not the path.
   * @throws {InputError} naming the file and what in it is wrong.
   */
  static load(path: string, where = path): Conversation {
    const bytes = readWhole(path, MAX_FILE_BYTES, where);
    let json: unknown;
    try {
      json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    } catch {
      throw InputError.of("malformed", { file: where }, "a conversation that /save wrote", "no JSON");
    }
    const { system, reasoning, date, turns } = validate(ConversationFile, json, where);
    const conversation = new Conversation();
    return Object.assign(conversation, { system, reasoning, now: noonOf(date)!, turns });
  }
}

/** Refuses a path where something else lies than a conversation. */
function refuseOther(path: string): void {
  if (refuseSpecial(path) === null) return;
  try {
    Conversation.load(path);
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown;
    throw InputError.of(
      "occupied",
      { file: path },
      "no file there, or a conversation that /save wrote",
      "another file",
    );
  }
}
