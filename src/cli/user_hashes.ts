/**
 * Hashes of weights that a user's runs on a GPU have made, beside what its self-tests found: there the hash of a large
 * model takes longer than a short evaluation. On the processor nothing is written outside of `--out`.
 */
import { createHash } from "../node_crypto.ts";
import { dirname, join } from "node:path";
import type { FileIdentity } from "../checkpoint/identity.ts";
import { keepValue, readKept } from "../checkpoint/kept_file.ts";
import type { Choices } from "../session/setting.ts";
import { selfTestsOf } from "./self_tests.ts";

const KIND = { schema: "mxoss.weights-hashes", version: 1 };

/**
 * Times of files have ticks: what was changed so shortly before, in milliseconds, could be changed once more without
 * another time. Some file systems count whole seconds, others two.
 */
const SETTLED_MS = 4000;

/** The file for a way to compute; null: nothing is kept. */
export function userHashesOf(choices: Pick<Choices, "backend">): string | null {
  const beside = selfTestsOf(choices);
  return beside === null ? null : join(dirname(beside), "weights.json");
}

/** The hash of the weights of a checkpoint whose files are these, if it is kept. */
export function userHash(path: string, files: readonly FileIdentity[]): string | undefined {
  const found = readKept(path, KIND).get(keyOf(files));
  return typeof found === "string" && /^[0-9a-f]{64}$/.test(found) ? found : undefined;
}

/** Keeps it, unless a file is too young to be told from another by its times, or has none. */
export function keepUserHash(path: string, files: readonly FileIdentity[], sha256: string): void {
  const settled = Date.now() - SETTLED_MS;
  if (files.every(({ changed }) => changed !== null && changed < settled)) {
    keepValue(path, KIND, keyOf(files), () => sha256);
  }
}

/** Place, size and times of every file. */
const keyOf = (files: readonly FileIdentity[]) => createHash("sha256").update(JSON.stringify(files)).digest("hex");
