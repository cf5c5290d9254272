/** Models of the Hugging Face cache on the command line. */
import { environmentCache, namesRepository } from "../checkpoint/hub/find.ts";
import { InputError } from "../errors.ts";

/** Where the Hugging Face cache is, or what is wrong with that, as the environment said while it could be looked at. */
let remembered: string | InputError | null = null;

/**
 * The folder of the Hugging Face cache, by the environment; the last answer where the process has given that up.
 *
 * @throws {InputError} where the environment names none.
 */
export function hubCache(): string | null {
  const cache = environmentCache() ?? remembered;
  if (cache instanceof InputError) throw cache;
  return remembered = cache;
}

/** Asks for the cache's place as long as the environment may be looked at; who needs it says what is wrong with it. */
export function lookForHub(): void {
  try {
    hubCache();
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown;
    remembered = thrown;
  }
}

/** Whether the options of a command name a model of the Hugging Face cache. */
export function namesHubModel(models: readonly (string | undefined)[]): boolean {
  return models.some((model) => model !== undefined && namesRepository(model));
}
