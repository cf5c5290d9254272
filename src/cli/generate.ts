/** `mxoss generate`: answers a prompt. */
import { counted } from "../amounts.ts";
import { UsageError } from "./spelling.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { refuseChanged } from "../checkpoint/identity.ts";
import { float } from "../json_numbers.ts";
import { generate, type Picker, type Timings } from "../session/generate.ts";
import { cacheUse, cacheUseJson, cacheUseText } from "../session/cache_use.ts";
import { machineryOf, protocolOf } from "../session/protocol.ts";
import { warmUp } from "../session/open.ts";
import { Sampler } from "../session/sampler.ts";
import type { Session } from "../session/session.ts";
import { isGpu } from "../session/setting.ts";
import { isoDay } from "../text/day.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { DEFAULT_MAX_TOKENS, type GENERATE } from "./generate_options.ts";
import { EXIT_INTERRUPTED, Interrupt, INTERRUPTED } from "./interrupt.ts";
import { openModel, openRenderer, openTokenizer, warnOfDate, warnOfSystem } from "./open_model.ts";
import type { OptionValues, Parsed } from "./options.ts";
import { ProgressBar } from "./progress.ts";
import { asMessage, readPrompt } from "./prompt.ts";
import { ChatReply, RawReply, type Reply } from "./reply.ts";
import { choicesOf, loadSetting, planOnce } from "./settings.ts";
import { type Ending, speeds, statistics, timingsJson } from "./speeds.ts";
import { noteFolded } from "./table.ts";
import { note, writeOut } from "./terminal.ts";
import { VERSION } from "./version.ts";

type GenerateOptions = OptionValues<typeof GENERATE.options>;

/** The prompt as the model sees it. */
interface Prompt {
  readonly ids: Int32Array;
  /** What turned the user's text into tokens, for the protocol. */
  readonly format: string;
  /** The day that the chat template was told; null where there is none. */
  readonly date: string | null;
}

/** Runs the command; gives its exit code. */
export async function generateCommand({ options, positional }: Parsed<typeof GENERATE.options>): Promise<number> {
  const started = performance.now();
  refuseContradictions(options);
  const choices = choicesOf(options);
  const text = await readPrompt({ argument: positional, argumentName: "PROMPT", file: options["prompt-file"] });
  const checkpoint = await openModel(options.model, true);
  await using _started = await warmUp(choices);
  const tokenizer = await openTokenizer(checkpoint);
  const prompt = await encodePrompt(text, checkpoint, tokenizer, options);
  const maxTokens = tokensToGenerate(prompt.ids.length, checkpoint, options);
  const setting = planOnce({ checkpoint, ...choices });
  // What is mapped is there at once, while scales are still looked through; all else takes seconds to fill.
  if (isGpu(choices.backend) || choices.weights === "read") await checkpoint.scalesChecked();
  const session = await loadSetting(setting, { slots: 1, context: prompt.ids.length + maxTokens });
  await checkpoint.scalesChecked();
  const loaded = performance.now();

  const picker = samplerOf(options);
  const stopIds = new Set(checkpoint.config.eosTokenIds);
  const display = { answer: !options.json, analysis: showAnalysis(options) };
  const reply = options.raw
    ? new RawReply(tokenizer, stopIds, display, options.stop)
    : new ChatReply(tokenizer, display, options.stop);
  const { ids, ending, timings } = await stream({ session, prompt, picker, stopIds, maxTokens, reply });
  if (ending !== "interrupted") refuseChanged(checkpoint.identity);
  const rates = speeds(timings, ending);

  if (options.json) {
    const result = {
      text: reply.text,
      channels: channelsJson(reply),
      prompt_token_ids: [...prompt.ids],
      token_ids: ids,
      finish_reason: ending,
      timings: timingsJson(timings, rates, loaded - started),
      cache: cacheUseJson(cacheUse(setting, session)),
      protocol: {
        mxoss: VERSION,
        ...await protocolOf(setting),
        ...askedJson(options, prompt, picker.seed, maxTokens),
        ...machineryOf(setting, session),
      },
    };
    await writeOut(`${JSON.stringify(result, null, 2)}\n`);
  }
  if (options.stats) {
    noteFolded(
      statistics(timings, rates, loaded - started, [
        cacheUseText(cacheUse(setting, session)),
        session.engine.info.description,
      ]),
    );
  }
  if (ending === "interrupted") {
    note(`interrupted ${ids.length === 0 ? "before the first token" : `after ${counted(ids.length, "token")}`}`);
    return EXIT_INTERRUPTED;
  }
  if (ending !== "stop" && !options.json) {
    note(`note: cut off after ${counted(ids.length, "token")} (--max-tokens ${maxTokens})`);
  }
  await session.close();
  return 0;
}

/** Picks tokens as the options say, from a seed that JSON can report exactly. */
function samplerOf(options: GenerateOptions): Sampler {
  return new Sampler({
    temperature: options.temperature,
    topK: options["top-k"],
    topP: options["top-p"],
    seed: options.seed ?? crypto.getRandomValues(new Uint32Array(1))[0],
  });
}

/** What was asked of the model, for the protocol. */
function askedJson(options: GenerateOptions, { format, date }: Prompt, seed: Sampler["seed"], maxTokens: number) {
  return {
    prompt: format,
    system: options.system ?? null,
    reasoning: options.reasoning ?? null,
    date,
    temperature: float(options.temperature),
    top_k: options["top-k"],
    top_p: float(options["top-p"]),
    seed: options.temperature > 0 ? Number(seed) : null,
    max_tokens: maxTokens,
    ...(options.stop === undefined ? {} : { stop: options.stop }),
  };
}

