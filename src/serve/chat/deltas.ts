/** What the items of a reply add to a message of chat completions. */
import type { AnswerCall, ChatDelta } from "../endpoints/chat_schema.ts";
import type { Item, ItemEvent } from "./items.ts";
import { newId } from "./replies.ts";

/** Writes one message, piece by piece. */
export class DeltaWriter {
  /** The item whose text came last, by kind. */
  readonly #last = new Map<string, Item>();
  readonly #calls = new Map<Item, number>();

  /** @param reasoning Whether reasoning is part of the message. */
  constructor(readonly reasoning: boolean) {}

  /** What an event adds; null: nothing. */
  write(event: ItemEvent): ChatDelta | null {
    const { item } = event;
    if (event.type === "open" && item.kind === "call") {
      const index = this.#calls.size;
      this.#calls.set(item, index);
      const name = item.name!, id = newId("call");
      return item.custom
        ? { tool_calls: [{ index, id, type: "custom", custom: { name, input: "" } }] }
        : { tool_calls: [{ index, id, type: "function", function: { name, arguments: "" } }] };
    }
    if (event.type !== "text") return null;
    if (item.kind === "call") {
      const index = this.#calls.get(item)!, { text } = event;
      return {
        tool_calls: [item.custom ? { index, custom: { input: text } } : { index, function: { arguments: text } }],
      };
    }
    const before = this.#last.get(item.kind),
      text = before === undefined || before === item ? event.text : `\n${event.text}`;
    this.#last.set(item.kind, item);
    if (item.kind === "message") return { content: text };
    return this.reasoning ? { reasoning_content: text, reasoning: text } : null;
  }
}

/** A message as a whole. */
export interface WholeMessage {
  content: string;
  reasoning: string;
  readonly calls: AnswerCall[];
}

/** Puts pieces together. */
export function collect(deltas: Iterable<ChatDelta>): WholeMessage {
  const whole: WholeMessage = { content: "", reasoning: "", calls: [] };
  for (const { content = "", reasoning = "", tool_calls = [] } of deltas) {
    whole.content += content;
    whole.reasoning += reasoning;
    for (const { index, id, function: called, custom } of tool_calls) {
      if (id !== undefined) {
        whole.calls[index] = custom === undefined
          ? { id, type: "function", function: { name: called!.name!, arguments: "" } }
          : { id, type: "custom", custom: { name: custom.name!, input: "" } };
      }
      const call = whole.calls[index]!;
      if (call.type === "custom") call.custom.input += custom!.input;
      else call.function.arguments += called!.arguments;
    }
  }
  return whole;
}
