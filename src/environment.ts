/** Reading environment variables, whose bytes may be anything. */
import { InputError } from "./errors.ts";

/**
 * The value of an environment variable; undefined where it is not set.
 *
 * @throws {InputError} if it is not UTF-8.
 */
export function environmentVariable(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch (thrown) {
    if (!(thrown instanceof Deno.errors.InvalidData)) throw thrown;
    throw InputError.of("malformed", { name: `environment variable ${name}` }, "UTF-8 text", "other bytes");
  }
}
