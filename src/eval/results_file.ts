/** The text of results.json. */
import type { z } from "zod";
import { sealed, unsealed } from "../checksum.ts";
import { printableJson } from "../printable.ts";
import { jsonSchema, withFloats } from "./json_schema.ts";

/** The text of a results file, with its checksum; what does not fit its schema is a defect of the program. */
export function resultsText<T extends object>(schema: z.ZodType<T>, results: T): string {
  const text = printableJson(withFloats(jsonSchema(schema), schema.parse(results)), 1);
  const { crc32 } = sealed(JSON.parse(text) as object);
  return `${text.slice(0, -"\n}".length)},\n "crc32": "${crc32}"\n}\n`;
}

/**
 * The JSON of a results file without its checksum; those of earlier versions have none.
 *
 * @throws {InputError} if it was changed.
 */
export function checkedResults(json: unknown, path: string): unknown {
  return unsealed(json, path, "remove it, and the same command makes it again");
}
