/** The directory that `--out` names, and the text of what is written into it. */
import type { z } from "zod";
import { InputError, reason } from "../errors.ts";

/**
 * Makes the directory if it is not there.
 *
 * @throws {InputError} if it cannot be made or is a file.
 */
export function makeDirectory(path: string): void {
  try {
    Deno.mkdirSync(path, { recursive: true });
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotCapable) throw thrown;
    throw new InputError(`--out: ${path}: expected a directory that can be written to: ${reason(thrown)}`);
  }
}

/** The text of a results file; what does not fit its schema is a defect of the program. */
export function resultsText<T>(schema: z.ZodType<T>, results: T): string {
  return `${JSON.stringify(schema.parse(results), null, 1)}\n`;
}
