/** A conversation with a model as it goes on: what commands read and change. */
import { counted } from "../../amounts.ts";
import { dirname, resolve, sep } from "node:path";
import type { InputError } from "../../errors.ts";
import type { Checkpoint } from "../../checkpoint/checkpoint.ts";
import { protocolOf } from "../../session/protocol.ts";
import { Sampler } from "../../session/sampler.ts";
import type { Choices } from "../../session/setting.ts";
import type { ChatRenderer } from "../../text/chat.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";
import { refuseUndrawn, showAnalysis } from "../generate.ts";
import { openModel, openRenderer, openTokenizer, warnOfDate, warnOfSystem } from "../open_model.ts";
import type { OptionValues } from "../options.ts";
import { makeWritableDirectory } from "../../checkpoint/directories.ts";
import { refuseNoDirectory } from "../places.ts";
import { ChatReply } from "../reply.ts";
import { choicesOf, planOnce, refuseLonger } from "../settings.ts";
import { COMMAND_LINE, UsageError } from "../spelling.ts";
import { noteFolded } from "../table.ts";
import { note } from "../terminal.ts";
import { Conversation, type Turn } from "./conversation.ts";
import { type Answer, ChatModel } from "./model.ts";
import { type CHAT, DEFAULT_CONTEXT } from "./options.ts";
import { cacheLine, modelLine, speedLine, Totals } from "./statistics.ts";
import { type Room, warmUp } from "../../session/open.ts";

type ChatOptions = OptionValues<typeof CHAT.options>;

/** Share of the context at which a warning says what can be done. */
const NEARLY_FULL = 0.75;

/** A conversation with a loaded model. */
export class Chat {
  readonly totals = new Totals();
  conversation = new Conversation();
  /** Whether Ctrl-C stopped the last answer. */
  interrupted = false;
  /** Answers that were begun, which number the seeds. */
  #answers = 0;
  #warned = false;

  private constructor(
    readonly checkpoint: Checkpoint,
    readonly tokenizer: Tokenizer,
    readonly renderer: ChatRenderer,
    readonly options: ChatOptions,
    readonly choices: Choices,
    readonly seed: number,
    readonly model: ChatModel,
  ) {}

