/**
 * From messages to the token ids of a prompt: by the checkpoint's chat template, or in harmony where it brings none.
 */
import { InputError } from "../errors.ts";
import { isWrittenNumber, parseInOrder } from "../json_numbers.ts";
import type { ChatTemplate } from "./chat_template.ts";
import { templatesIn } from "./checkpoint_template.ts";
import { isoDay } from "./day.ts";
import { type HarmonyMessage, type ReasoningEffort, renderHarmony, segmentsText } from "./harmony_render.ts";
import { BROWSER, type FunctionTool, PYTHON } from "./harmony_tools.ts";
import type { Segment, Tokenizer } from "./tokenizer.ts";
import { isObject } from "../json_object.ts";

/** A call that the model made. */
export interface ChatToolCall {
  /** Name of the function, without `functions.`. */
  readonly name: string;
  /** The argument object, or the JSON text of one. */
  readonly arguments: unknown;
}

/** A message, in the shape of Hugging Face's chat templates. */
export interface ChatMessage {
  readonly role: "system" | "developer" | "user" | "assistant" | "tool";
  readonly content?: string;
  /** Of the assistant: the reasoning that led to the content or the call. */
  readonly thinking?: string;
  /** Of the assistant: the calls it made; templates of GPT-OSS look at the first. */
  readonly toolCalls?: readonly ChatToolCall[];
  /** Of a tool: which function answers, without `functions.`; default: the one called last. */
  readonly name?: string;
}

/** What to ask the model. */
export interface ChatRequest {
  readonly messages: readonly ChatMessage[];
  /** Instructions that come first, as a message of the system. */
  readonly system?: string;
  /** Default: what the template takes when it is told nothing; GPT-OSS's take medium. */
  readonly reasoning?: ReasoningEffort;
  readonly tools?: readonly FunctionTool[];
  readonly builtinTools?: readonly ("browser" | "python")[];
  /** true (default): the model is to answer; false: the conversation is complete. */
  readonly prompt?: boolean;
  /** The current date and time; default: the clock's. */
  readonly now?: Date;
}

/** A rendered conversation. */
export interface RenderedChat {
  readonly ids: Int32Array;
  /** What the ids stand for, special tokens by name. */
  readonly text: string;
}

/** Renders conversations for one checkpoint. */
export class ChatRenderer {
  /** Where the format comes from: the path of a template, or `built-in harmony`. */
  readonly source: string;
  /** Whether `reasoning` has an effect. */
  readonly takesReasoning: boolean;
  /** Whether tools and calls of them have an effect. */
  readonly takesTools: boolean;
  /** Whether the day is a part of prompts. */
  readonly writesDay: boolean;

  private constructor(
    readonly tokenizer: Tokenizer,
    readonly template: ChatTemplate | null,
    /** Used instead of `template` when there are tools. */
    readonly toolTemplate: ChatTemplate | null,
  ) {
    this.source = template?.path ?? "built-in harmony";
    this.takesReasoning = template === null || template.source.includes("reasoning_effort");
    this.writesDay = template === null ||
      [template, toolTemplate].some((one) => one?.source.includes("strftime_now") === true);
    this.takesTools = toolTemplate !== null || template === null || /\btools\b/.test(template.source);
  }

  /** What the template writes like a special token that the tokenizer has none of: the model sees letters instead. */
  get spelledOut(): string[] {
    const names = new Set([this.template, this.toolTemplate].flatMap((t) => t?.source.match(/<\|\w+\|>/g) ?? []));
    return [...names].filter((name) => this.tokenizer.encode(name, { allowSpecial: true }).length > 1);
  }

  /** Renders in harmony, whatever template a checkpoint has. */
  static builtIn(tokenizer: Tokenizer): ChatRenderer {
    return new ChatRenderer(tokenizer, null, null);
  }

  /**
   * Looks for a template in `chat_template.jinja`, then in `tokenizer_config.json`.
   *
   * @throws {InputError} if a template is there but is not Jinja.
   */
  static async fromDirectory(dir: string, tokenizer: Tokenizer): Promise<ChatRenderer> {
    const { template, toolTemplate } = await templatesIn(dir, tokenizer.config);
    return new ChatRenderer(tokenizer, template, toolTemplate);
  }

  /**
   * Renders a conversation.
   *
   * @throws {InputError} if there is no message, the template refuses the messages or renders nothing, or a tool
   *   answers that nobody called.
   */
  render(request: ChatRequest): RenderedChat {
    const segments = this.#segments(request);
    return this.#rendered(segments, this.tokenizer.encodeSegments(segments));
  }

  /** The same, letting others have their turns while a long conversation is made tokens. */
  async renderByTurns(request: ChatRequest): Promise<RenderedChat> {
    const segments = this.#segments(request);
    return this.#rendered(segments, await this.tokenizer.encodeSegmentsByTurns(segments));
  }

