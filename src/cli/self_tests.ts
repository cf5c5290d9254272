/** Where the outcomes of a GPU's self-tests are kept: see backends/gpu/kept_self_tests.ts. */
import { environmentVariable } from "../environment.ts";
import { join } from "node:path";
import { type Choices, isGpu } from "../session/setting.ts";

/** Its value `always` has every start test, and keeps nothing. */
export const SELF_TESTS_VARIABLE = "MXOSS_SELF_TESTS";

/** Value of an environment variable; undefined where it is not set, empty, or may not be read. */
export type ReadVariable = (name: string) => string | undefined;

const own: ReadVariable = (variable) =>
  Deno.permissions.querySync({ name: "env", variable }).state === "granted"
    ? environmentVariable(variable) || undefined
    : undefined;

/**
 * The file, in a folder of its own below the user's cache, which is all that may be written there: beside it may lie
 * the program itself. Null where nothing is to be kept, or no place is known.
 */
export function selfTestsFile(read: ReadVariable = own): string | null {
  if (read(SELF_TESTS_VARIABLE) === "always") return null;
  const folder = cacheFolder(read);
  return folder && join(folder, "self-tests.json");
}

/** The folder of the program's own below the user's cache; null where no place is known. */
export function cacheFolder(read: ReadVariable = own): string | null {
  const cache = read("XDG_CACHE_HOME"), home = read("HOME");
  if (cache?.startsWith("/")) return join(cache, "mxoss-gpu");
  return home?.startsWith("/") ? join(home, ".cache", "mxoss-gpu") : null;
}

/** The same for a way to compute: null on the processor. */
export function selfTestsOf({ backend }: Pick<Choices, "backend">): string | null {
  return isGpu(backend) ? selfTestsFile() : null;
}
