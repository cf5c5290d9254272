/** The server as a process of its own. */
import { assert } from "../assert.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;
/** The flags of `deno task mxoss`, which are the launchers' too. */
const FLAGS: readonly string[] = /^deno (run .*) main\.ts$/.exec(
  JSON.parse(Deno.readTextFileSync(CONFIG)).tasks.mxoss,
)![1]!.replaceAll("'", "").split(" ");

/** A server that runs. */
export interface ServerProcess extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  /** Lines that it wrote to stderr. */
  readonly lines: readonly string[];
  /** Those of its log. */
  log(): Record<string, unknown>[];
  /** Sends SIGTERM; gives the exit code. */
  stop(): Promise<number>;
}

/** Starts `mxoss serve` on a port that is free, and waits until it listens. */
export async function startServer(
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<ServerProcess> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...FLAGS, MAIN, "serve", "--port", "0", ...args],
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const lines: string[] = [], listening = Promise.withResolvers<string>();
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
    }
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
