/** The program as its users start it: how long a command takes, and what memory it holds. Linux. */

/** What a run of the command gave. */
export interface CommandRun {
  /** Milliseconds from the start of the process to the first byte of the reply, where it has one, and to its end. */
  readonly first: number | null;
  readonly whole: number;
  readonly stderr: string;
  /** The most that was seen in /proc/PID/status, in megabytes; null where it was not looked at. */
  readonly memory: { readonly resident: number; readonly own: number; readonly mapped: number } | null;
}

/** Milliseconds between two looks at memory. */
const LOOK = 20;

/**
 * Runs the program, whose script is `main`, and waits for its end.
 *
 * @param looks Whether its memory is looked at meanwhile, which takes some time of its own.
 * @throws {Error} if it fails.
 */
export async function runCommand(main: string, args: readonly string[], looks = false): Promise<CommandRun> {
  const flags = ["run", "-A", "--no-config", "--no-lock", "--no-prompt", main];
  const began = performance.now(), since = () => performance.now() - began;
  const process = new Deno.Command(Deno.execPath(), {
    args: [...flags, ...args],
    ...{ stdin: "null", stdout: "piped", stderr: "piped" },
  }).spawn();
  const most = { resident: 0, own: 0, mapped: 0 };
  const look = () => {
    const { resident, own, mapped } = memoryOf(process.pid);
    most.resident = Math.max(most.resident, resident);
    most.own = Math.max(most.own, own);
    most.mapped = Math.max(most.mapped, mapped);
  };
  const timer = looks ? setInterval(look, LOOK) : undefined;
  let first: number | null = null;
  const printed = (async () => {
    for await (const _ of process.stdout) first ??= since();
  })();
  const [stderr, { success, code }] = await Promise.all([
    new Response(process.stderr).text(),
    process.status,
    printed,
  ]);
  clearInterval(timer);
  if (!success) throw new Error(`mxoss ${args.join(" ")}: exit code ${code}\n${stderr}`);
  return { first, whole: since(), stderr, memory: looks ? most : null };
}

/** Resident memory of a process, its own and pages of files that are mapped, in megabytes; zeros once it has ended. */
function memoryOf(pid: number): { resident: number; own: number; mapped: number } {
  let status = "";
  try {
    status = Deno.readTextFileSync(`/proc/${pid}/status`);
  } catch { /* It has ended. */ }
  const of = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? 0) * 1024 / 1e6;
  return { resident: of("VmRSS"), own: of("RssAnon"), mapped: of("RssFile") + of("RssShmem") };
}
