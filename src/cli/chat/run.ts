/** `mxoss chat`: reads questions and commands, at a terminal or in a script, until the conversation ends. */
import { FailureError, InputError } from "../../errors.ts";
import type { Parsed } from "../options.ts";
import { asMessage, checkedArgument } from "../prompt.ts";
import { COMMAND_LINE } from "../spelling.ts";
import { noteFolded } from "../table.ts";
import { dumbTerminal, note } from "../terminal.ts";
import { EXIT_INTERRUPTED } from "../interrupt.ts";
import { Chat } from "./chat.ts";
import { completeLine, obey } from "./commands.ts";
import { CANCELLED, type Lines, PipedLines, readInput, TerminalLines } from "./input.ts";
import type { CHAT } from "./options.ts";
import { modelLine } from "./statistics.ts";

/** Runs the command; gives its exit code. */
export async function chatCommand({ options, positional }: Parsed<typeof CHAT.options>): Promise<number> {
  const interactive = Deno.stdin.isTerminal();
  const question = positional === undefined ? null : asMessage(checkedArgument(positional, "PROMPT"));
  using patience = new Patience(interactive);
  const chat = await Chat.open(options), lines = patience.watch(await openLines(interactive));
  if (interactive) noteFolded(`${modelLine(chat.model)}; /help lists commands`);
  try {
    if (question !== null) await said(interactive, () => chat.ask(question));
    while (await turn(chat, lines, interactive, patience)) {
      // Who stops a script wants none of the rest.
      if (chat.interrupted && !interactive) return EXIT_INTERRUPTED;
      patience.renew();
    }
  } finally {
    await lines.close();
  }
  await chat.model.close();
  return 0;
}

/**
 * Keeps a Ctrl-C that comes a moment after an answer from ending a conversation that is not saved. The second without
 * an input between them ends it, for instance while a scheme takes long to load. One that comes after nothing was
 * computed is one at an empty prompt, which is about to be there.
 */
class Patience implements Disposable {
  #heard = false;
  /** Whether something was computed since the last line. */
  worked = true;
  #lines: Lines | null = null;
  readonly #listener = () => {
    if (!this.worked) return this.#lines?.cancel?.();
    if (this.#heard) Deno.exit(EXIT_INTERRUPTED);
    this.#heard = true;
  };

  /** @param interactive Whether somebody is there who presses it; a script is ended by the first. */
  constructor(readonly interactive: boolean) {
    if (interactive) Deno.addSignalListener("SIGINT", this.#listener);
  }

  /** Hears of lines before anybody else. */
  watch(lines: Lines): Lines {
    this.#lines = lines;
    return {
      next: async (prompt) => {
        const line = await lines.next(prompt);
        this.worked = false;
        return line;
      },
      close: () => lines.close(),
    };
  }

  /** Hears of the next as of the first. */
  renew(): void {
    this.#heard = false;
  }

  [Symbol.dispose](): void {
    if (this.interactive) Deno.removeSignalListener("SIGINT", this.#listener);
  }
}

async function openLines(interactive: boolean): Promise<Lines> {
  const editable = interactive && (Deno.stderr.isTerminal() || Deno.stdout.isTerminal()) && !dumbTerminal();
  if (editable) return await TerminalLines.open(completeLine);
  return new PipedLines(Deno.stdin.readable, interactive);
}

/** One input; false at the end of the conversation. */
async function turn(chat: Chat, lines: Lines, interactive: boolean, patience: Patience): Promise<boolean> {
  let goesOn = true;
  await said(interactive, async () => {
    const input = await readInput(lines, "> ");
    patience.worked = typeof input === "string" && input.trim() !== "";
    if (input === null || input === CANCELLED) goesOn = false;
    else if (input.startsWith("/")) goesOn = await obey(chat, input);
    else if (input.trim() !== "") await chat.ask(asMessage(input));
  });
  return goesOn;
}

/** Says what went wrong and goes on, where somebody is there to read it. */
async function said(interactive: boolean, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (thrown) {
    if (!interactive || !(thrown instanceof InputError || thrown instanceof FailureError)) throw thrown;
    note(`error: ${thrown.line(COMMAND_LINE)}`);
  }
}
