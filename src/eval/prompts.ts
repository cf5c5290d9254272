/** How a problem is put to the model. */
import { decode, StreamDecoder } from "../text/stream_decoder.ts";
import type { ChatMessage, ChatRenderer } from "../text/chat.ts";
import { noonOf } from "../text/day.ts";
import { parseReply } from "../text/harmony_reply.ts";
import type { ReasoningEffort } from "../text/harmony_render.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { Problem } from "./dataset.ts";

/**
 * The ways to ask.
 *
 * - `chat`: the question alone is the user's message; examples are earlier turns.
 * - `chat-lm-eval`: the same, with the message `Question: ...` and `Answer:` as lm-eval words it.
 * - `completion`: no chat; lm-eval's text is continued.
 */
export const PROMPT_FORMATS = ["chat", "chat-lm-eval", "completion"] as const;
/** One of {@linkcode PROMPT_FORMATS}. */
export type PromptFormat = (typeof PROMPT_FORMATS)[number];

/** The day that chat templates are told, so that a prompt does not change from day to day. */
export const PROMPT_DATE = "2025-08-05";

/** Texts at which lm-eval cuts a completion. */
export const STOP_TEXTS = ["Question:", "</s>", "<|im_end|>"] as const;

/** What prompts are made with. */
export interface PromptOptions {
  readonly format: PromptFormat;
  readonly tokenizer: Tokenizer;
  /** Needed by the chat formats. */
  readonly chat: ChatRenderer | null;
  readonly system?: string;
  readonly reasoning?: ReasoningEffort;
  /** Examples, in order. */
  readonly shots: readonly Problem[];
}

/** A prompt as the model sees it, and as people read it. */
export interface Prompt {
  readonly ids: Int32Array;
  readonly text: string;
}

/** What the model's tokens came to. */
export interface Reply {
  /** All of it, special tokens by name. */
  readonly text: string;
  /** The part that is scored. */
  readonly scored: string;
  /** Where that part is from: the final channel, or the whole reply because there is none. */
  readonly origin: "final" | "whole";
}

const question = ({ question }: Problem) => `Question: ${question}\nAnswer:`;

/** Makes the prompt of a problem. */
export function makePrompt(problem: Problem, options: PromptOptions): Prompt {
  const { format, tokenizer, chat, shots, system, reasoning } = options;
  if (format === "completion") {
    const examples = shots.map((shot) => `${question(shot)} ${shot.answer}\n\n`).join("");
    const text = examples + question(problem);
    return { ids: tokenizer.encode(text), text };
  }
  const ask = format === "chat" ? (p: Problem) => p.question : question;
  const messages = shots.flatMap((shot): ChatMessage[] => [
    { role: "user", content: ask(shot) },
    { role: "assistant", content: shot.answer },
  ]);
  return chat!.render({
    messages: [...messages, { role: "user", content: ask(problem) }],
    now: noonOf(PROMPT_DATE)!,
    ...(system === undefined ? {} : { system }),
    ...(reasoning === undefined ? {} : { reasoning }),
  });
}

/** Reads what the model wrote; the token that ended it is left out. */
export function readReply(ids: readonly number[], format: PromptFormat, tokenizer: Tokenizer): Reply {
  const text = decode(tokenizer, ids, "keep");
  const skipped = () => decode(tokenizer, ids, "skip");
  if (format === "completion") {
    const whole = skipped();
    const cuts = STOP_TEXTS.map((stop) => whole.indexOf(stop)).filter((at) => at >= 0);
    return { text, scored: cuts.length === 0 ? whole : whole.slice(0, Math.min(...cuts)), origin: "whole" };
  }
  const { final } = parseReply(tokenizer, ids).channels();
  return final.trim() === "" ? { text, scored: skipped(), origin: "whole" } : { text, scored: final, origin: "final" };
}

/** Watches a completion for the texts that end it. */
export class StopWatch {
  readonly #decoder: StreamDecoder;
  #tail = "";

  constructor(tokenizer: Tokenizer) {
    this.#decoder = new StreamDecoder(tokenizer, "skip");
  }

  /** Takes the next token; true once one of {@linkcode STOP_TEXTS} stands in the text. */
  push(id: number): boolean {
    const longest = Math.max(...STOP_TEXTS.map((stop) => stop.length));
    this.#tail = this.#tail.slice(-longest) + this.#decoder.push(id);
    return STOP_TEXTS.some((stop) => this.#tail.includes(stop));
  }
}

/** Length of the beginning that all sequences share, leaving at least one token of each. */
export function commonPrefix(sequences: readonly Int32Array[]): number {
  const first = sequences[0];
  if (first === undefined) return 0;
  let length = Math.min(...sequences.map((s) => s.length - 1));
  for (const other of sequences) {
    for (let i = 0; i < length; i++) {
      if (other[i] !== first[i]) {
        length = i;
        break;
      }
    }
  }
  return length;
}
