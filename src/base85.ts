/**
 * Bytes as text of which JSON escapes nothing: five characters for four bytes, where base64 has five and a third. The
 * characters and their order are Z85's (ZeroMQ's RFC 32); of a last group of n < 4 bytes, n + 1 characters are written.
 */

const CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
const CODES = new TextEncoder().encode(CHARACTERS);

/** Bytes as such a text, the first of four as the most significant one. */
export function toBase85(bytes: Uint8Array): string {
  const text = new Uint8Array(Math.floor(bytes.length / 4) * 5 + (bytes.length % 4 > 0 ? bytes.length % 4 + 1 : 0));
  const group = new Uint8Array(5);
  for (let from = 0, to = 0; from < bytes.length; from += 4, to += 5) {
    const count = Math.min(4, bytes.length - from);
    let number = 0;
    for (let i = 0; i < 4; i++) number = number * 256 + (i < count ? bytes[from + i]! : 0);
    for (let i = 4; i >= 0; i--) {
      group[i] = CODES[number % 85]!;
      number = Math.floor(number / 85);
    }
    text.set(group.subarray(0, count + 1), to);
  }
  return new TextDecoder().decode(text);
}

/**
 * The bytes of such a text.
 *
 * @throws {SyntaxError} if a character is none of the 85, or the last group is one character, or none that four bytes
 *   have.
 */
export function fromBase85(text: string): Uint8Array<ArrayBuffer> {
  const values = new Uint8Array(256).fill(255);
  CODES.forEach((code, value) => values[code] = value);
  const codes = new TextEncoder().encode(text), last = codes.length % 5;
  if (last === 1) throw new SyntaxError("base85: the last group is one character");
  const bytes = new Uint8Array(Math.floor(codes.length / 5) * 4 + (last > 0 ? last - 1 : 0));
  for (let from = 0, to = 0; from < codes.length; from += 5, to += 4) {
    const count = Math.min(5, codes.length - from);
    let number = 0;
    for (let i = 0; i < 5; i++) {
      // The largest digits where characters are missing: what was cut off the number is less than they are worth.
      const value = i < count ? values[codes[from + i]!]! : 84;
      if (value === 255) throw new SyntaxError("base85: a character that is none of the 85");
      number = number * 85 + value;
    }
    if (number > 0xffffffff) throw new SyntaxError("base85: a group that four bytes do not have");
    for (let i = 0; i < count - 1; i++) bytes[to + i] = number >>> (24 - 8 * i);
  }
  return bytes;
}
