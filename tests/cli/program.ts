/** Runs the program as its users do: as a process of its own. */

const ROOT = new URL("../../", import.meta.url);
const MAIN = new URL("main.ts", ROOT).pathname;

/** Directory of the embedded model. */
export const TINY = new URL("models/tiny-gpt-oss", ROOT).pathname;

/** What a finished run left. */
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run. */
export interface RunOptions {
  /** Text for stdin; without it stdin is empty. */
  readonly stdin?: string;
  /** Directory that the program may write to. */
  readonly writable?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Variables that it may read besides MXOSS_TRACE. */
  readonly variables?: readonly string[];
  /** Words that stand for main.ts: a script that runs the program, and its own arguments. */
  readonly main?: readonly string[];
  /** Words of a program that starts it. */
  readonly by?: readonly string[];
}

/** The command that starts the program with the permissions that the README's tasks give it. */
export function program(
  args: readonly string[],
  { writable, env, variables = [], main = [MAIN], by = [] }: RunOptions = {},
): Deno.Command {
  const [command = "", ...words] = [...by, Deno.execPath()];
  return new Deno.Command(command, {
    args: [
      ...words,
      "run",
      "--no-prompt",
      "--allow-read",
      "--allow-ffi",
      `--allow-env=${["MXOSS_TRACE", ...variables].join(",")}`,
      ...(writable === undefined ? [] : [`--allow-write=${writable}`]),
      ...main,
      ...args,
    ],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    env: { NO_COLOR: "1", MXOSS_TRACE: "", ...env },
  });
}

/**
 * What was written to stderr, without the lines of progress: they come by the clock, twice a minute, so that a run that
 * shows none shows some where the machine does much else.
 */
export function withoutProgress(stderr: string): string {
  return stderr.replace(/^.*\[#* *\] \d.*\n/gm, "");
}

/** Runs the program to its end. */
export async function mxoss(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const child = program(args, options).spawn();
  const output = child.output();
  const writer = child.stdin.getWriter();
  try {
    if (options.stdin !== undefined) await writer.write(new TextEncoder().encode(options.stdin));
    await writer.close();
  } catch {
    // A program that refuses its arguments ends without reading stdin.
  }
  const { code, stdout, stderr } = await output;
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: decode(stdout), stderr: withoutProgress(decode(stderr)) };
}
