/**
 * Runs the program in the test's own thread, which saves the start of a process. What the start and the end of a
 * process do (permissions given up, exit code, pipes) is tested by `mxoss` of program.ts.
 */
import { exitCodeOf } from "../../src/cli/run.ts";
import type { Finished } from "./program.ts";

/** Runs a command line. Nothing is on stdin, and permissions are kept: this thread's are the tests'. */
export async function inProcess(args: readonly string[]): Promise<Finished> {
  const { stdout, stderr, permissions } = Deno;
  const before = {
    write: stdout.write,
    writeSync: stderr.writeSync,
    revokeSync: permissions.revokeSync,
    requestSync: permissions.requestSync,
  };
  const decoder = new TextDecoder();
  const written = { stdout: "", stderr: "" };
  stdout.write = (bytes) => {
    written.stdout += decoder.decode(bytes);
    return Promise.resolve(bytes.length);
  };
  stderr.writeSync = (bytes) => {
    written.stderr += decoder.decode(bytes);
    return bytes.length;
  };
  permissions.revokeSync = permissions.requestSync = (descriptor) => permissions.querySync(descriptor);
  try {
    const code = await exitCodeOf(args, false);
    return { code, ...written };
  } finally {
    stdout.write = before.write;
    stderr.writeSync = before.writeSync;
    Object.assign(permissions, { revokeSync: before.revokeSync, requestSync: before.requestSync });
  }
}

/** {@linkcode inProcess}, where a command line is to be refused. */
export const refused = inProcess;
