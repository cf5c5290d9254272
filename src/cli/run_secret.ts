/**
 * The secret by which processes that meet prove that they are of the same run: what MXOSS_RUN_SECRET says, else the
 * content of a file of the user's that nobody else can read, which the first process that needs it makes. A home
 * directory that hosts share has it on all of them.
 */
import { removeIfThere } from "../checkpoint/atomic.ts";
import { dirname, join } from "node:path";
import { environment } from "../../ffi/library.ts";
import { InputError, reason } from "../errors.ts";
import type { RunKey } from "../parallel/handshake.ts";
import type { ReadVariable, World } from "../parallel/world.ts";
import { cacheFolder } from "./self_tests.ts";

/** Says the secret. */
const SECRET_VARIABLE = "MXOSS_RUN_SECRET";
/** What starters call the run, for telling two of the same user apart. */
const RUN_VARIABLES: Readonly<Record<World["source"], readonly string[]>> = {
  "torchrun": ["TORCHELASTIC_RUN_ID"],
  "Open MPI": ["PMIX_NAMESPACE"],
  "MPI": [],
  "Slurm": ["SLURM_JOB_ID", "SLURM_STEP_ID"],
};
/** Every variable that is read here, and nowhere else. */
export const SECRET_VARIABLES: readonly string[] = [
  SECRET_VARIABLE,
  ...Object.values(RUN_VARIABLES).flat().filter((name) => name !== "SLURM_STEP_ID"),
];

/** A shorter one could be guessed by who overhears a meeting. */
const LEAST_LENGTH = 16, MOST_BYTES = 4096;
const FILE_NAME = "run-secret", SECRET_BYTES = 32;
const FILE_MODE = 0o600, FOLDER_MODE = 0o700, OTHERS = 0o077, OTHERS_WRITE = 0o022;

/**
 * What the processes of a run prove themselves by.
 *
 * @throws {InputError} where there is no secret, or others could know it.
 */
export function runKey({ source }: World, read: ReadVariable = environment): RunKey {
  const run = RUN_VARIABLES[source].map((name) => read(name) ?? "").join(" ");
  return { run: `${source} ${run}`, secret: givenSecret(read) ?? ownSecret(cacheFolder(read)) };
}

function givenSecret(read: ReadVariable): string | null {
  const secret = read(SECRET_VARIABLE);
  if (secret === undefined || secret.length >= LEAST_LENGTH) return secret ?? null;
  const got = `one of ${secret.length}`;
  throw InputError.of("wrong_value", { name: SECRET_VARIABLE }, `a secret of ${LEAST_LENGTH} characters or more`, got);
}

/** Reads the user's own, which is made where there is none. */
function ownSecret(folder: string | null): string {
  if (folder === null) {
    throw InputError.of(
      "missing",
      { name: SECRET_VARIABLE },
      "a secret, as there is no home directory for one",
      "none",
    );
  }
  const path = join(folder, FILE_NAME);
  try {
    make(path);
    const file = Deno.lstatSync(path), above = Deno.lstatSync(folder);
    const mode = (of: Deno.FileInfo) => (of.mode ?? 0) & 0o777;
    if (!file.isFile || (mode(file) & OTHERS) !== 0 || (mode(above) & OTHERS_WRITE) !== 0 || file.size > MOST_BYTES) {
      const expected = `a file that only you can read, in a folder that only you can change; or ${SECRET_VARIABLE}`;
      const got = `modes ${mode(file).toString(8)} and ${mode(above).toString(8)}`;
      throw InputError.of("wrong_value", { file: path }, expected, got);
    }
    const secret = Deno.readTextFileSync(path).trim();
    if (secret.length >= LEAST_LENGTH) return secret;
    throw InputError.of("wrong_value", { file: path }, `${LEAST_LENGTH} characters or more`, secret.length);
  } catch (thrown) {
    if (thrown instanceof InputError) throw thrown;
    const problem = `cannot be read or made (${reason(thrown)}); without it ${SECRET_VARIABLE} must say the secret`;
    throw InputError.saying("unreadable", { file: path }, problem);
  }
}

/** Makes the file, whole or not at all, unless it is there or another process is faster. */
function make(path: string): void {
  try {
    Deno.lstatSync(path);
    return;
  } catch (thrown) {
    if (!(thrown instanceof Deno.errors.NotFound)) throw thrown;
  }
  Deno.mkdirSync(dirname(path), { recursive: true, mode: FOLDER_MODE });
  const part = `${path}.${crypto.randomUUID()}`;
  try {
    const secret = crypto.getRandomValues(new Uint8Array(SECRET_BYTES)).toHex();
    Deno.writeTextFileSync(part, `${secret}\n`, { createNew: true, mode: FILE_MODE });
    Deno.linkSync(part, path);
  } catch (thrown) {
    if (!(thrown instanceof Deno.errors.AlreadyExists)) throw thrown;
  } finally {
    removeIfThere(part);
  }
}
