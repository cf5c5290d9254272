/** The chat template that a checkpoint brings, which may be another one where there are tools. */
import { joined } from "../paths.ts";
import { InputError } from "../errors.ts";
import { isObject } from "../json_object.ts";
import { ChatTemplate } from "./chat_template.ts";
import { readText } from "./tokenizer_source.ts";

/** What a checkpoint has; null: nothing. */
export interface CheckpointTemplates {
  readonly template: ChatTemplate | null;
  /** Used instead of `template` when there are tools. */
  readonly toolTemplate: ChatTemplate | null;
}

/**
 * Looks for a template in `chat_template.jinja`, then in `tokenizer_config.json`.
 *
 * @param config What tokenizer_config.json holds.
 * @throws {InputError} if a template is there but is not Jinja.
 */
export async function templatesIn(
  dir: string,
  config: Readonly<Record<string, unknown>>,
): Promise<CheckpointTemplates> {
  const path = joined(dir, "chat_template.jinja");
  const text = readText(path);
  if (text !== null) return { template: await parse(path, text), toolTemplate: null };
  const where = `${joined(dir, "tokenizer_config.json")}: chat_template`;
  const templates = templatesOf(where, config["chat_template"]);
  const main = templates.get("default") ?? templates.get("tool_use");
  if (main === undefined) return { template: null, toolTemplate: null };
  const forTools = templates.get("tool_use");
  return {
    template: await parse(where, main),
    toolTemplate: forTools === undefined || forTools === main ? null : await parse(where, forTools),
  };
}

async function parse(path: string, text: string): Promise<ChatTemplate> {
  if (text.trim() === "") throw InputError.of("malformed", { file: path }, "a Jinja template", "nothing");
  return await ChatTemplate.parse(path, text);
}

/** Templates by name: tokenizer_config.json holds one text, or a list of named ones. */
function templatesOf(where: string, value: unknown): Map<string, string> {
  const templates = new Map<string, string>();
  if (value === undefined || value === null) return templates;
  if (typeof value === "string") return templates.set("default", value);
  if (!Array.isArray(value)) throw InputError.of("wrong_value", { name: where }, "a text or a list of templates");
  for (const entry of value as unknown[]) {
    const { name, template } = isObject(entry) ? entry as { name?: unknown; template?: unknown } : {};
    if (typeof name !== "string" || typeof template !== "string") {
      throw InputError.of("wrong_value", { name: where }, "a name and a template in each entry of the list");
    }
    templates.set(name, template);
  }
  return templates;
}
