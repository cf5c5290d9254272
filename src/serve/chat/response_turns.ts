/** Items of responses as the turns of a conversation. */
import { ApiError } from "../api_error.ts";
import type { InputItem, OutputItem, ResponseRequest, ResponseToolChoice } from "../endpoints/responses_schema.ts";
import { chatTool } from "./chat_ask.ts";
import { textOf } from "./content.ts";
import { joinTurns, type Turn } from "./messages.ts";
import type { Ask, Choice } from "./plan.ts";
import type { ResponseStore } from "./response_store.ts";

/** A turn of the assistant that is being put together. */
type Assistant = Extract<Turn, { role: "assistant" }>;

/**
 * The turns of some items. Reasoning belongs to what comes after it; what is said before a call, and calls one after
 * the other, are one turn.
 */
export function turnsOf(items: readonly (InputItem | OutputItem)[]): Turn[] {
  const out: Turn[] = [];
  let thinking: string | undefined;
  const assistant = (turn: Pick<Assistant, "content" | "calls">) => {
    const last = out.at(-1);
    if (turn.calls.length > 0 && last?.role === "assistant" && thinking === undefined) {
      out[out.length - 1] = { ...last, calls: [...last.calls, ...turn.calls] };
      return;
    }
    out.push({ role: "assistant", ...turn, thinking });
    thinking = undefined;
  };
  items.forEach((item, i) => {
    switch (item.type) {
      case "reasoning": {
        const texts = item.content?.length ? item.content : item.summary ?? [];
        const text = (texts as readonly { text: string }[]).map((part) => part.text).join("\n");
        if (text !== "") thinking = thinking === undefined ? text : `${thinking}\n${text}`;
        break;
      }
      case "function_call":
        assistant({ content: "", calls: [{ id: item.call_id, name: item.name, arguments: item.arguments }] });
        break;
      case "function_call_output":
        out.push({ role: "tool", content: textOf(item.output), callId: item.call_id, field: `input.${i}.call_id` });
        break;
      default:
        if (item.role === "assistant") assistant({ content: textOf(item.content), calls: [] });
        else out.push({ role: item.role, content: textOf(item.content) });
    }
  });
  return out;
}

/**
 * What a request asks for.
 *
 * @returns Beside it the turns of the conversation so far, without instructions.
 * @throws {ApiError} 404 where the response to continue is not there, else 400.
 */
export function responseAsk(body: ResponseRequest, store: ResponseStore): { ask: Ask; turns: Turn[] } {
  const { input, instructions, previous_response_id: previous, tools, text, reasoning } = body;
  const before = previous == null ? { turns: [] } : store.get(previous);
  if (before === undefined) {
    throw new ApiError(404, `previous_response_id: no response ${previous} is kept`, { param: "previous_response_id" });
  }
  const given: Turn[] = typeof input === "string" ? [{ role: "user", content: input }] : turnsOf(input);
  const turns = [...before.turns, ...given];
  const told: Turn[] = instructions == null || instructions === "" ? [] : [{ role: "system", content: instructions }];
  const format = text?.format ?? { type: "text" as const };
  const json = format.type === "json_schema" ? format : null;
  return {
    turns,
    ask: {
      messages: joinTurns([...told, ...turns]),
      tools: (tools ?? []).map(chatTool),
      choice: choiceOf(body.tool_choice),
      manyCalls: body.parallel_tool_calls ?? undefined,
      format: json !== null
        ? { type: "schema", schema: json.schema, where: "text.format.schema" }
        : { type: format.type === "json_object" ? "object" : "text" },
      told: json && { name: json.name, description: json.description ?? null, schema: json.schema },
      reasoning: reasoning?.effort ?? undefined,
      endless: body.ignore_eos === true,
      field: "input",
    },
  };
}

function choiceOf(choice: ResponseToolChoice | null | undefined): Choice {
  if (choice == null) return { mode: "auto", names: null };
  if (typeof choice === "string") return { mode: choice, names: null };
  if (choice.type === "function") return { mode: "required", names: [choice.name], single: true };
  return { mode: choice.mode, names: choice.tools.map(({ name }) => name) };
}
