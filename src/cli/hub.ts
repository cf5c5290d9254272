/** Models of the Hugging Face cache on the command line. */
import { environmentCache, namesRepository } from "../checkpoint/hub/find.ts";
import { InputError } from "../errors.ts";

/** Where the Hugging Face cache is, as the environment said when it could still be looked at. */
let remembered: string | null = null;

/**
 * The folder of the Hugging Face cache, by the environment; the last answer where the process has given that up.
 *
 * @throws {InputError} where the environment names none.
 */
export function hubCache(): string | null {
  return remembered = environmentCache() ?? remembered;
}

/** Asks for the cache's place as long as the environment may be looked at; who needs it says what is wrong with it. */
export function lookForHub(): void {
  try {
    hubCache();
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown;
  }
}

/** Whether the options of a command name a model of the Hugging Face cache. */
export function namesHubModel(models: readonly (string | undefined)[]): boolean {
  return models.some((model) => model !== undefined && namesRepository(model));
}
