/** What `/stats` and `--stats` say. */
import { counted } from "../../amounts.ts";
import { cacheUse, cacheUseText } from "../../session/cache_use.ts";
import type { Answer, ChatModel } from "./model.ts";

/** Sums over the answers of a conversation. */
export class Totals {
  #answers = 0;
  #prompt = 0;
  #kept = 0;
  #generated = 0;
  /** The last answer; null before the first. */
  last: Answer | null = null;

  /** Takes one more answer. */
  add(answer: Answer): void {
    this.#answers++;
    this.#prompt += answer.promptTokens;
    this.#kept += answer.kept;
    this.#generated += answer.generatedTokens;
    this.last = answer;
  }

  /** The sums in words. */
  get line(): string {
    return `all: ${counted(this.#answers, "answer")} of ${counted(this.#generated, "token")}; of ` +
      `${this.#prompt} prompt tokens ${this.#kept} came from the cache`;
  }
}

/** The model, and how it is computed. */
export function modelLine({ setting, session, room }: ChatModel): string {
  const { checkpoint: { dir }, planned: { plan }, backend } = setting;
  return `${dir} as ${plan.scheme} on ${backend} (${session.engine.info.description}), ${room.context} positions`;
}

/** How full the cache is. */
export const cacheLine = ({ setting, session }: ChatModel): string => cacheUseText(cacheUse(setting, session));

/** How long an answer took. */
export function speedLine(answer: Answer): string {
  const { promptTokens, kept, generatedTokens, prefillMilliseconds, decodeMilliseconds } = answer;
  const rate = (tokens: number, ms: number) =>
    tokens > 0 && ms > 0 ? `, ${Number((tokens / ms * 1000).toPrecision(3))} tok/s` : "";
  // The first token comes out of the prompt.
  return `prompt ${counted(promptTokens, "token")}, ${kept} from the cache, ${promptTokens - kept} computed` +
    `${rate(promptTokens - kept, prefillMilliseconds)}; answer ${counted(generatedTokens, "token")}` +
    rate(generatedTokens - 1, decodeMilliseconds);
}
