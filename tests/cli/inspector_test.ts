/** SIGUSR1 opens no debugger in the program, as it does in other programs on Deno. */
import { pause } from "../../src/breath.ts";
import { assert, assertEquals } from "../assert.ts";
import { program } from "./program.ts";

/** Bit of SIGUSR1 in the signal masks of /proc/PID/status. */
const SIGUSR1 = 1n << 9n;
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

/** A process that waits for its stdin, and what it has said. */
class Waiting {
  readonly #child: Deno.ChildProcess;
  readonly #said: Promise<unknown>;
  stderr = "";

  constructor(command: Deno.Command) {
    const child = this.#child = command.spawn();
    const listening = (async () => {
      for await (const piece of child.stderr.pipeThrough(new TextDecoderStream())) this.stderr += piece;
    })();
    this.#said = Promise.all([new Response(child.stdout).text(), listening]);
  }

  has(mask: "SigIgn" | "SigCgt"): boolean {
    return has(this.#child.pid, mask);
  }

  signal(): void {
    this.#child.kill("SIGUSR1");
  }

  /** Gives it what it waits for; waits for its end. */
  async goOn(): Promise<number> {
    const writer = this.#child.stdin.getWriter();
    await writer.write(new TextEncoder().encode("Tom has 3 apples."));
    await writer.close();
    await this.#said;
    return (await this.#child.status).code;
  }
}

Deno.test({
  name: name("SIGUSR1 does nothing to the program, and opens Deno's debugger where that may not call libraries"),
  ignore: !linux,
  fn: async () => {
    // One of them then gives up calling libraries.
    const commands = [["--max-tokens=2"], ["--max-tokens=2", "--weights=read"]];
    const deaf = commands.map((args) => new Waiting(program(args)));
    for (const process of deaf) await until(() => process.has("SigIgn"));

    // Deno listens to the signal half a second after its start. When it does so in a process that was started after the
    // others, it has had the time for it in those.
    const main = new URL("../../main.ts", import.meta.url).pathname;
    const args = ["run", "--no-prompt", "--allow-read", main, "--max-tokens=2"];
    const streams = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
    const hearing = new Waiting(new Deno.Command(Deno.execPath(), { args, env: { NO_COLOR: "1" }, ...streams }));
    await until(() => hearing.has("SigCgt"));
    for (const process of deaf) {
      assert(process.has("SigIgn"), "Deno has taken the signal back");
      process.signal();
    }

    // When that one has answered to a later signal, the others would have. Where another process has the port, that is
    // what it says.
    const answer = /Debugger listening|inspector|9229/i;
    hearing.signal();
    await until(() => answer.test(hearing.stderr));
    for (const process of deaf) {
      const code = await process.goOn();
      assertEquals([code, process.stderr], [0, "note: cut off after 2 tokens (--max-tokens 2)\n"]);
    }
    assertEquals(await hearing.goOn(), 0);
  },
});
