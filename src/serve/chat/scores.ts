/** Log probabilities of tokens, as chat completions and responses have them. */
import type { ScoredToken } from "../engine/job.ts";
import type { ChatLogProbs } from "../endpoints/chat_schema.ts";
import { LEAST } from "../text/logprobs.ts";
import { tokenText } from "../text/token_text.ts";
import type { TokenBytes } from "../../text/stream_decoder.ts";

/**
 * Writes tokens down, the likeliest beside each.
 *
 * @param asIds Whether tokens are called `token_id:ID`.
 */
export function scoresOf(
  tokenizer: TokenBytes,
  tokens: readonly ScoredToken[],
  asIds = false,
): ChatLogProbs["content"] {
  const scored = (id: number, logprob: number) => ({
    token: asIds ? `token_id:${id}` : tokenText(tokenizer, id),
    logprob: Math.max(logprob, LEAST),
    bytes: [...tokenizer.bytes(id)],
  });
  return tokens.map(({ id, logProbability, top }) => ({
    ...scored(id, logProbability ?? LEAST),
    top_logprobs: top.map(([other, value]) => scored(other, value)),
  }));
}
