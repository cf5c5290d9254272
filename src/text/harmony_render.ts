/**
 * Conversations in harmony, the message format of GPT-OSS models, for checkpoints that bring no chat template.
 *
 * A message is `<|start|>` header `<|message|>` content and an end: `<|call|>` after a call to a tool, else `<|end|>`.
 * What comes out are segments in which special tokens stand apart from text, so that nothing in a message can pose as
 * structure.
 */
import { type FunctionTool, type ToolNamespace, toolsSection } from "./harmony_tools.ts";
import type { Segment } from "./tokenizer.ts";

/** How long the model is asked to reason. */
export type ReasoningEffort = "low" | "medium" | "high";

/** What a system message says. A field that is null is left out; one that is absent has its default. */
export interface SystemContent {
  readonly identity?: string | null;
  /** Default: 2024-06. */
  readonly knowledgeCutoff?: string | null;
  /** For example 2025-06-28; default: left out. */
  readonly currentDate?: string | null;
  /** Default: medium. */
  readonly reasoning?: ReasoningEffort | null;
  /** Built-in tools; functions of the user belong into the developer message. */
  readonly tools?: readonly ToolNamespace[];
  /** Channels that the reply may use; default: analysis, commentary, final. */
  readonly channels?: readonly string[];
}

/** What a developer message says: what other formats call the system prompt, and the functions that may be called. */
export interface DeveloperContent {
  readonly instructions?: string | null;
  readonly tools?: readonly FunctionTool[];
}

/** A message of the user, the model or a tool. */
export interface TextMessage {
  readonly role: "user" | "assistant" | "tool";
  /**
   * Name of the tool (for example `functions.get_weather`), which takes the role's place; of others, shown after the
   * role.
   */
  readonly name?: string | null;
  /** Whom the message addresses: a tool in a call, `assistant` in a tool's answer. */
  readonly recipient?: string | null;
  readonly channel?: string | null;
  /** Format of the content, for example `code`; with `constrain` it was or will be enforced while sampling. */
  readonly contentType?: string | null;
  readonly constrain?: boolean;
  readonly content: string;
}

/** A message of a conversation. */
export type HarmonyMessage =
  | TextMessage
  | { readonly role: "system"; readonly content: SystemContent }
  | { readonly role: "developer"; readonly content: DeveloperContent };

/** How to render a conversation. */
export interface HarmonyOptions {
  /**
   * What the text is for. `prompt` (default) ends in `<|start|>assistant`, for the model to go on; `history` ends with
   * the last message; `training` does too, but a last message on the final channel ends in `<|return|>`.
   */
  readonly purpose?: "prompt" | "history" | "training";
  /** Keep all reasoning; default: it is dropped once its answer is history. */
  readonly keepAnalysis?: boolean;
}

const IDENTITY = "You are ChatGPT, a large language model trained by OpenAI.";
const CHANNELS = ["analysis", "commentary", "final"];

/** Renders a conversation; {@linkcode Tokenizer.encodeSegments} makes token ids of it. */
export function renderHarmony(messages: readonly HarmonyMessage[], options: HarmonyOptions = {}): Segment[] {
  const { purpose = "prompt", keepAnalysis = false } = options;
  const functions = messages.some((m) => m.role === "developer" && (m.content.tools?.length ?? 0) > 0);
  const kept = keepAnalysis ? messages : dropAnalysis(messages, purpose === "prompt");
  const out: Segment[] = [];
  kept.forEach((message, i) => {
    out.push({ special: "<|start|>" }, ...header(message), { special: "<|message|>" });
    out.push({ text: contentOf(message, functions) });
    const trained = purpose === "training" && i === kept.length - 1 && channelOf(message) === "final";
    out.push({ special: trained ? "<|return|>" : callsTool(message) ? "<|call|>" : "<|end|>" });
  });
  if (purpose === "prompt") out.push({ special: "<|start|>" }, { text: "assistant" });
  return out;
}

/** The text that segments spell, special tokens by name: for people to read, not for tokenizers. */
export function segmentsText(segments: Iterable<Segment>): string {
  let out = "";
  for (const segment of segments) out += "text" in segment ? segment.text : segment.special;
  return out;
}

/**
 * Leaves out reasoning whose answer is history: what stands on the analysis channel before a final message, unless that
 * final message is the end of the conversation itself. Reasoning that led to a tool call thus stays until the answer is
 * given.
 *
 * OpenAI's renderer (0.0.8) leaves out what stands before the first final message, and only where the last message of
 * the model is final: it keeps the reasoning of later turns, and all of it while a tool is called. Its description of
 * the format and Hugging Face's template drop that of every answered turn, as here.
 */
function dropAnalysis(messages: readonly HarmonyMessage[], goesOn: boolean): readonly HarmonyMessage[] {
  const end = goesOn ? messages.length : messages.length - 1;
  const lastFinal = messages.findLastIndex((m, i) => i < end && m.role === "assistant" && m.channel === "final");
  return messages.filter((m, i) => i > lastFinal || !("channel" in m && m.channel === "analysis"));
}

function callsTool(message: HarmonyMessage): boolean {
  return message.role === "assistant" && Boolean(message.recipient);
}

function channelOf(message: HarmonyMessage): string | null {
  return message.role === "assistant" ? message.channel ?? null : null;
}

function header(message: HarmonyMessage): Segment[] {
  if (message.role === "system" || message.role === "developer") return [{ text: message.role }];
  const { role, name, recipient, channel, contentType, constrain } = message;
  const author = !name ? role : role === "tool" ? name : `${role}:${name}`;
  // `all` is whom a message without a recipient addresses; OpenAI's renderer leaves it out.
  const out: Segment[] = [{ text: author + (recipient && recipient !== "all" ? ` to=${recipient}` : "") }];
  if (channel) out.push({ special: "<|channel|>" }, { text: channel });
  if (contentType && constrain) out.push({ text: " " }, { special: "<|constrain|>" }, { text: contentType });
  if (contentType && !constrain) out.push({ text: ` ${contentType}` });
  return out;
}

function contentOf(message: HarmonyMessage, functions: boolean): string {
  if (message.role === "system") return systemText(message.content, functions);
  if (message.role === "developer") return developerText(message.content);
  return message.content;
}

function systemText(content: SystemContent, functions: boolean): string {
  const { identity = IDENTITY, knowledgeCutoff = "2024-06", currentDate = null, reasoning = "medium", tools = [] } =
    content;
  const { channels = CHANNELS } = content;
  const top: string[] = [];
  if (identity !== null) top.push(identity);
  if (knowledgeCutoff !== null) top.push(`Knowledge cutoff: ${knowledgeCutoff}`);
  if (currentDate !== null) top.push(`Current date: ${currentDate}`);
  const sections = top.length > 0 ? [top.join("\n")] : [];
  if (reasoning) sections.push(`Reasoning: ${reasoning}`);
  if (tools.length > 0) sections.push(toolsSection(tools));
  if (channels.length > 0) {
    const calls = functions ? "\nCalls to these tools must go to the commentary channel: 'functions'." : "";
    sections.push(`# Valid channels: ${channels.join(", ")}. Channel must be included for every message.${calls}`);
  }
  return sections.join("\n\n");
}

function developerText({ instructions = null, tools = [] }: DeveloperContent): string {
  const sections: string[] = [];
  if (instructions !== null) sections.push("# Instructions", instructions);
  if (tools.length > 0) sections.push(toolsSection([{ name: "functions", tools }]));
  return sections.join("\n\n");
}
