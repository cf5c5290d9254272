/** The text of results.json. */
import type { z } from "zod";
import { printableJson } from "../printable.ts";
import { jsonSchema, withFloats } from "./json_schema.ts";

/** The text of a results file; what does not fit its schema is a defect of the program. */
export function resultsText<T>(schema: z.ZodType<T>, results: T): string {
  return `${printableJson(withFloats(jsonSchema(schema), schema.parse(results)), 1)}\n`;
}
