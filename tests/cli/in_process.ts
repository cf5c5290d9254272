/**
 * Runs the program in the test's own thread, which saves the start of a process: for command lines that are refused.
 * What the start and the end of a process do (permissions given up, exit code, pipes) is tested by `mxoss` of
 * program.ts.
 */
import { exitCodeOf } from "../../src/cli/run.ts";
import type { Finished } from "./program.ts";

/**
 * Runs a command line that is to be refused. Nothing is on stdin, and permissions are kept: this thread's are the
 * tests'.
 */
export async function refused(args: readonly string[]): Promise<Finished> {
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
