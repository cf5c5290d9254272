/**
 * Runs the program in the test's own thread, which saves the start of a process and what it compiles anew. What the
 * start and the end of a process do (permissions given up, exit code, pipes, signals) is tested by `mxoss` of
 * program.ts.
 */
import { exitCodeOf } from "../../src/cli/run.ts";
import { dose } from "../soak.ts";
import { type Finished, withoutProgress } from "./program.ts";

/** Threads of a run that asks for none: beside other tests a second one takes more processor time than it saves. */
const THREADS = dose(1, navigator.hardwareConcurrency);

/** What is another way than in this thread. */
export interface InProcess {
  /** All environment variables; without it those of the tests. */
  readonly env?: Readonly<Record<string, string>>;
  /** Text for stdin; without it stdin is empty. */
  readonly stdin?: string;
  /** Processors that the program shall see. */
  readonly threads?: number;
  /** Columns of the terminal that stdout is; without it stdout is none. */
  readonly columns?: number;
}

/**
 * Runs a command line to its end; unless it is said otherwise, neither stdout nor stderr is a terminal. Permissions are
 * kept, as this thread's are the tests', and no signal is listened for, as signals are the process's. One at a time:
 * what a run writes is caught where all of the thread's is.
 */
export async function inProcess(
  args: readonly string[],
  { env, stdin = "", threads = THREADS, columns }: InProcess = {},
): Promise<Finished> {
  const { stdout, stderr, permissions } = Deno, ownEnv = Deno.env;
  const decoder = new TextDecoder();
  const written = { stdout: "", stderr: "" };
  const no = () => false, nothing = () => {};
  const kept = (descriptor: Deno.PermissionDescriptor) => permissions.querySync(descriptor);
  const dlopen = Deno.dlopen;
  using _replaced = replaced(
    [Deno.stdin, { readable: new Blob([stdin]).stream(), isTerminal: no }],
    [stdout, {
      write: (bytes: Uint8Array) => {
        written.stdout += decoder.decode(bytes);
        return Promise.resolve(bytes.length);
      },
      isTerminal: () => columns !== undefined,
    }],
    [stderr, {
      writeSync: (bytes: Uint8Array) => {
        written.stderr += decoder.decode(bytes);
        return bytes.length;
      },
      isTerminal: no,
    }],
    [ownEnv, env === undefined ? {} : { get: (name: string) => env[name] }],
    [navigator, { hardwareConcurrency: threads }],
    [permissions, { revokeSync: kept, requestSync: kept }],
    [Deno, {
      addSignalListener: nothing,
      removeSignalListener: nothing,
      consoleSize: () => ({ columns, rows: 24 }),
      // What signals do is set by libc, for the process.
      dlopen: (name: string, symbols: Deno.ForeignLibraryInterface) => {
        if (Object.keys(symbols).join() === "sigaction") throw new Error("signals are the process's");
        return dlopen(name, symbols);
      },
    }],
  );
  const code = await exitCodeOf(args, false);
  return { code, stdout: written.stdout, stderr: withoutProgress(written.stderr) };
}

// The place where they are kept is the user's.
Deno.env.set("MXOSS_SELF_TESTS", "always");

/** Replaces properties of objects until disposed of. */
export function replaced(...all: readonly (readonly [object: object, properties: object])[]): Disposable {
  const before = all.map(([object, properties]) => {
    const descriptors = Object.keys(properties).map((name) =>
      [name, Object.getOwnPropertyDescriptor(object, name)] as const
    );
    for (const [name, value] of Object.entries(properties)) {
      Object.defineProperty(object, name, { value, configurable: true, writable: true });
    }
    return [object, descriptors] as const;
  });
  return {
    [Symbol.dispose]: () => {
      for (const [object, descriptors] of before) {
        for (const [name, descriptor] of descriptors) {
          if (descriptor === undefined) Reflect.deleteProperty(object, name);
          else Object.defineProperty(object, name, descriptor);
        }
      }
    },
  };
}