  #rendered(segments: readonly Segment[], ids: Int32Array): RenderedChat {
    if (ids.length === 0) throw InputError.of("wrong_value", { name: this.source }, "a prompt", "an empty text");
    return { ids, text: segmentsText(segments) };
  }

  #segments(request: ChatRequest): Segment[] {
    const { system, now = new Date() } = request;
    const messages = system === undefined
      ? request.messages
      : [{ role: "system" as const, content: system }, ...request.messages];
    if (messages.length === 0) throw InputError.of("missing", { name: "messages" }, "at least one", "none");
    const template = request.tools?.length ? this.toolTemplate ?? this.template : this.template;
    return template === null
      ? renderHarmony(harmonyMessages(messages, request, now), {
        purpose: request.prompt === false ? "training" : "prompt",
      })
      : this.#byTemplate(template, messages, request, now);
  }

  #byTemplate(template: ChatTemplate, messages: readonly ChatMessage[], request: ChatRequest, now: Date): Segment[] {
    const { reasoning, tools, builtinTools, prompt = true } = request;
    const trusted: Record<string, unknown> = { add_generation_prompt: prompt };
    for (const name of ["bos_token", "eos_token", "pad_token", "unk_token"]) {
      const token = this.tokenizer.config[name];
      // Older files wrap the token in an object.
      const text = isObject(token) ? token["content"] : token;
      if (typeof text === "string") trusted[name] = text;
    }
    if (reasoning !== undefined) trusted["reasoning_effort"] = reasoning;
    if (builtinTools?.length) trusted["builtin_tools"] = [...builtinTools];
    return template.render(this.tokenizer, {
      trusted,
      untrusted: {
        messages: messages.map(huggingFaceMessage),
        ...(tools?.length
          ? { tools: tools.map((tool) => ({ type: "function", function: { description: "", ...tool } })) }
          : {}),
      },
      now,
    });
  }
}

/** A message with the keys that templates look for; absent ones must be absent. */
function huggingFaceMessage({ role, content, thinking, toolCalls, name }: ChatMessage): Record<string, unknown> {
  const calls = toolCalls?.map((call) => ({
    type: "function",
    function: { name: call.name, arguments: argumentsOf(call) },
  }));
  return {
    role,
    // Templates join contents to texts without asking whether they are there.
    content: content ?? "",
    ...(thinking === undefined ? {} : { thinking }),
    ...(calls?.length ? { tool_calls: calls } : {}),
    ...(name === undefined ? {} : { name }),
  };
}

/**
 * Arguments as a value, in which numbers, and the order of names, stay as they were called with; a text that is not
 * JSON stays a text.
 */
function argumentsOf(call: ChatToolCall): unknown {
  if (typeof call.arguments !== "string") return call.arguments;
  try {
    return parseInOrder(call.arguments);
  } catch {
    return call.arguments;
  }
}

/**
 * The conversation in harmony's terms, as Hugging Face's GPT-OSS template has it: a system message always, system text
 * as instructions of a developer, and two line breaks after instructions without tools.
 */
function harmonyMessages(messages: readonly ChatMessage[], request: ChatRequest, now: Date): HarmonyMessage[] {
  const { reasoning = "medium", tools = [], builtinTools = [] } = request;
  const out: HarmonyMessage[] = [];
  out.push({
    role: "system",
    content: {
      currentDate: isoDay(now),
      reasoning,
      tools: [BROWSER, PYTHON].filter((tool) => builtinTools.some((name) => name === tool.name)),
    },
  });
  const instructed = messages[0]!.role === "system" || messages[0]!.role === "developer";
  if (tools.length > 0 && !instructed) out.push({ role: "developer", content: { tools } });
  let called: string | null = null;
  messages.forEach((message, i) => {
    const { role, content = "", thinking, toolCalls = [] } = message;
    switch (role) {
      case "system":
      case "developer": {
        const shown = i === 0 ? tools : [];
        if (content === "" && shown.length === 0) break;
        const instructions = content === "" ? null : shown.length > 0 ? content : `${content}\n\n`;
        out.push({ role: "developer", content: { instructions, tools: shown } });
        break;
      }
      case "user":
        out.push({ role, content });
        break;
      case "assistant":
        if (thinking !== undefined) out.push({ role, channel: "analysis", content: thinking });
        // What is said beside a call is reasoning.
        if (toolCalls.length > 0 && content !== "") out.push({ role, channel: "analysis", content });
        for (const call of toolCalls) {
          called = call.name;
          const json = spacedJson(argumentsOf(call));
          out.push({
            role,
            recipient: `functions.${called}`,
            channel: "commentary",
            contentType: "json",
            content: json,
          });
        }
        if (toolCalls.length === 0) out.push({ role, channel: "final", content });
        break;
      case "tool": {
        const name = message.name ?? called;
        if (name === null) {
          throw InputError.of(
            "missing",
            { name: `messages[${i}]` },
            "a tool call of the assistant before the answer of a tool",
            "none",
          );
        }
        const answer = { channel: "commentary", content: JSON.stringify(content) };
        out.push({ role, name: `functions.${name}`, recipient: "assistant", ...answer });
        break;
      }
    }
  });
  return out;
}

/** JSON with a blank after commas and colons, as Python writes it and as models were trained on it. */
function spacedJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(spacedJson).join(", ")}]`;
  if (isObject(value) && !isWrittenNumber(value)) {
    const entries = value instanceof Map ? [...value as Map<string, unknown>] : Object.entries(value);
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}: ${spacedJson(item)}`).join(", ")}}`;
  }
  return JSON.stringify(value) ?? "null";
}
