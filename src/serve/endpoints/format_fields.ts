/** Fields that hold a reply to a format, which chats and completions have in common. */
import { z } from "zod";
import { ignored, only, unsupported } from "../http/fields.ts";

/** Names of tools and formats, as OpenAI has them. */
export const Name = z.string().regex(/^[a-zA-Z0-9_.-]{1,128}$/, {
  error: "a name of up to 128 letters, digits, dots, dashes and underscores",
});

/** Any JSON object. */
export const AnyObject = z.record(z.string(), z.unknown());

/** What the input of a custom tool keeps to, as responses have it. */
export const CustomFormat = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("text") }),
  z.strictObject({ type: z.literal("grammar"), syntax: z.enum(["lark", "regex"]), definition: z.string().min(1) }),
]);
/** What the input of a custom tool keeps to. */
export type CustomFormat = z.infer<typeof CustomFormat>;

/** A tool whose input is a text. */
export const CustomFields = z.strictObject({
  name: Name,
  description: z.string().nullish(),
  format: CustomFormat.nullish(),
});
/** A tool whose input is a text. */
export type CustomFields = z.infer<typeof CustomFields>;

const ResponseFormat = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("text") }),
  z.strictObject({ type: z.literal("json_object") }),
  z.strictObject({
    type: z.literal("json_schema"),
    json_schema: z.strictObject({
      name: Name,
      description: z.string().nullish(),
      schema: AnyObject.nullish(),
      strict: z.boolean().nullish(),
    }),
  }),
]);

/** Texts of one choice. */
const MAX_CHOICES = 4096;

/** vLLM's way to hold an answer to a format; one of the first four is given. */
const StructuredOutputs = z.strictObject({
  /** A schema, or its text. */
  json: z.union([AnyObject, z.string()]).nullish(),
  json_object: z.boolean().nullish(),
  choice: z.array(z.string().min(1)).min(1).max(MAX_CHOICES).nullish(),
  /** Of all of the answer. */
  regex: z.string().min(1).nullish(),
  grammar: unsupported(),
  structural_tag: unsupported(),
  whitespace_pattern: unsupported(),
  disable_additional_properties: only(false),
  ...ignored("disable_fallback", "disable_any_whitespace"),
});

/** What a reply is held to. */
export const FORMAT_FIELDS = {
  response_format: ResponseFormat.nullish(),
  structured_outputs: StructuredOutputs.nullish(),
  guided_json: unsupported(),
  guided_regex: unsupported(),
  guided_choice: unsupported(),
  guided_grammar: unsupported(),
};

const Format = z.object(FORMAT_FIELDS);
/** Fields of {@linkcode FORMAT_FIELDS}. */
export type FormatFields = z.infer<typeof Format>;
/** vLLM's way to hold an answer to a format. */
export type StructuredOutputs = z.infer<typeof StructuredOutputs>;