  /**
   * Opens the checkpoint and loads it.
   *
   * @throws {InputError} where options and checkpoint make no model that converses.
   */
  static async open(options: ChatOptions): Promise<Chat> {
    refuseUndrawn(options);
    const choices = choicesOf(options), { load: file, out } = options;
    if (out !== undefined) {
      refuseNoDirectory(out, { option: "out" });
      makeWritableDirectory(out);
    }
    const loaded = file === undefined ? null : Conversation.load(file, `--load: ${file}`);
    const checkpoint = await openModel(options.model, true);
    await using _started = await warmUp(choices);
    const tokenizer = await openTokenizer(checkpoint);
    const renderer = await openRenderer(checkpoint, tokenizer);
    const setting = planOnce({ checkpoint, ...choices });
    await checkpoint.scalesChecked();
    const model = await ChatModel.load(setting, roomFor(checkpoint, options, options.context));
    const seed = options.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]!;
    const chat = new Chat(checkpoint, tokenizer, renderer, options, choices, seed, model);
    if (loaded !== null) chat.goOnWith(loaded, options.load!);
    if (options.date !== undefined) chat.setDate(options.date);
    if (options.system !== undefined) chat.setSystem(options.system, "--system");
    if (options.reasoning !== undefined) chat.setReasoning(options.reasoning);
    return chat;
  }

  /** Goes on with another conversation. */
  goOnWith(conversation: Conversation, path: string): void {
    this.conversation = conversation;
    const { turns } = conversation, last = turns.at(-1)?.protocol;
    note(`${path}: ${counted(turns.length, "turn")}`);
    if (conversation.system) warnOfSystem(this.renderer, path);
    if (last !== undefined && last.scheme !== this.model.setting.planned.plan.scheme) {
      note(
        `note: the last answer there is of ${last.scheme}; the next is of ${this.model.setting.planned.plan.scheme}`,
      );
    }
  }

  /** Sets what the model is told before everything else, and warns where its template leaves that out. */
  setSystem(text: string | null, from: string): void {
    this.conversation.system = text;
    if (text) warnOfSystem(this.renderer, from);
  }

  /** Sets the day that the model is told, and warns where its template writes none. */
  setDate(date: Date): void {
    this.conversation.now = date;
    warnOfDate(this.renderer);
  }

  /** Sets the reasoning effort, and warns where the model's template takes none. */
  setReasoning(effort: Conversation["reasoning"]): void {
    this.conversation.reasoning = effort;
    if (effort !== null && !this.renderer.takesReasoning) {
      note(`warning: ${this.renderer.source} takes no reasoning effort`);
    }
  }

  /** Loads another scheme; null: the checkpoint's own. */
  async setScheme(scheme: string | null): Promise<void> {
    const { model, checkpoint, choices } = this;
    const setting = planOnce({ checkpoint, ...choices, scheme });
    await model.reload(setting, model.room);
    noteFolded(modelLine(model));
  }

  /** Sets other room aside for the conversation. */
  async setContext(context: number): Promise<void> {
    const { model, checkpoint, options } = this;
    refuseLonger(context, checkpoint.config.maxPositions, { name: "/context" });
    await model.reload(model.setting, roomFor(checkpoint, options, context));
    this.#warned = false;
    noteFolded(modelLine(model));
  }

  /** Path of a file to save to. */
  placeOf(file: string): string {
    const path = resolve(file), { out = "." } = this.options, below = resolve(out).replace(/[/\\]+$/, "");
    if (path.startsWith(`${below}${sep}`)) return path;
    throw UsageError.of(
      "wrong_value",
      { file },
      `a file in ${below}, or another ${COMMAND_LINE.option("out")}`,
      dirname(path),
    );
  }

  /**
   * Asks the model, shows its answer and remembers both. Nothing is remembered of an answer that did not come to words.
   *
   * @throws {InputError} where the conversation has no room for the question.
   */
  async ask(question: string): Promise<void> {
    const { conversation, model, options } = this, { temperature } = options;
    const { ids } = this.renderer.render(conversation.request(question)), room = model.room.context - ids.length;
    if (room < 1) throw this.#full(ids.length);
    const seed = (this.seed + this.#answers++) % Number.MAX_SAFE_INTEGER;
    const display = { answer: true, analysis: showAnalysis({ ...options, json: false }) };
    const reply = new ChatReply(this.tokenizer, display, options.stop);
    const answer = await model.answer({
      ids,
      reply,
      picker: new Sampler({ temperature, topK: options["top-k"], topP: options["top-p"], seed }),
      stopIds: new Set(this.checkpoint.config.eosTokenIds),
      maxTokens: Math.min(options["max-tokens"], room),
    });
    this.totals.add(answer);
    this.interrupted = answer.finish === "interrupted";
    if (options.stats) noteFolded(`${speedLine(answer)}; ${cacheLine(model)}`);
    const { final, commentary, analysis } = reply.channels, assistant = final || commentary || reply.text;
    const why = stoppedWhy(answer, options["max-tokens"]);
    if (assistant.trim() === "") {
      note(`note: ${why ?? "no answer came"}, before a word of the answer: the question is taken back`);
      return;
    }
    if (why !== null) note(`note: ${why}; what was said so far is part of the conversation`);
    conversation.turns.push({
      user: question,
      assistant,
      thinking: analysis === "" ? null : analysis,
      finish_reason: answer.finish,
      prompt_tokens: answer.promptTokens,
      generated_tokens: answer.generatedTokens,
      protocol: await this.#protocol(seed),
    });
    this.#warnNearlyFull();
  }

  async #protocol(seed: number): Promise<Turn["protocol"]> {
    const { temperature, "top-k": top_k, "top-p": top_p, stop = [] } = this.options;
    const drawn = temperature > 0 ? seed : null, sampling = { temperature, top_k, top_p, seed: drawn };
    return { ...await protocolOf(this.model.setting), ...sampling, stop: [...stop] };
  }

  #full(tokens: number): InputError {
    const { context } = this.model.room, more = context < this.checkpoint.config.maxPositions;
    return UsageError.saying(
      "too_large",
      { name: "the conversation" },
      `has ${tokens} tokens with this question, and room for ${context}: /undo takes the last turn back, /reset all` +
        (more ? `, /context ${suggested(this, tokens)} makes more room` : ""),
    );
  }

  #warnNearlyFull(): void {
    const { used, room: { context } } = this.model, full = used > NEARLY_FULL * context;
    if (full && !this.#warned) {
      const more = context < this.checkpoint.config.maxPositions ? `, or /context ${suggested(this, context)}` : "";
      note(`note: ${used} of ${context} positions are in use; before they are full, /undo or /reset${more}`);
    }
    this.#warned = full;
  }
}

/** A context that has room for so many tokens twice. */
function suggested({ checkpoint }: Chat, tokens: number): number {
  return Math.min(checkpoint.config.maxPositions, 2 ** Math.ceil(Math.log2(2 * tokens)));
}

function stoppedWhy({ finish, generatedTokens }: Answer, maxTokens: number): string | null {
  switch (finish) {
    case "stop":
      return null;
    case "interrupted":
      return "stopped";
    case "context":
      return `cut off after ${counted(generatedTokens, "token")}: the context is full (/undo, /reset or /context N)`;
    case "length":
      return generatedTokens < maxTokens
        ? `cut off after ${counted(generatedTokens, "token")}: the context is full (/undo, /reset or /context N)`
        : `cut off after ${counted(generatedTokens, "token")} (${COMMAND_LINE.option("max-tokens")} ${maxTokens})`;
  }
}

/** Positions for the conversation; sliding layers remember far enough to drop an answer's reasoning. */
function roomFor({ config }: Checkpoint, options: ChatOptions, context: number | undefined): Room {
  const { maxPositions } = config;
  refuseLonger(context, maxPositions);
  const positions = context ?? Math.min(maxPositions, DEFAULT_CONTEXT);
  return { slots: 1, context: positions, rewind: Math.min(positions, options["max-tokens"]) };
}
