/** Lines of a conversation that begin with a slash. */
import { counted } from "../../amounts.ts";
import { SCHEME_NAMES } from "../../plan/scheme.ts";
import type { ReasoningEffort } from "../../text/harmony_render.ts";
import { anyOf } from "../../describe.ts";
import { closest } from "../closest.ts";
import { UsageError } from "../spelling.ts";
import { noteFolded } from "../table.ts";
import { note, writeAside } from "../terminal.ts";
import type { Chat } from "./chat.ts";
import { Conversation } from "./conversation.ts";
import { cacheLine, modelLine, speedLine } from "./statistics.ts";

/** A command of a conversation. */
interface ChatCommand {
  /** What follows its name; null where nothing may. */
  readonly value: string | null;
  readonly help: string;
  /** Words that the value may be, for completion. */
  readonly words?: readonly string[];
  /** Carries it out; false ends the conversation. `value` is empty where none was given. */
  readonly run: (chat: Chat, value: string) => Promise<boolean | void> | boolean | void;
}

/** What stands for the checkpoint's own scheme. */
const STORED = "stored";
const EFFORTS: readonly ReasoningEffort[] = ["low", "medium", "high"];

const COMMANDS: Readonly<Record<string, ChatCommand>> = {
  help: { value: null, help: "lists these commands", run: () => help() },
  system: {
    value: "[TEXT]",
    help: 'tells the model TEXT before everything else; "" tells it nothing; alone, shows what it is told',
    run: (chat, text) => {
      if (text !== "") chat.setSystem(text === '""' ? null : text, "/system");
      const { system } = chat.conversation;
      note(system === null ? "no system message" : `system: ${system}`);
    },
  },
  reasoning: {
    value: "[EFFORT]",
    help: "reasoning effort: low, medium or high; alone, shows it",
    words: EFFORTS,
    run: (chat, word) => {
      if (word !== "") chat.setReasoning(oneOf("reasoning", EFFORTS, word));
      note(`reasoning: ${chat.conversation.reasoning ?? "as the model's template has it"}`);
    },
  },
  scheme: {
    value: "[NAME]",
    help: `goes on under another quantization scheme; ${STORED}: the checkpoint's own; alone, lists them`,
    words: [STORED, ...SCHEME_NAMES],
    run: async (chat, word) => {
      if (word === "") {
        noteFolded(
          `scheme: ${chat.model.setting.planned.plan.scheme}; others: ${[STORED, ...SCHEME_NAMES].join(", ")}`,
        );
        return;
      }
      const name = oneOf("scheme", [STORED, ...SCHEME_NAMES], word);
      await chat.setScheme(name === STORED ? null : name);
    },
  },
  context: {
    value: "[N]",
    help: "sets N positions aside for the conversation; alone, says how many are in use",
    run: async (chat, word) => {
      if (word === "") {
        note(`${chat.model.used} of ${chat.model.room.context} positions are in use`);
        return;
      }
      const positions = /^\d+$/.test(word) ? Number(word) : 0;
      if (!(positions >= 16)) {
        throw UsageError.of("wrong_value", { name: "/context" }, "an integer of at least 16", `"${word}"`);
      }
      await chat.setContext(positions);
    },
  },
  retry: {
    value: null,
    help: "answers the last question again, for instance under another scheme",
    run: async (chat) => {
      const turn = chat.conversation.turns.pop();
      if (turn === undefined) throw nothingSaid("retry");
      const { length } = chat.conversation.turns;
      try {
        await chat.ask(turn.user);
      } finally {
        // No answer came: the old one stays.
        if (chat.conversation.turns.length === length) chat.conversation.turns.push(turn);
      }
    },
  },
  undo: {
    value: null,
    help: "takes the last question and its answer back",
    run: ({ conversation }) => {
      const turn = conversation.turns.pop();
      if (turn === undefined) throw nothingSaid("undo");
      note(`taken back: ${turn.user}`);
    },
  },
  reset: {
    value: null,
    help: "begins a new conversation; the system message, the reasoning effort and --date stay",
    run: (chat) => {
      const { system, reasoning } = chat.conversation, { date: now = new Date() } = chat.options;
      chat.conversation = Object.assign(new Conversation(), { system, reasoning, now });
    },
  },
  history: {
    value: null,
    help: "shows the conversation",
    run: ({ conversation: { turns } }) => {
      if (turns.length === 0) note("nothing was said yet");
      for (const { user, assistant, protocol } of turns) writeAside(`> ${user}\n${assistant}\n(${protocol.scheme})\n`);
    },
  },
  save: {
    value: "FILE",
    help: "writes the conversation to a file, with how each answer was computed",
    run: (chat, file) => {
      if (file === "") throw UsageError.of("missing", { name: "/save" }, "a file");
      chat.conversation.save(chat.placeOf(file));
      note(`${file}: ${counted(chat.conversation.turns.length, "turn")}`);
    },
  },
  load: {
    value: "FILE",
    help: "goes on with a conversation that /save wrote",
    run: (chat, file) => {
      if (file === "") throw UsageError.of("missing", { name: "/load" }, "a file");
      chat.goOnWith(Conversation.load(file), file);
    },
  },
  stats: {
    value: null,
    help: "says what is loaded, how much room is left, and how fast it was",
    run: ({ model, totals }) => {
      noteFolded(modelLine(model));
      noteFolded(cacheLine(model));
      if (totals.last === null) return;
      noteFolded(`last: ${speedLine(totals.last)}`);
      noteFolded(totals.line);
    },
  },
  exit: { value: null, help: "ends the conversation, as Ctrl-D does", run: () => false },
};

