/** The directory that `--out` names, and the text of what is written into it. */
import type { z } from "zod";
import { refuseSpecial } from "../../checkpoint/atomic.ts";
import { readWhole } from "../../read.ts";
import { InputError, reason } from "../../errors.ts";
import { firstDifference } from "../../eval/journal.ts";
import { jsonSchema, withFloats } from "../../eval/json_schema.ts";
import { printableJson } from "../../printable.ts";

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

/** Names of the three schemas, as people know the commands. */
const COMMANDS: Readonly<Record<string, string>> = {
  "mxoss.eval.gsm8k": "mxoss eval gsm8k",
  "mxoss.eval.perplexity": "mxoss eval perplexity",
  "mxoss.compare": "mxoss compare",
};

/** Largest results.json that is read back, in bytes. */
const MAX_RESULTS_BYTES = 128 * 1024 * 1024;

/**
 * Refuses a directory whose results a run would overwrite though they are of something else.
 *
 * @param own What the run's results belong to.
 * @param of The same of results that are there; what it throws at says that they are no results.
 * @throws {InputError} naming the file and what differs, or what is there instead of a file.
 */
export function refuseOtherResults<T>(
  directory: string,
  schema: string,
  own: T,
  // deno-lint-ignore no-explicit-any
  of: (results: any) => T,
): void {
  const path = `${directory}/results.json`;
  const [found] = [path, `${directory}/report.html`].map(refuseSpecial);
  if (found === null) return;
  let there: T;
  try {
    const results = JSON.parse(new TextDecoder().decode(readWhole(path, MAX_RESULTS_BYTES)));
    if (results.schema !== schema) {
      const got = COMMANDS[results.schema];
      const what = got === undefined ? "another file" : `those of ${got}`;
      throw new InputError(`${path}: expected results of ${COMMANDS[schema]}, got ${what}; choose another --out`);
    }
    there = of(results);
  } catch (thrown) {
    if (thrown instanceof InputError || thrown instanceof Deno.errors.NotCapable) throw thrown;
    throw new InputError(`${path}: expected results of ${COMMANDS[schema]}, got another file; choose another --out`);
  }
  const differs = firstDifference(there, own);
  if (differs !== null) {
    throw new InputError(`${path}: was written with other settings (${differs}); choose another --out`);
  }
}

/** The text of a results file; what does not fit its schema is a defect of the program. */
export function resultsText<T>(schema: z.ZodType<T>, results: T): string {
  return `${printableJson(withFloats(jsonSchema(schema), schema.parse(results)), 1)}\n`;
}
