/** The program as a process that stands still in the midst of its work, where a signal is to find it. */
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { program } from "./program.ts";

const PAUSING = new URL("./pausing.ts", import.meta.url).pathname;

/** One that pauses, or is about to; it is ended with the test. */
export interface Paused extends AsyncDisposable {
  readonly child: Deno.ChildProcess;
  readonly ended: Promise<Deno.CommandOutput>;
  /** Ends the pause. */
  goOn(): void;
}

/**
 * Starts the program, and waits until it has given weight files their names, after which it pauses.
 *
 * @param count How many files.
 * @param writable The directory that it may write to.
 * @param by Words of what starts it.
 */
export async function pausedAfter(
  count: number,
  args: readonly string[],
  writable: string,
  by: readonly string[] = [],
): Promise<Paused> {
  const out = args.at(-1)!, go = new TemporaryDirectory(), main = [PAUSING, `${count}`, `${go.path}/go`];
  const child = program(args, { writable, main, by }).spawn(), ended = child.output();
  let over = false;
  ended.then(() => over = true);
  const goOn = () => void go.write("go", "");
  await child.stdin.close();
  while (!over && weightFiles(out) < count) await new Promise((resolve) => setTimeout(resolve, 5));
  return {
    ...{ child, ended, goOn },
    [Symbol.asyncDispose]: async () => {
      goOn();
      await ended;
      go[Symbol.dispose]();
    },
  };
}

function weightFiles(dir: string): number {
  try {
    return [...Deno.readDirSync(dir)].filter(({ name }) => name.endsWith(".safetensors")).length;
  } catch {
    return 0;
  }
}
