/** Runs processes as a user's shell would, with nothing inherited but what is given. */
import { BUILD_FOLDER } from "../build_once.ts";

/** What a finished process left. */
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run. */
export interface RunOptions {
  readonly cwd?: string;
  /** The whole environment; without it there is none. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A process with an empty stdin and its output piped. */
export function command(words: readonly string[], { cwd, env }: RunOptions = {}): Deno.Command {
  const [program, ...args] = words;
  return new Deno.Command(program!, {
    args,
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...env },
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

/** Runs a process to its end. */
export async function run(words: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const { code, stdout, stderr } = await command(words, options).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: decode(stdout), stderr: decode(stderr) };
}

/** Whether a process can be run and succeeds. */
export async function works(words: readonly string[]): Promise<boolean> {
  try {
    return (await run(words, { env: { PATH: Deno.env.get("PATH") ?? "" } })).code === 0;
  } catch {
    return false;
  }
}

/** Calls with a new directory, which is gone afterwards. */
export async function inDirectory<T>(use: (dir: string) => Promise<T>): Promise<T> {
  const dir = await Deno.makeTempDir({ prefix: "mxoss-test-" });
  try {
    return await use(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Calls while no other test uses the place that a binary has where no variable names one: it is the user's. */
export async function withUsersPlace<T>(use: () => Promise<T>): Promise<T> {
  Deno.mkdirSync(BUILD_FOLDER, { recursive: true });
  using lock = Deno.openSync(`${BUILD_FOLDER}/users-place.lock`, { create: true, write: true });
  // Closing the file gives the lock back.
  await lock.lock(true);
  return await use();
}

/**
 * Runs a first start that fails wherever it unpacks: it goes through all places, and takes those of the user's in /tmp
 * and /var/tmp away again, under whoever has just made them.
 */
export async function runThroughAll(
  words: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Finished> {
  return await withUsersPlace(() => run(words, { env }));
}

/** Absolute path of a program, for processes whose PATH does not lead there; null where there is none. */
export async function whereIs(program: string): Promise<string | null> {
  const { stdout } = await run(["/bin/sh", "-c", 'command -v "$0"', program], {
    env: { PATH: Deno.env.get("PATH") ?? "" },
  });
  return stdout.trim() || null;
}

/** What a machine says of its certificates and its registry, which an empty home would take away. */
export function surroundings(): Record<string, string> {
  const kept = Object.entries(Deno.env.toObject()).filter(([name]) =>
    /^(?:PATH|https?_proxy|no_proxy|npm_config_registry|\w*CERT\w*|\w*CA_BUNDLE|NODE_EXTRA_CA_CERTS)$/i.test(name)
  );
  return Object.fromEntries(kept);
}