/** Refuses options that have no effect with `--raw`, or where the likeliest token is taken. */
function refuseContradictions(options: GenerateOptions): void {
  refuseUndrawn(options);
  for (const name of ["system", "reasoning", "date", "analysis"] as const) {
    if (options.raw && options[name] !== undefined) {
      throw UsageError.of("contradiction", { option: name }, "without --raw, which uses no chat template");
    }
  }
}

/**
 * Refuses options of drawing where the likeliest token is taken.
 *
 * @throws {InputError} naming the option.
 */
export function refuseUndrawn(
  { temperature, "top-k": topK, "top-p": topP, seed }: Pick<
    GenerateOptions,
    "temperature" | "top-k" | "top-p" | "seed"
  >,
): void {
  const drawn = [["top-k", topK !== 0], ["top-p", topP !== 1], ["seed", seed !== undefined]] as const;
  for (const [name, given] of drawn) {
    if (temperature > 0 || !given) continue;
    throw UsageError.of("contradiction", { option: name }, "with --temperature above 0", "0");
  }
}

/** Whether the model's reasoning is shown on stderr. */
export function showAnalysis({ analysis = "auto", json }: Pick<GenerateOptions, "analysis" | "json">): boolean {
  return analysis === "always" || (analysis === "auto" && !json && Deno.stderr.isTerminal());
}

async function encodePrompt(
  text: string,
  checkpoint: Checkpoint,
  tokenizer: Tokenizer,
  { raw, system, reasoning, date }: GenerateOptions,
): Promise<Prompt> {
  if (raw) return { ids: tokenizer.encode(text, { allowSpecial: true }), format: "raw", date: null };
  const renderer = await openRenderer(checkpoint, tokenizer);
  if (reasoning !== undefined && !renderer.takesReasoning) {
    note(`warning: --reasoning: ${renderer.source} takes no reasoning effort`);
  }
  if (system) warnOfSystem(renderer);
  if (date !== undefined) warnOfDate(renderer);
  const now = date ?? new Date();
  const { ids } = renderer.render({
    messages: [{ role: "user", content: asMessage(text) }],
    ...(system === undefined ? {} : { system }),
    ...(reasoning === undefined ? {} : { reasoning }),
    now,
  });
  const format = renderer.template === null ? "built-in harmony" : "chat template";
  return { ids, format, date: renderer.writesDay ? isoDay(now) : null };
}

/** How many tokens to generate at most; the cache is sized for them. */
function tokensToGenerate(promptTokens: number, checkpoint: Checkpoint, options: GenerateOptions): number {
  const { maxPositions } = checkpoint.config;
  const room = maxPositions - promptTokens;
  const wanted = options["max-tokens"];
  if (room < 1) {
    throw UsageError.of(
      "too_large",
      { name: "PROMPT" },
      `fewer than ${maxPositions} tokens, the model's context`,
      promptTokens,
    );
  }
  if (wanted !== undefined && wanted > room) {
    throw UsageError.of(
      "too_large",
      { option: "max-tokens" },
      `at most ${room} (the model's context of ${maxPositions} less ${promptTokens} of the prompt)`,
      wanted,
    );
  }
  return wanted ?? Math.min(room, DEFAULT_MAX_TOKENS);
}

/** Everything that {@linkcode stream} works with. */
interface Work {
  readonly session: Session;
  readonly prompt: Prompt;
  readonly picker: Picker;
  readonly stopIds: ReadonlySet<number>;
  readonly maxTokens: number;
  readonly reply: Reply;
}

/** Generates and shows the reply, up to its end or to Ctrl-C. */
async function stream(work: Work): Promise<{ ids: number[]; ending: Ending; timings: Timings }> {
  const { session, prompt, picker, stopIds, maxTokens, reply } = work;
  using interrupt = new Interrupt();
  using bar = new ProgressBar("prompt");
  const started = performance.now();
  const tokens = generate({
    session,
    slot: 0,
    prompt: prompt.ids,
    picker,
    stopIds,
    maxTokens,
    onPrefill: (done, total) => bar.update(done, total),
  });
  const ids: number[] = [];
  let prefilled = started;
  while (true) {
    const next = await interrupt.race(tokens.next());
    if (ids.length === 0) {
      prefilled = performance.now();
      bar[Symbol.dispose]();
    }
    if (next === INTERRUPTED) {
      await reply.finish();
      return { ids, ending: "interrupted", timings: timingsSoFar(prompt.ids.length, ids.length, started, prefilled) };
    }
    if (next.done) {
      await reply.finish();
      return { ids, ending: next.value.reason, timings: next.value.timings };
    }
    ids.push(next.value);
    await reply.push(next.value);
    if (reply.stopped) {
      const timings = timingsSoFar(prompt.ids.length, ids.length, started, prefilled);
      await tokens.return({ reason: "stop", timings });
      await reply.finish();
      return { ids, ending: "stop", timings };
    }
  }
}

function timingsSoFar(promptTokens: number, generatedTokens: number, started: number, prefilled: number): Timings {
  return {
    promptTokens,
    prefillMilliseconds: prefilled - started,
    generatedTokens,
    decodeMilliseconds: performance.now() - prefilled,
  };
}

function channelsJson({ channels }: Reply) {
  if (channels === null) return null;
  const { analysis, commentary, final, other, toolCalls } = channels;
  return {
    analysis,
    commentary,
    final,
    other,
    tool_calls: toolCalls.map(({ recipient, arguments: text, channel, contentType, end }) => ({
      recipient,
      arguments: text,
      channel,
      content_type: contentType,
      complete: end === "call",
    })),
  };
}
