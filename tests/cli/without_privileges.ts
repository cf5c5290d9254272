/** Runs of the program by somebody whom the modes of files and directories bind. */

const MAIN = new URL("../../main.ts", import.meta.url).pathname;

/**
 * Runs the program as somebody who may read a file of mode 0444 and not write it: root without its privileges, or who
 * we are.
 */
export async function withoutPrivileges(
  args: readonly string[],
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  const root = Deno.build.os === "linux" && Deno.uid() === 0;
  const deno = [Deno.execPath(), "run", "--no-prompt", "--allow-read", "--allow-write", "--allow-ffi", MAIN, ...args];
  const [first, ...rest] = root ? ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--", ...deno] : deno;
  const { code, stdout, stderr } = await new Deno.Command(first!, { args: rest, env: { NO_COLOR: "1" } }).output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}
