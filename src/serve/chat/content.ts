/** What a message of OpenAI's formats says: a text, or a list of parts, of which gpt-oss takes those of text. */
import { z } from "zod";

const TEXTS = new Set(["text", "input_text", "output_text", "refusal", "summary_text", "reasoning_text"]);

/** A part of a content. */
const Part = z.looseObject({ type: z.string(), text: z.string().nullish(), refusal: z.string().nullish() }).refine(
  ({ type, text, refusal }) => TEXTS.has(type) && (text ?? refusal) != null,
  { error: "is no text; images, audio and files are not supported" },
);

/** A text, or its parts. */
export const Content = z.union([z.string(), z.array(Part)]);
/** A text, or its parts. */
export type Content = z.infer<typeof Content>;

/** The text of a content; parts follow each other on lines of their own. */
export function textOf(content: Content | null | undefined): string {
  if (content == null || typeof content === "string") return content ?? "";
  return content.map(({ text, refusal }) => text ?? refusal ?? "").join("\n");
}
