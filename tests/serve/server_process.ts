/** The server as a process of its own. */
import { assert } from "../assert.ts";

/** The words that start this checkout's program: the flags of `deno task mxoss`, which are the launchers' too. */
export function ownWords(): readonly string[] {
  const inRoot = (path: string) => new URL(`../../${path}`, import.meta.url).pathname;
  const { tasks } = JSON.parse(Deno.readTextFileSync(inRoot("deno.json")));
  const [, flags] = /^deno (run .*) main\.ts$/.exec(tasks.mxoss)!;
  return [...flags!.replaceAll("'", "").split(" "), inRoot("main.ts")];
}

/** A server that runs. */
export interface ServerProcess extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  /** Lines that it wrote to stderr. */
  readonly lines: readonly string[];
  /** Those of its log. */
  log(): Record<string, unknown>[];
  /** Waits until it has written such a line to stderr. @throws {Error} if it ended without one. */
  says(line: RegExp): Promise<void>;
  /** Sends SIGTERM; gives the exit code. */
  stop(): Promise<number>;
}

/**
 * Starts `mxoss serve` on a port that is free, and waits until it listens.
 *
 * @param mxoss The program and its own words; as it is: this checkout's.
 */
export async function startServer(
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
  mxoss?: readonly string[],
): Promise<ServerProcess> {
  const [program, ...own] = mxoss ?? [Deno.execPath(), ...ownWords()];
  const child = new Deno.Command(program!, {
    args: [...own, "serve", "--port", "0", ...args],
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const lines: string[] = [], listening = Promise.withResolvers<string>();
  const told = { more: Promise.withResolvers<void>(), over: false };
  const reading = (async () => {
    let rest = "";
    for await (const piece of child.stderr.pipeThrough(new TextDecoderStream())) {
      const whole = (rest + piece).split("\n");
      rest = whole.pop()!;
      for (const line of whole) {
        lines.push(line);
        const [, url] = /^listening on (http:\S+)$/.exec(line) ?? [];
        if (url !== undefined) listening.resolve(url);
      }
      told.more.resolve();
      told.more = Promise.withResolvers();
    }
    told.over = true;
    told.more.resolve();
    listening.reject(new Error(`the server ended: ${lines.join("\n")}`));
  })();
  let ended: Promise<number> | null = null;
  const stop = () =>
    ended ??= (async () => {
      try {
        child.kill("SIGTERM");
      } catch {
        // It has ended.
      }
      const { code } = await child.status;
      await reading;
      return code;
    })();
  try {
    const url = await listening.promise;
    return {
      url,
      pid: child.pid,
      lines,
      says: async (line) => {
        while (!lines.some((one) => line.test(one))) {
          if (told.over) throw new Error(`the server did not say ${line}: ${lines.join("\n")}`);
          await told.more.promise;
        }
      },
      log: () => lines.filter((line) => line.startsWith('{"time"')).map((line) => JSON.parse(line)),
      stop,
      [Symbol.asyncDispose]: async () => void await stop(),
    };
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}

/** Bytes of memory that a process holds. */
export function residentBytes(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`)) ?? [];
  assert(kilobytes !== undefined);
  return 1024 * Number(kilobytes);
}
