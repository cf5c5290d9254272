/** A conversation as a prompt, by the chat template of the model's checkpoint, or in harmony where it has none. */
import { writtenJson } from "../../json_numbers.ts";
import { wrongField } from "../api_error.ts";
import type { ServedModel } from "../engine/service.ts";
import { type ChatMessage, ChatRenderer } from "../../text/chat.ts";
import type { ReasoningEffort } from "../../text/harmony_render.ts";
import type { FunctionTool } from "../../text/harmony_tools.ts";
import { refuseLongPrompt, refuseLongText } from "../text/prompt_length.ts";

/** What is to be answered. */
export interface Conversation {
  readonly messages: readonly ChatMessage[];
  readonly tools: readonly FunctionTool[];
  readonly reasoning: ReasoningEffort | undefined;
  /** A format of the answer that the model is told of, in the words that gpt-oss was trained with. */
  readonly format: AnswerFormat | null;
  /** Whether the model is to answer, or the conversation is complete; default true. */
  readonly prompt?: boolean | undefined;
  /** Whether it must fit the model, or is only counted; default true. */
  readonly fits?: boolean | undefined;
}

/** A format that the model is told of. */
export interface AnswerFormat {
  readonly name: string;
  readonly description: string | null;
  readonly schema: unknown;
}

/** A conversation as token ids. */
export interface RenderedConversation {
  readonly ids: Int32Array;
  /** What it says, special tokens by name. */
  readonly text: string;
  /** Whether the effort of reasoning has an effect. */
  readonly takesReasoning: boolean;
}

const renderers = new WeakMap<ServedModel, Promise<ChatRenderer>>();

/**
 * Renders a conversation for a model.
 *
 * @param field What messages call the conversation: `messages` or `input`.
 * @throws {ApiError | InputError} if the template refuses the messages, or leaves out a part of them.
 */
export async function renderConversation(
  model: ServedModel,
  conversation: Conversation,
  field: string,
): Promise<RenderedConversation> {
  // Reasoning alone, as items have it, is none.
  if (conversation.messages.length === 0) throw wrongField(field, "expected at least one message");
  refuseLong(model, conversation, field);
  let opened = renderers.get(model);
  if (opened === undefined) {
    opened = ChatRenderer.fromDirectory(model.textDirectory, model.tokenizer);
    renderers.set(model, opened);
    // What failed is tried again by the next request.
    opened.catch(() => renderers.delete(model));
  }
  return await renderWith(await opened, conversation, field, model.now);
}

/**
 * Refuses what is too long before it is rendered: what is said, tools and format together; and messages that no
 * template leaves out.
 *
 * @throws {ApiError} naming the field.
 */
export function refuseLong(
  model: Pick<ServedModel, "tokenizer" | "limits">,
  { messages, tools, format, fits = true }: Conversation,
  field: string,
): void {
  const units = (texts: readonly string[]) => texts.reduce((sum, text) => sum + text.length, 0);
  const said = messages.flatMap(({ content = "", thinking = "", toolCalls }) => [
    content,
    thinking,
    toolCalls === undefined ? "" : JSON.stringify(toolCalls),
  ]);
  const all = units([...said, JSON.stringify(tools), JSON.stringify(format)]);
  refuseLongText(all, field, fits ? model.limits : undefined);
  if (!fits) return;
  const asked = messages.filter(({ role }) => role === "user").map(({ content = "" }) => content.trim());
  const told = tools.map(({ description }) => description?.trim() ?? "");
  refuseLongPrompt(model, units([...asked, ...told, format === null ? "" : JSON.stringify(format.schema)]), field);
}

/** As {@linkcode renderConversation}, by a renderer, which is told the time `now`. */
export async function renderWith(
  renderer: ChatRenderer,
  { messages, tools, reasoning, format, prompt = true }: Conversation,
  field: string,
  now?: Date,
): Promise<RenderedConversation> {
  const usesTools = tools.length > 0 || messages.some(({ role, toolCalls }) => role === "tool" || toolCalls?.length);
  // A template that knows no tools would drop them without a word.
  const harmony = ChatRenderer.builtIn(renderer.tokenizer);
  const knowing = usesTools && !renderer.takesTools ? harmony : renderer;
  const instructed = withInstructions(messages, format);
  const request = (messages: readonly ChatMessage[]) => ({
    messages,
    ...(tools.length > 0 ? { tools } : {}),
    ...(reasoning === undefined ? {} : { reasoning }),
    ...(prompt ? {} : { prompt }),
    ...(now === undefined ? {} : { now }),
  });
  const { ids, text } = await knowing.renderByTurns(request(instructed));
  const lost = lostInstruction(instructed, text);
  if (lost === undefined) return { ids, text, takesReasoning: knowing.takesReasoning };
  // Templates of gpt-oss take instructions in front only; harmony, which they write, has them anywhere.
  const others = request(instructed.filter(({ role }, i) => i === 0 || !isInstruction(role)));
  const [own, built] = await Promise.all([knowing, harmony].map((one) => one.renderByTurns(others)));
  if (afterQuestion(own!.text) !== afterQuestion(built!.text)) {
    const where = "this model's chat template leaves out a message of the role";
    throw wrongField(field, `${where} ${lost.role} that does not come first`, "unsupported");
  }
  return { ...await harmony.renderByTurns(request(instructed)), takesReasoning: harmony.takesReasoning };
}

/**
 * The first message of instructions whose words a prompt lacks. Templates write them in their order, so that each is
 * looked for from where the last one ended: from the beginning, thousands of them would hold up others for seconds.
 */
export function lostInstruction(messages: readonly ChatMessage[], prompt: string): ChatMessage | undefined {
  let end = 0;
  return messages.find(({ role, content = "" }) => {
    if (!isInstruction(role)) return false;
    const words = content.trim(), at = prompt.indexOf(words, end);
    if (at < 0) return !prompt.includes(words);
    end = at + words.length;
    return false;
  });
}

function isInstruction(role: ChatMessage["role"]): boolean {
  return role === "system" || role === "developer";
}

/** What a prompt says from the first question on: before it templates have words of their own. */
function afterQuestion(text: string): string {
  return text.slice(Math.max(0, text.indexOf("<|start|>user")));
}

/** The messages with one of instructions in front: templates of gpt-oss look for it there, and take one only. */
export function withInstructions(messages: readonly ChatMessage[], format: AnswerFormat | null): ChatMessage[] {
  const first = messages.findIndex(({ role }) => !isInstruction(role));
  const leading = first < 0 ? messages.length : first;
  const texts = messages.slice(0, leading).map(({ content = "" }) => content);
  if (format !== null) texts.push(formatSection(format));
  if (texts.length === 0) return [...messages];
  const role = messages[0]?.role === "system" ? "system" as const : "developer" as const;
  return [{ role, content: texts.join("\n\n") }, ...messages.slice(leading)];
}

/** The section `# Response Formats`, by which harmony tells a model of structured answers. */
function formatSection({ name, description, schema }: AnswerFormat): string {
  // Blanks with a line break among them; a pattern that says so takes a time that grows as the square of their number.
  const line = description?.replaceAll(/\s+/g, (blanks) => blanks.includes("\n") ? " " : blanks);
  const about = line === undefined ? [] : [`// ${line}`];
  return ["# Response Formats", "", `## ${name}`, "", ...about, writtenJson(schema)].join("\n");
}
