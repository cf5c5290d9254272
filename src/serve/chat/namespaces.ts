/**
 * Functions under a name of their own, as `/v1/responses` has them. To templates of gpt-oss all functions are of one
 * namespace; there a function's name begins with that of its own.
 */
import type { ResponseTool } from "../endpoints/responses_schema.ts";
import { chatTool } from "./chat_ask.ts";
import { customTool } from "./custom_tools.ts";
import type { ChatTool } from "./reply_grammar.ts";

/** How a call names its function. */
export interface CalledFunction {
  readonly name: string;
  readonly namespace?: string | null | undefined;
}

/** A function's name as the model knows it. */
export function fullName({ name, namespace }: CalledFunction): string {
  return namespace == null ? name : `${namespace}.${name}`;
}

/** The functions that the model is told of; what a namespace is for stands before the first of its own. */
export function functionsOf(tools: readonly ResponseTool[]): ChatTool[] {
  return tools.flatMap((tool, i) => {
    if (tool.type === "function") return chatTool(tool);
    if (tool.type === "custom") return customTool(tool, `tools.${i}.format`);
    return tool.tools.map((one, i) => {
      const description = [i === 0 ? tool.description : null, one.description].filter((text) => text != null);
      return chatTool({
        ...one,
        name: fullName({ name: one.name, namespace: tool.name }),
        description: description.length === 0 ? null : description.join("\n"),
      });
    });
  });
}

/** Those functions that have a namespace, by the name that the model knows. */
export function namespacesOf(tools: readonly ResponseTool[]): ReadonlyMap<string, CalledFunction> {
  return new Map(
    tools.flatMap((tool) =>
      tool.type !== "namespace" ? [] : tool.tools.map(({ name }) => {
        const called = { name, namespace: tool.name };
        return [fullName(called), called] as const;
      })
    ),
  );
}
