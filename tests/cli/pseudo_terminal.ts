/** A program at a real terminal, which `script` of util-linux gives it; in soaks. */
import { SOAK } from "../soak.ts";

const HAS_SCRIPT = SOAK && new Deno.Command("sh", { args: ["-c", "command -v script"] }).outputSync().success;
/** What a test at a terminal is ignored by, and why, for its name. */
export const IGNORE = { ignore: !HAS_SCRIPT };
/** Why such a test is skipped, for its name; empty where it runs. */
export const WHY = HAS_SCRIPT ? "" : SOAK ? " (skipped: no script of util-linux)" : " (skipped: without MXOSS_SOAK=1)";

/** Ctrl-C as a terminal sends it. */
export const CTRL_C = "\x03";

const PATIENCE_MS = 180_000;

/** A program at a terminal, and what the terminal has shown. */
export class Terminal {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #done: Promise<void>;
  shown = "";
  /** When the terminal had shown so many characters, in milliseconds. */
  readonly times: { readonly at: number; readonly length: number }[] = [];
  /** How much of it was looked for already. */
  #seen = 0;

  /** @param columns Width of its window, in characters. */
  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}, columns = 200) {
    const { args: words, command } = wordsOf(args);
    const line = [command, ...words].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
    this.#child = new Deno.Command("script", {
      args: [
        "--quiet",
        "--return",
        "--echo",
        "never",
        "--command",
        `stty echo cols ${columns}; exec ${line}`,
        "/dev/null",
      ],
      env: { NO_COLOR: "1", TERM: "xterm", SHELL: "/bin/sh", ...env },
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#done = this.#listen();
  }

  async #listen(): Promise<void> {
    const decoder = new TextDecoder();
    for await (const bytes of this.#child.stdout) {
      this.shown += decoder.decode(bytes, { stream: true });
      this.times.push({ at: performance.now(), length: this.shown.length });
    }
  }

  /** Types keys. */
  async type(...keys: readonly string[]): Promise<void> {
    for (const key of keys) await this.#writer.write(new TextEncoder().encode(key));
  }

  /** Waits until a text is shown after what was waited for before. */
  async sees(text: string): Promise<void> {
    const until = performance.now() + PATIENCE_MS;
    while (!this.shown.includes(text, this.#seen)) {
      if (performance.now() > until) throw new Error(`"${text}" is not in ${JSON.stringify(this.shown)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    this.#seen = this.shown.indexOf(text, this.#seen) + text.length;
  }

  /** Waits for the end; gives the exit code. */
  async end(): Promise<number> {
    const { code } = await this.#child.status;
    await this.#done;
    await this.#writer.close().catch(() => {});
    return code;
  }
}

/** The command line of the program with the permissions of its task. */
function wordsOf(args: readonly string[]): { readonly command: string; readonly args: readonly string[] } {
  const main = new URL("../../main.ts", import.meta.url).pathname;
  const flags = ["--no-prompt", "--allow-read", "--allow-ffi", "--allow-env=MXOSS_TRACE,TERM", "--allow-write=/"];
  return { command: Deno.execPath(), args: ["run", ...flags, main, ...args] };
}
