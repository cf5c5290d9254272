/** Largest prompt that is read, in bytes: eight for each token of gpt-oss's context, and small enough to hold. */
export const MAX_PROMPT_BYTES = 1 << 20;