/** Other names, which help does not list. */
const ALIASES: Readonly<Record<string, string>> = {
  quit: "exit",
  bye: "exit",
  "?": "help",
  clear: "reset",
  regen: "retry",
};

/**
 * Carries out a command.
 *
 * @returns Whether the conversation goes on.
 * @throws {InputError} for a command that there is not, with the one that is most like it.
 */
export async function obey(chat: Chat, line: string): Promise<boolean> {
  const [, given, rest] = /^\/(\S*)\s*(.*?)\s*$/s.exec(line)!;
  const name = ALIASES[given!] ?? given!, command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    const near = closest(name, Object.keys(COMMANDS));
    const hint = near === undefined ? "/help lists them" : `did you mean /${near}?`;
    throw UsageError.saying(
      "wrong_value",
      { name: `/${given}` },
      `unknown command; ${hint} (a question that begins with a slash has a blank before it)`,
    );
  }
  if (command.value === null && rest !== "") {
    throw UsageError.of("wrong_value", { name: `/${given}` }, "nothing after it", `"${rest}"`);
  }
  return await command.run(chat, rest!) !== false;
}

/** Completes names of commands, and words that may follow them. */
export function completeLine(line: string): [string[], string] {
  const [, name, , word] = /^\/(\S*)(\s+(\S*))?$/.exec(line) ?? [];
  if (name === undefined) return [[], line];
  if (word === undefined) {
    return [Object.keys(COMMANDS).map((one) => `/${one}`).filter((one) => one.startsWith(line)), line];
  }
  const { words = [] } = Object.hasOwn(COMMANDS, name) ? COMMANDS[name]! : {};
  return [words.filter((one) => one.startsWith(word)), word];
}

/** So many words are named all. */
const FEW_WORDS = 4;

function oneOf<T extends string>(name: string, words: readonly T[], got: string): T {
  const found = words.find((word) => word === got);
  if (found !== undefined) return found;
  // Of many words one is enough, if it was meant.
  const near = words.length > FEW_WORDS ? closest(got, words) : undefined;
  const expected = near === undefined ? anyOf(words) : `one of its words, perhaps ${near}`;
  throw UsageError.of("wrong_value", { name: `/${name}` }, expected, `"${got}"`);
}

function nothingSaid(name: string) {
  return UsageError.saying("missing", { name: `/${name}` }, "nothing was said yet");
}

function help(): void {
  const rows = Object.entries(COMMANDS).map(([name, { value, help }]) => ({
    left: `/${name}${value === null ? "" : ` ${value}`}`,
    help,
  }));
  const width = Math.max(...rows.map(({ left }) => left.length)) + 2;
  const lines = rows.map(({ left, help }) => `${left.padEnd(width)}${help}`);
  for (const line of lines) noteFolded(line);
  noteFolded('A question goes on in the next line after a backslash, or stands between """ and """.');
}
