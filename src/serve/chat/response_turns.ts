/** Items of responses as the turns of a conversation. */
import { ApiError, wrongField } from "../api_error.ts";
import {
  type GivenItem,
  InputItem,
  type OutputItem,
  type ResponseRequest,
  type ResponseToolChoice,
} from "../endpoints/responses_schema.ts";
import { effortOf } from "./chat_ask.ts";
import { textOf } from "./content.ts";
import { customArguments } from "./custom_tools.ts";
import { joinTurns, type Turn } from "./messages.ts";
import { fullName, functionsOf } from "./namespaces.ts";
import type { Ask, Choice } from "./plan.ts";
import { newId } from "./replies.ts";
import type { KeptItem, ResponseStore } from "./response_store.ts";

/** A turn of the assistant that is being put together. */
type Assistant = Extract<Turn, { role: "assistant" }>;

/**
 * The turns of some items. Reasoning belongs to what the assistant says after it, and to nothing where it was cut
 * before that; what is said before a call, and calls one after the other, are one turn.
 */
function turnsOf(items: readonly (InputItem | OutputItem)[]): Turn[] {
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
  const other = (turn: Exclude<Turn, Assistant>) => {
    out.push(turn);
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
        assistant({ content: "", calls: [{ id: item.call_id, name: fullName(item), arguments: item.arguments }] });
        break;
      case "custom_tool_call":
        assistant({
          content: "",
          calls: [{ id: item.call_id, name: item.name, arguments: customArguments(item.input) }],
        });
        break;
      case "function_call_output":
      case "custom_tool_call_output":
        other({ role: "tool", content: textOf(item.output), callId: item.call_id, field: `input.${i}.call_id` });
        break;
      default:
        if (item.role === "assistant") assistant({ content: textOf(item.content), calls: [] });
        else other({ role: item.role, content: textOf(item.content) });
    }
  });
  return out;
}

/**
 * The items of an input, with those that it refers to in their places.
 *
 * @throws {ApiError} 404 where one is not kept.
 */
function resolved(input: readonly GivenItem[], store: ResponseStore, owner: string): (InputItem | KeptItem)[] {
  const ids = new Set(input.flatMap((item) => item.type === "item_reference" ? [item.id] : []));
  const found = store.items(ids, owner);
  return input.map((item, i) => {
    if (item.type !== "item_reference") return item;
    const kept = found.get(item.id);
    if (kept !== undefined) return kept;
    const message = `no item ${item.id} is kept; items are not, where \`store\` was false`;
    throw new ApiError(404, `input.${i}.id: ${message}`, { param: `input.${i}.id`, code: "item_not_found" });
  });
}

/** Fields that decide what is asked for. */
export type ResponseAskFields = Pick<ResponseRequest, "input"> & Partial<ResponseRequest>;

/**
 * What a request asks for.
 *
 * @param owner Who asks.
 * @returns Beside it the items of the conversation so far, without instructions.
 * @throws {ApiError} 404 where an item of a response that is referred to is not there, else 400.
 */
export function responseAsk(
  body: ResponseAskFields,
  store: ResponseStore,
  owner: string,
): { ask: Ask; items: KeptItem[] } {
  const { input, instructions, previous_response_id: previous, tools, text, reasoning } = body;
  const stored = previous == null ? null : store.get(previous, owner);
  if (stored === undefined) {
    // Of OpenAI's, by which clients know that they have to send the whole conversation.
    throw wrongField("previous_response_id", `no response ${previous} is kept`, "previous_response_not_found");
  }
  const before = stored === null ? [] : [...stored.items, ...stored.answer.output];
  const list = typeof input === "string" ? [InputItem.parse({ role: "user", content: input })] : input;
  const given = resolved(list, store, owner);
  const turns = [...turnsOf(before), ...turnsOf(given)];
  const told: Turn[] = instructions == null || instructions === "" ? [] : [{ role: "system", content: instructions }];
  const format = text?.format ?? { type: "text" as const };
  const json = format.type === "json_schema" ? format : null;
  return {
    items: [...before, ...given.map(kept)],
    ask: {
      messages: joinTurns([...told, ...turns]),
      tools: functionsOf(tools ?? []),
      customs: new Set((tools ?? []).flatMap((tool) => tool.type === "custom" ? [tool.name] : [])),
      choice: choiceOf(body.tool_choice),
      manyCalls: body.parallel_tool_calls ?? undefined,
      format: json !== null
        ? { type: "schema", schema: json.schema, where: "text.format.schema" }
        : { type: format.type === "json_object" ? "object" : "text" },
      told: json && { name: json.name, description: json.description ?? null, schema: json.schema },
      reasoning: effortOf("reasoning.effort", reasoning?.effort, body.chat_template_kwargs?.reasoning_effort),
      endless: body.ignore_eos === true,
      field: "input",
    },
  };
}

/** An item of the input as OpenAI shows it again: with an id, and contents as parts. */
function kept(item: InputItem | KeptItem): KeptItem {
  const id = typeof item.id === "string" ? item.id : newId(ID_WORDS[item.type ?? "message"]);
  if (item.type !== undefined && item.type !== "message") return { ...item, id };
  const { role, content } = item, type = role === "assistant" ? "output_text" : "input_text";
  const parts = typeof content === "string" ? [{ type, text: content }] : content;
  return { ...item, id, type: "message", content: parts } as KeptItem;
}

/** What ids begin with. */
const ID_WORDS = {
  message: "msg",
  function_call: "fc",
  function_call_output: "fco",
  custom_tool_call: "ctc",
  custom_tool_call_output: "ctco",
  reasoning: "rs",
} as const;

function choiceOf(choice: ResponseToolChoice | null | undefined): Choice {
  if (choice == null) return { mode: "auto", names: null };
  if (typeof choice === "string") return { mode: choice, names: null };
  if (choice.type !== "allowed_tools") return { mode: "required", names: [choice.name], single: true };
  return { mode: choice.mode, names: choice.tools.map(({ name }) => name) };
}
