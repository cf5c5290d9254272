/** What a token is called where log probabilities are reported. */
import type { TokenBytes } from "../../text/stream_decoder.ts";

/** The text of a token's bytes; null where they are not whole characters. */
function wholeText(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/**
 * A token's text; where its bytes are a part of a character, `bytes:\xe2\x82`, as OpenAI writes it. So
 * tokens of different bytes have different names.
 */
export function tokenText(tokenizer: TokenBytes, id: number): string {
  const bytes = tokenizer.bytes(id);
  return wholeText(bytes) ??
    `bytes:${Array.from(bytes, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}`;
}
