/** What a request of chat completions asks for. */
import { wrongField } from "../api_error.ts";
import type { ChatRequest, GivenTool, NamedTool, ToolChoice } from "../endpoints/chat_schema.ts";
import type { ReasoningEffort } from "../../text/harmony_render.ts";
import { customTool } from "./custom_tools.ts";
import { chatMessages } from "./messages.ts";
import type { Ask, Choice } from "./plan.ts";
import type { ChatTool } from "./reply_grammar.ts";
import { formatOf } from "./structured_outputs.ts";

/** The fields that say it; others may be there or not. */
export type ChatAskFields = Pick<ChatRequest, "messages"> & Partial<ChatRequest>;

/**
 * Reads a request.
 *
 * @throws {ApiError} if fields contradict each other.
 */
export function chatAsk(body: ChatAskFields): Ask {
  const { messages, tools, tool_choice, parallel_tool_calls, response_format } = body;
  if (body.stream_options != null && body.stream !== true) throw wrongField("stream_options", "expected with stream");
  if ((body.top_logprobs ?? 0) > 0 && body.logprobs !== true) {
    throw wrongField("top_logprobs", "expected with logprobs");
  }
  if (body.max_tokens != null && body.max_completion_tokens != null && body.max_tokens !== body.max_completion_tokens) {
    throw wrongField("max_tokens", "expected the same as max_completion_tokens, its newer name, or none");
  }
  const json = response_format?.type === "json_schema" ? response_format.json_schema : null;
  const format = formatOf(body), schema = json?.schema ?? null, given = tools ?? [];
  return {
    messages: chatMessages(messages),
    tools: given.map((tool, i) => tool.type === "function" ? chatTool(tool.function) : customOf(tool.custom, i)),
    customs: new Set(given.flatMap((tool) => tool.type === "custom" ? [tool.custom.name] : [])),
    choice: choiceOf(tool_choice),
    manyCalls: parallel_tool_calls ?? undefined,
    format,
    told: json === null || schema === null ? null : { name: json.name, description: json.description ?? null, schema },
    reasoning: effortOf("reasoning_effort", body.reasoning_effort, body.chat_template_kwargs?.reasoning_effort),
    endless: body.ignore_eos === true,
    field: "messages",
  };
}

/**
 * The effort of a request that may say it in two places.
 *
 * @param field What the first is called.
 * @param argument What the chat template is given.
 * @throws {ApiError} if they differ.
 */
export function effortOf(
  field: string,
  effort: ReasoningEffort | null | undefined,
  argument: ReasoningEffort | null | undefined,
): ReasoningEffort | undefined {
  if (effort != null && argument != null && effort !== argument) {
    throw wrongField("chat_template_kwargs.reasoning_effort", `expected ${field}, which is ${effort}, or none`);
  }
  return effort ?? argument ?? undefined;
}

/** A tool with what is absent left out. */
export function chatTool(
  { name, description, parameters, strict }: {
    readonly name: string;
    readonly description?: string | null | undefined;
    readonly parameters?: Record<string, unknown> | null | undefined;
    readonly strict?: boolean | null | undefined;
  },
): ChatTool {
  return {
    name,
    ...(description == null ? {} : { description }),
    ...(parameters == null ? {} : { parameters }),
    strict: strict === true,
  };
}

function customOf(tool: Extract<GivenTool, { type: "custom" }>["custom"], i: number): ChatTool {
  const { format } = tool;
  return customTool(
    { ...tool, format: format?.type === "grammar" ? { type: "grammar", ...format.grammar } : format },
    `tools.${i}.custom.format.grammar`,
  );
}

function choiceOf(choice: ToolChoice | null | undefined): Choice {
  if (choice == null) return { mode: "auto", names: null };
  if (typeof choice === "string") return { mode: choice, names: null };
  if (choice.type !== "allowed_tools") return { mode: "required", names: [nameOf(choice)], single: true };
  const { mode, tools } = choice.allowed_tools;
  return { mode, names: tools.map(nameOf) };
}

function nameOf(tool: NamedTool): string {
  return tool.type === "function" ? tool.function.name : tool.custom.name;
}
