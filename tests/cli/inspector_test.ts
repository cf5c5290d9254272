/** SIGUSR1 opens no debugger in the program, as it does in other programs on Deno. */
import { pause } from "../../src/breath.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { program } from "./program.ts";

/** Bit of SIGUSR1 in the signal masks of /proc/PID/status. */
const SIGUSR1 = 1n << 9n;
/** Deno listens to the signal half a second after its start, in milliseconds; with a margin. */
const GRACE_MS = 1_200;

const linux = Deno.build.os === "linux";
const name = (title: string) => `${title}${linux ? "" : " (skipped: looks into /proc, which Linux has)"}`;

/** Whether SIGUSR1 is in a process's mask of signals that it ignores (SigIgn) or handles (SigCgt). */
function has(pid: number, mask: "SigIgn" | "SigCgt"): boolean {
  const digits = new RegExp(`^${mask}:\\s*([0-9a-f]+)$`, "m").exec(Deno.readTextFileSync(`/proc/${pid}/status`))![1]!;
  return (BigInt(`0x${digits}`) & SIGUSR1) !== 0n;
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 9_000 && !condition(); i++) await pause(20);
  assert(condition(), "waited in vain");
}

/**
 * Sends the signal to a process that waits for its stdin, and gives what it says until that ends.
 *
 * @param answer What it says to the signal before its stdin goes on; null: nothing, for a while.
 */
async function signalled(command: Deno.Command, ready: (pid: number) => boolean, answer: RegExp | null) {
  const child = command.spawn(), stdout = new Response(child.stdout).text();
  let stderr = "";
  const listening = (async () => {
    for await (const piece of child.stderr.pipeThrough(new TextDecoderStream())) stderr += piece;
  })();
  const writer = child.stdin.getWriter();
  await until(() => ready(child.pid));
  await pause(GRACE_MS);
  assert(ready(child.pid), "Deno has taken the signal back");
  child.kill("SIGUSR1");
  await (answer === null ? pause(300) : until(() => answer.test(stderr)));
  await writer.write(new TextEncoder().encode("Tom has 3 apples."));
  await writer.close();
  await Promise.all([stdout, listening]);
  return { code: (await child.status).code, stderr };
}

Deno.test({
  name: name("SIGUSR1 does nothing to the program, also where a command then gives up calling libraries"),
  ignore: !linux,
  fn: async () => {
    const commands = [["--max-tokens=2"], ["--max-tokens=2", "--weights=read"]];
    const outputs = await Promise.all(
      commands.map((args) => signalled(program(args), (pid) => has(pid, "SigIgn"), null)),
    );
    for (const { code, stderr } of outputs) {
      assertEquals([code, stderr], [0, "note: cut off after 2 tokens (--max-tokens 2)\n"]);
    }
  },
});

Deno.test({
  name: name("SIGUSR1 opens Deno's debugger where the program may not call libraries, as docs say"),
  ignore: !linux,
  fn: async () => {
    const main = new URL("../../main.ts", import.meta.url).pathname;
    const args = ["run", "--no-prompt", "--allow-read", main, "--max-tokens=2"];
    const streams = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
    const command = new Deno.Command(Deno.execPath(), { args, env: { NO_COLOR: "1" }, ...streams });
    // Where another process has the port, that is what it says.
    const answer = /Debugger listening|inspector|9229/i;
    const { code, stderr } = await signalled(command, (pid) => has(pid, "SigCgt"), answer);
    assertEquals(code, 0);
    assertMatch(stderr, answer);
  },
});
