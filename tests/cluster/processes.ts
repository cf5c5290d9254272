/** What the tests of clusters start: the program by a name that scripts know, and servers that end with the test. */
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { TINY } from "../cli/program.ts";
import { writeExecutable } from "../executable.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** The problems that examples are run on. */
export const PROBLEMS = new URL("../goldens/word-problems.jsonl", import.meta.url).pathname;

/** Path of an example. */
export const example = (name: string): string => `${ROOT}examples/${name}`;

/** Whether all of some programs are on PATH. */
export function installed(...names: readonly string[]): boolean {
  const path = Deno.env.get("PATH")?.split(":") ?? [];
  return names.every((name) =>
    path.some((dir) => {
      try {
        return Deno.statSync(`${dir}/${name}`).isFile;
      } catch {
        return false;
      }
    })
  );
}

/** What a command left. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A folder with `mxoss` in it, as the task of deno.json starts it, and the variables that the examples read. */
export class Bench extends TemporaryDirectory {
  readonly env: Readonly<Record<string, string>>;

  constructor(env: Readonly<Record<string, string>> = {}) {
    super();
    const { tasks } = JSON.parse(Deno.readTextFileSync(`${ROOT}deno.json`)) as { tasks: Record<string, string> };
    const flags = /^deno (run .*) main\.ts$/.exec(tasks["mxoss"]!)![1]!;
    const program = `#!/bin/sh\nexec '${Deno.execPath()}' ${flags} --no-check '${ROOT}main.ts' "$@"\n`;
    Deno.mkdirSync(`${this.path}/bin`);
    writeExecutable(`${this.path}/bin/mxoss`, program);
    this.env = {
      NO_COLOR: "1",
      PATH: `${this.path}/bin:${Deno.env.get("PATH")}`,
      MODEL: TINY,
      DATA: PROBLEMS,
      // Open MPI starts nothing for root unless both say so; and a test has few processors.
      OMPI_ALLOW_RUN_AS_ROOT: "1",
      OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1",
      OMPI_MCA_rmaps_base_oversubscribe: "1",
      ...env,
    };
  }

  /** Runs a command to its end. */
  async run(command: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
    const { code, stdout, stderr } = await this.command(command, env).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, stdout: text(stdout), stderr: text(stderr) };
  }

  /** A command with the variables. */
  command([program, ...args]: readonly string[], env: Readonly<Record<string, string>> = {}): Deno.Command {
    return new Deno.Command(program!, {
      args,
      cwd: this.path,
      env: { ...this.env, ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    });
  }
}

/** A server that is ended with the test, by its process id. */
export class Server implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #output: Promise<Deno.CommandOutput>;

  constructor(bench: Bench, command: readonly string[]) {
    this.#child = bench.command(command).spawn();
    this.#output = this.#child.output();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGTERM");
    } catch {
      // It has ended.
    }
    await this.#output;
  }
}

/** Waits for something, looking every so often; on a machine that does much else it may take long. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, seconds = 300): Promise<void> {
  for (const end = Date.now() + 1000 * seconds; !await holds();) {
    if (Date.now() > end) throw new Error(`waited ${seconds} s in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

export { exists } from "../exists.ts";
