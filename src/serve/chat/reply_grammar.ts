/**
 * Replies in harmony as grammars, for what a request asks of them: an answer in a format, calls of tools by their
 * schemas, no call, or a call at any rate. Reasoning stays free: what is asked for begins after the header of its
 * channel.
 */
import { Breath } from "../../breath.ts";
import { InputError, type MistakeCode } from "../../errors.ts";
import { ANY_OBJECT } from "../../grammar/json.ts";
import { all, ANYTHING, literal, maybe, type Node, oneOf, special, times } from "../../grammar/node.ts";
import type { GrammarSource } from "./grammar_source.ts";
import type { FunctionTool } from "../../text/harmony_tools.ts";
import { plainSchema } from "./written_schema.ts";

/** A function that the model may call. */
export interface ChatTool extends FunctionTool {
  /**
   * Whether the arguments must be as the schema says, and a schema that no grammar can say is refused. Else a call that
   * must be made keeps to it as far as that can be said, and one that may be made is of any JSON object.
   */
  readonly strict: boolean;
}

/** What an answer must be: any text, any JSON object, what a schema takes, or a text of some. */
export type ReplyFormat =
  | { readonly type: "text" }
  | { readonly type: "object" }
  | { readonly type: "schema"; readonly schema: unknown; readonly where: string }
  /** One of these texts. */
  | { readonly type: "choice"; readonly texts: readonly string[]; readonly where: string }
  /** A text that a regular expression takes, as a whole. */
  | { readonly type: "pattern"; readonly source: string; readonly where: string };

/** What a reply must be. */
export interface ReplyRules {
  readonly format: ReplyFormat;
  /** Tools that may be called. */
  readonly tools: readonly ChatTool[];
  /** Whether one of them must be called instead of an answer. */
  readonly mustCall: boolean;
  /** Whether several calls may be made. */
  readonly manyCalls: boolean;
}

/** What a text must be that is continued as it stands. */
export interface TextRules {
  readonly format: Exclude<ReplyFormat, { readonly type: "text" }>;
  /** Special tokens one of which ends it. */
  readonly ends: readonly string[];
}

/** Messages of reasoning, and remarks, before what is asked for: a model that breaks down does not think forever. */
const MAX_BEFORE = 4;

/** Makes the grammar of a source, at once or by another thread; messages begin with `where`. */
export type MakeGrammar = (source: GrammarSource, where: string) => Promise<Node>;

/** The reply after `<|start|>assistant`, up to the special token that ends it. */
export async function replyGrammar(
  { format, tools, mustCall, manyCalls }: ReplyRules,
  make: MakeGrammar,
): Promise<Node> {
  const channel = special("<|channel|>"), message = special("<|message|>"), end = special("<|end|>");
  const json = oneOf([all(literal(" "), maybe(special("<|constrain|>")), literal("json")), all()]);
  const free = (name: string) => all(channel, literal(name), message, ANYTHING, end);
  const calls = oneOf(
    await inTurn(tools, async (tool) => {
      const recipient = literal(` to=functions.${tool.name}`);
      const header = oneOf([
        all(recipient, channel, literal("commentary"), json),
        all(channel, literal("commentary"), recipient, json),
      ]);
      return all(header, message, await argumentsNode(tool, mustCall, make));
    }),
  );
  const answer = format.type === "text"
    ? all(channel, literal("final"), message, ANYTHING)
    : all(channel, literal("final"), isJson(format) ? json : all(), message, await formatNode(format, make));
  const before: Node[] = [free("analysis")];
  // A remark to the user beside an answer in a format would not be in that format.
  if (format.type === "text") before.push(free("commentary"));
  const next = all(special("<|start|>"), literal("assistant"));
  const last: Node[] = mustCall ? [] : [all(answer, special("<|return|>"))];
  // Once calls have begun, nothing but calls follows them.
  const more = manyCalls ? times(all(calls, end, next), 0, Infinity) : all();
  if (tools.length > 0) last.push(all(more, calls, special("<|call|>")));
  return all(times(all(oneOf(before), next), 0, MAX_BEFORE), oneOf(last));
}

/** A text in a format, up to the special token that ends it. */
export async function textGrammar({ format, ends }: TextRules, make: MakeGrammar): Promise<Node> {
  return all(await formatNode(format, make), oneOf(ends.map(special)));
}

async function inTurn<T, U>(list: readonly T[], make: (one: T) => Promise<U>): Promise<U[]> {
  const made: U[] = [], breath = new Breath();
  for (const one of list) {
    made.push(await make(one));
    // Hundreds of schemas, each of which costs little, may take seconds.
    if (breath.due) await breath.take();
  }
  return made;
}

type Format = TextRules["format"];

function isJson(format: Format): boolean {
  return format.type === "object" || format.type === "schema";
}

async function formatNode(format: Format, make: MakeGrammar): Promise<Node> {
  switch (format.type) {
    case "object":
      return ANY_OBJECT;
    case "schema":
      return await make({ schema: plainSchema(format.schema, format.where) }, format.where);
    case "choice":
      return await make({ texts: format.texts }, format.where);
    case "pattern":
      return await make({ pattern: format.source }, format.where);
  }
}

/** No parameters: OpenAI has it so where a function names none. */
const NONE = { type: "object", properties: {}, additionalProperties: false };

async function argumentsNode(
  { name, parameters, strict }: ChatTool,
  mustCall: boolean,
  make: MakeGrammar,
): Promise<Node> {
  if (!strict && !mustCall) return ANY_OBJECT;
  const where = `tools.${name}.parameters`, schema = parameters ?? NONE;
  if (strict) return await make({ schema: plainSchema(schema, where), objects: true }, where);
  try {
    return await make({ schema: plainSchema(schema, where), objects: true, wider: true }, where);
  } catch (thrown) {
    if (!(thrown instanceof InputError && CANNOT_BE_SAID.has(thrown.code))) throw thrown;
    return ANY_OBJECT;
  }
}

/** Codes of schemas that are right and that no grammar can be made of, not even of a part. */
const CANNOT_BE_SAID: ReadonlySet<MistakeCode> = new Set(["unsupported", "too_large"]);
