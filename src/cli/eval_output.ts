/** The directory that `--out` names, and what is written into it. */
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

/** Writes a file under a temporary name and renames it when it is on the disk: it is there whole, or not at all. */
export function writeWhole(path: string, text: string): void {
  const temporary = `${path}.tmp`;
  try {
    {
      using file = Deno.openSync(temporary, { write: true, create: true, truncate: true });
      let bytes = new TextEncoder().encode(text);
      while (bytes.length > 0) bytes = bytes.subarray(file.writeSync(bytes));
      file.syncSync();
    }
    Deno.renameSync(temporary, path);
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotCapable) throw thrown;
    throw new InputError(`${path}: cannot be written: ${reason(thrown)}`);
  }
}

/** The text of a results file; what does not fit its schema is a defect of the program. */
export function resultsText<T>(schema: z.ZodType<T>, results: T): string {
  return `${JSON.stringify(schema.parse(results), null, 1)}\n`;
}
