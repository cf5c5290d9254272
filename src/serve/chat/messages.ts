/** Messages of chat completions as the messages that chat templates know. */
import { wrongField } from "../api_error.ts";
import type { Message } from "../endpoints/chat_schema.ts";
import type { ChatMessage, ChatToolCall } from "../../text/chat.ts";
import { textOf } from "./content.ts";
import { customArguments } from "./custom_tools.ts";

/** A call with the id by which a tool's answer names it. */
export interface IdentifiedCall extends ChatToolCall {
  readonly id: string;
}

/** A message that may still have several calls. */
export type Turn =
  | Extract<ChatMessage, { role: unknown }> & { readonly role: "system" | "developer" | "user" }
  | {
    readonly role: "assistant";
    readonly content: string;
    readonly thinking: string | undefined;
    readonly calls: readonly IdentifiedCall[];
  }
  | { readonly role: "tool"; readonly content: string; readonly callId: string; readonly field: string };

/**
 * The messages of a request.
 *
 * @throws {ApiError} if a tool answers a call that nobody made.
 */
export function chatMessages(messages: readonly Message[]): ChatMessage[] {
  return joinTurns(messages.map((message, i): Turn => {
    switch (message.role) {
      case "assistant": {
        const { content, reasoning_content, reasoning, tool_calls } = message;
        return {
          role: "assistant",
          content: textOf(content),
          thinking: reasoning_content ?? reasoning ?? undefined,
          calls: (tool_calls ?? []).map((call) =>
            call.type === "custom"
              ? { id: call.id, name: call.custom.name, arguments: customArguments(call.custom.input) }
              : { id: call.id, ...call.function }
          ),
        };
      }
      case "tool":
        return {
          role: "tool",
          content: textOf(message.content),
          callId: message.tool_call_id,
          field: `messages.${i}.tool_call_id`,
        };
      default:
        return { role: message.role, content: textOf(message.content) };
    }
  }));
}

/**
 * Turns as messages with one call each, every call before its answer: templates of gpt-oss look at the first call of a
 * message, and take an answer for that of the call before it.
 *
 * @throws {ApiError} if a tool answers a call that nobody made.
 */
export function joinTurns(turns: readonly Turn[]): ChatMessage[] {
  const out: ChatMessage[] = [], names = new Map<string, string>(), taken = new Set<Turn>();
  const answer = (turn: Extract<Turn, { role: "tool" }>) => {
    const name = names.get(turn.callId);
    if (name === undefined) {
      throw wrongField(
        turn.field,
        `expected the id of a call in an earlier message, got ${JSON.stringify(turn.callId)}`,
      );
    }
    out.push({ role: "tool", name, content: turn.content });
  };
  turns.forEach((turn, i) => {
    if (taken.has(turn)) return;
    if (turn.role === "tool") return answer(turn);
    if (turn.role !== "assistant") return out.push(turn);
    const { content, thinking, calls } = turn;
    if (calls.length === 0) {
      return out.push({ role: "assistant", content, ...(thinking === undefined ? {} : { thinking }) });
    }
    const end = turns.findIndex((other, j) => j > i && other.role !== "tool");
    const answers = turns.slice(i + 1, end < 0 ? turns.length : end);
    // What is said beside a call is reasoning to templates, which take only one of the two.
    const before = [thinking, content].filter((text) => text !== undefined && text !== "").join("\n");
    calls.forEach(({ id, ...call }, k) => {
      names.set(id, call.name);
      out.push({ role: "assistant", toolCalls: [call], ...(k === 0 && before !== "" ? { thinking: before } : {}) });
      for (const other of answers) {
        if (other.role !== "tool" || other.callId !== id) continue;
        taken.add(other);
        answer(other);
      }
    });
  });
  return out;
}
