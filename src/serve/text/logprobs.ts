/** Log probabilities as the older of OpenAI's formats has them. */
import type { TokenBytes } from "../../text/stream_decoder.ts";
import type { ScoredToken } from "../engine/job.ts";
import { tokenText } from "./token_text.ts";

/** JSON has no infinity; vLLM writes the same. */
export const LEAST = -9999;

/** See `LogProbs` of completions_schema.ts. */
export interface TokenLogProbs {
  readonly tokens: string[];
  readonly token_logprobs: (number | null)[];
  readonly top_logprobs: (Record<string, number> | null)[];
  readonly text_offset: number[];
}

/** Writes tokens down. */
export class LogProbWriter {
  #offset = 0;

  /** @param asIds Whether tokens are called `token_id:ID`. */
  constructor(readonly tokenizer: TokenBytes, readonly asIds: boolean) {}

  /** @param lengths Characters (code points) that each token adds to the text. */
  write(tokens: readonly ScoredToken[], lengths: readonly number[]): TokenLogProbs {
    const name = (id: number) => this.asIds ? `token_id:${id}` : tokenText(this.tokenizer, id);
    return {
      tokens: tokens.map(({ id }) => name(id)),
      token_logprobs: tokens.map(({ logProbability }) => logProbability === null ? null : finite(logProbability)),
      top_logprobs: tokens.map(({ id, logProbability, top }) => {
        if (logProbability === null) return null;
        const all = new Map(top.map(([other, value]) => [name(other), finite(value)]));
        // The token itself is always there.
        return Object.fromEntries(all.set(name(id), finite(logProbability)));
      }),
      text_offset: lengths.map((length) => {
        const offset = this.#offset;
        this.#offset += length;
        return offset;
      }),
    };
  }
}

function finite(value: number): number {
  return Number.isFinite(value) ? value : LEAST;
}
