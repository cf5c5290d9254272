/** What a request for an answer means: its prompt, and what the reply is held to. */
import { wrongField } from "../api_error.ts";
import type { ServedModel } from "../engine/service.ts";
import type { TokenMask } from "../engine/job.ts";
import type { ChatMessage } from "../../text/chat.ts";
import type { ReasoningEffort } from "../../text/harmony_render.ts";
import { tooLong } from "../text/prompt_length.ts";
import { constraintSource } from "./constraints.ts";
import { type AnswerFormat, renderConversation } from "./conversation.ts";
import type { ChatTool, ReplyFormat } from "./reply_grammar.ts";

/** Which tools may be called, whichever API says it. */
export interface Choice {
  readonly mode: "none" | "auto" | "required";
  /** Only these; null: all. */
  readonly names: readonly string[] | null;
  /** Whether the call of one tool is asked for by its name: then there is no other beside it. */
  readonly single?: boolean;
}

/** A request, whichever API it came by. */
export interface Ask {
  readonly messages: readonly ChatMessage[];
  readonly tools: readonly ChatTool[];
  /** Names of those whose input is a text. */
  readonly customs: ReadonlySet<string>;
  readonly choice: Choice;
  /** Whether several calls may be made; undefined: as the model likes. */
  readonly manyCalls: boolean | undefined;
  readonly format: ReplyFormat;
  /** What the model is told of the format. */
  readonly told: AnswerFormat | null;
  readonly reasoning: ReasoningEffort | undefined;
  /** Whether the model's own end of a reply is none. */
  readonly endless: boolean;
  /** What messages call the conversation: `messages` or `input`. */
  readonly field: string;
}

/** What is to be computed. */
export interface Plan {
  readonly prompt: Int32Array;
  /** Makes the mask of a reply; null: replies are free. */
  readonly mask: (() => TokenMask) | null;
  /** Names of tools whose input is a text. */
  readonly customs: ReadonlySet<string>;
  /** Whether the effort of reasoning that was asked for has an effect. */
  readonly takesReasoning: boolean;
}

/**
 * Plans a request.
 *
 * @throws {ApiError | InputError} if it contradicts itself, or cannot be done.
 */
export async function planReply(model: ServedModel, ask: Ask): Promise<Plan> {
  const { messages, tools, customs, choice, manyCalls, format, told, reasoning, endless, field } = ask;
  const names = namesOf(tools);
  const unknown = choice.names?.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw wrongField("tool_choice", `expected a name of tools, got ${JSON.stringify(unknown)}`);
  }
  if (choice.mode === "required" && tools.length === 0) throw wrongField("tool_choice", "expected tools beside it");
  const callable = choice.mode === "none" ? [] : tools.filter(({ name }) => choice.names?.includes(name) ?? true);
  const held = format.type !== "text" || choice.mode === "required" || callable.length < tools.length ||
    callable.some(({ strict }) => strict) || (manyCalls === false && callable.length > 0);
  if (held && endless) throw wrongField("ignore_eos", "expected no constraint of the reply beside it");
  const mask = held
    ? await constraintSource(model.tokenizer, {
      format,
      tools: callable,
      mustCall: choice.mode === "required",
      manyCalls: choice.single !== true && manyCalls !== false,
    })
    : null;
  const rendered = await renderConversation(model, { messages, tools, reasoning, format: told }, field);
  return { prompt: rendered.ids, mask, customs, takesReasoning: rendered.takesReasoning };
}

/**
 * The names of tools.
 *
 * @throws {ApiError} if one comes twice.
 */
export function namesOf(tools: readonly ChatTool[]): readonly string[] {
  const names = tools.map(({ name }) => name), twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) throw wrongField("tools", `expected each name once, got ${JSON.stringify(twice)} twice`);
  return names;
}

/** The ids that end a reply in harmony, whichever of them the checkpoint names. */
export function endsOf({ stopIds, tokenizer }: ServedModel): ReadonlySet<number> {
  const own = ["<|return|>", "<|call|>"].map((name) => tokenizer.special(name)).filter((id) => id !== undefined);
  return new Set([...stopIds, ...own]);
}

/** What a request calls its conversation, and the tokens of its reply. */
export interface RoomFields {
  readonly prompt: string;
  readonly maxTokens: string;
}

/**
 * Tokens of a reply at most: what was asked for, or as many as there is room.
 *
 * @throws {ApiError} where the conversation or what is asked for is too long.
 */
export function roomFor(
  { limits }: ServedModel,
  { length }: Int32Array,
  asked: number | undefined,
  fields: RoomFields,
): number {
  const longest = Math.min(limits.promptTokens, limits.context - 1);
  if (length > longest) {
    const most = `expected a conversation of at most ${longest} tokens, got ${length}`;
    throw tooLong(limits, fields.prompt, most);
  }
  const room = Math.min(limits.maxTokens, limits.context - length);
  if (asked !== undefined && asked > room) {
    if (room === limits.maxTokens) throw wrongField(fields.maxTokens, `expected at most ${room}, got ${asked}`);
    const left = `expected at most ${room}, what a conversation of ${length} tokens leaves, got ${asked}`;
    throw tooLong(limits, fields.maxTokens, left);
  }
  return asked ?? room;
}
