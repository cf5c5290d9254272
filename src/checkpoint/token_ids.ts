/** Ids of special tokens, which stand in config.json and generation_config.json. */
import * as z from "zod";
import { InputError } from "../errors.ts";
import type { ModelConfig } from "./model_config.ts";

const tokenId = z.int({ error: "a token id" }).min(0, { error: "a token id" });
const tokenIds = z.union([tokenId, z.array(tokenId)], { error: "a token id or a list of token ids" }).nullish();

/** The keys that both files may have. */
export const TOKEN_KEYS = {
  eos_token_id: tokenIds,
  pad_token_id: tokenId.nullish(),
  bos_token_id: tokenId.nullish(),
};

/** Validated ids of one file. */
export type TokenValues = z.infer<z.ZodObject<typeof TOKEN_KEYS>>;

/** The ids of a model. */
export type TokenIds = Pick<ModelConfig, "eosTokenIds" | "padTokenId" | "bosTokenId">;

/** Ids of both files: the lists joined, and config.json's where there can be only one. */
export function mergeTokens(config: TokenValues, generation: TokenValues): TokenIds {
  const eos = [config.eos_token_id, generation.eos_token_id].flatMap((ids) => ids ?? []);
  return {
    eosTokenIds: [...new Set(eos)],
    padTokenId: config.pad_token_id ?? generation.pad_token_id ?? null,
    bosTokenId: config.bos_token_id ?? generation.bos_token_id ?? null,
  };
}

/**
 * Checks ids against the vocabulary.
 *
 * @param files What messages begin with.
 * @throws {InputError} for an id that has no embedding.
 */
export function checkTokens({ vocab, eosTokenIds, padTokenId, bosTokenId }: ModelConfig, files: string): void {
  const wrong = [...eosTokenIds, padTokenId ?? 0, bosTokenId ?? 0].find((id) => id >= vocab);
  if (wrong === undefined) return;
  throw InputError.of("wrong_value", { name: files }, `token ids below vocab_size, ${vocab}`, wrong);
}
