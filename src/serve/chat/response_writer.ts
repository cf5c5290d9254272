/** Writes a reply as the items of a response, and as the events by which clients follow it. */
import type { OutputItem } from "../endpoints/responses_schema.ts";
import type { ChatLogProbs } from "../endpoints/chat_schema.ts";
import type { Item, ItemEvent } from "./items.ts";
import type { CalledFunction } from "./namespaces.ts";
import { newId } from "./replies.ts";

/** An event without its number. */
export interface ResponseEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** Log probabilities of some tokens. */
type Scores = ChatLogProbs["content"];

/** One response's output, which grows with the events of its reply. */
export class ResponseWriter {
  readonly output: OutputItem[] = [];
  readonly #scores: Scores = [];

  /** @param namespaces Functions that have a namespace, by the name that the model knows. */
  constructor(readonly namespaces: ReadonlyMap<string, CalledFunction> = new Map()) {}

  /** Takes an event of the reply; returns the events that clients get. */
  write(event: ItemEvent): ResponseEvent[] {
    const { item } = event;
    switch (event.type) {
      case "open":
        return this.#open(item);
      case "text":
        return [this.#add(item.index, event.text)];
      case "close":
        return this.#close(item, event.complete);
    }
  }

  /** Takes scores of the tokens of the text that comes next. */
  score(scores: Scores): void {
    this.#scores.push(...scores);
  }

  /** Closes the items that are still open, as incomplete ones. */
  end(): ResponseEvent[] {
    return this.output.flatMap((item, index) => item.status === "in_progress" ? this.#done(index, "incomplete") : []);
  }

  #open({ index, kind, name, custom }: Item): ResponseEvent[] {
    const status = "in_progress" as const;
    const item: OutputItem = kind === "reasoning"
      ? { id: newId("rs"), type: "reasoning", status, summary: [], content: [] }
      : kind === "message"
      ? { id: newId("msg"), type: "message", status, role: "assistant", content: [] }
      : custom
      ? { id: newId("ctc"), type: "custom_tool_call", status, call_id: newId("call"), name: name!, input: "" }
      : {
        id: newId("fc"),
        type: "function_call",
        status,
        call_id: newId("call"),
        ...this.#called(name!),
        arguments: "",
      };
    this.output[index] = item;
    const added = { type: "response.output_item.added", output_index: index, item: structuredClone(item) };
    if (item.type === "function_call" || item.type === "custom_tool_call") return [added];
    if (item.type === "reasoning") item.content.push({ type: "reasoning_text", text: "" });
    if (item.type === "message") item.content.push({ type: "output_text", text: "", annotations: [], logprobs: [] });
    const part = structuredClone(item.content[0]);
    return [added, { type: "response.content_part.added", ...at(item, index), content_index: 0, part }];
  }

  /** A function as the client named it. */
  #called(full: string): { name: string; namespace?: string } {
    const { name, namespace } = this.namespaces.get(full) ?? { name: full };
    return namespace == null ? { name } : { name, namespace };
  }

  #add(index: number, text: string): ResponseEvent {
    const item = this.output[index]!;
    if (item.type === "function_call") {
      item.arguments += text;
      return { type: "response.function_call_arguments.delta", ...at(item, index), delta: text };
    }
    if (item.type === "custom_tool_call") {
      item.input += text;
      return { type: "response.custom_tool_call_input.delta", ...at(item, index), delta: text };
    }
    item.content[0]!.text += text;
    if (item.type === "reasoning") {
      return { type: "response.reasoning_text.delta", ...at(item, index), content_index: 0, delta: text };
    }
    const logprobs = this.#scores.splice(0);
    item.content[0]!.logprobs.push(...logprobs);
    return { type: "response.output_text.delta", ...at(item, index), content_index: 0, delta: text, logprobs };
  }

  #close({ index }: Item, complete: boolean): ResponseEvent[] {
    return this.#done(index, complete ? "completed" : "incomplete");
  }

  #done(index: number, status: "completed" | "incomplete"): ResponseEvent[] {
    const item = this.output[index]!;
    // Tokens whose text is not shown, as a stop string's, have scores that no text brought along.
    const late = item.type === "message" && this.#scores.length > 0 ? [this.#add(index, "")] : [];
    item.status = status;
    const done = { type: "response.output_item.done", output_index: index, item: structuredClone(item) };
    if (item.type === "function_call") {
      const { name, arguments: text } = item;
      return [
        { type: "response.function_call_arguments.done", ...at(item, index), name, arguments: text },
        done,
      ];
    }
    if (item.type === "custom_tool_call") {
      return [{ type: "response.custom_tool_call_input.done", ...at(item, index), input: item.input }, done];
    }
    const part = structuredClone(item.content[0]!), place = { ...at(item, index), content_index: 0 };
    const text = item.type === "message"
      ? { type: "response.output_text.done", ...place, text: part.text, logprobs: item.content[0]!.logprobs }
      : { type: "response.reasoning_text.done", ...place, text: part.text };
    return [...late, text, { type: "response.content_part.done", ...place, part }, done];
  }
}

function at({ id }: OutputItem, index: number) {
  return { item_id: id, output_index: index };
}
