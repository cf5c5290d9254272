/**
 * The byte-level alphabet of GPT-2's BPE: every byte is written as one printable character, so that vocabularies of
 * arbitrary bytes fit into JSON strings. Printable Latin-1 bytes stand for themselves; the 68 others, in order, for
 * U+0100 and up.
 */

/** Characters that the alphabet uses lie below this code: 256 + 68. */
const ALPHABET_END = 324;

/** `BYTE_OF_CHAR[code]` is the byte that the character of this code stands for, or -1. */
const BYTE_OF_CHAR: Int16Array = new Int16Array(ALPHABET_END).fill(-1);

/** The alphabet, by byte. */
const CHAR_OF_BYTE: string[] = [];

for (let byte = 0, next = 256; byte < 256; byte++) {
  const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  const code = printable ? byte : next++;
  BYTE_OF_CHAR[code] = byte;
  CHAR_OF_BYTE.push(String.fromCharCode(code));
}

/** The character that stands for a byte (0 to 255). */
export function charOfByte(byte: number): string {
  return CHAR_OF_BYTE[byte]!;
}

/** The byte that the character of a code stands for, or -1. */
export function byteOfCode(code: number): number {
  return code < ALPHABET_END ? BYTE_OF_CHAR[code]! : -1;
}

/** Whether every character of a vocabulary entry belongs to the alphabet. */
export function isByteLevel(piece: string): boolean {
  for (let i = 0; i < piece.length; i++) {
    if (!(BYTE_OF_CHAR[piece.charCodeAt(i)]! >= 0)) return false;
  }
  return true;
}

/** The bytes that a vocabulary entry stands for; it must satisfy {@linkcode isByteLevel}. */
export function bytesOfPiece(piece: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(piece.length);
  for (let i = 0; i < piece.length; i++) bytes[i] = BYTE_OF_CHAR[piece.charCodeAt(i)]!;
  return bytes;
}

/** The vocabulary entry of some bytes. */
export function byteLevel(bytes: Uint8Array): string {
  let piece = "";
  for (const byte of bytes) piece += CHAR_OF_BYTE[byte];
  return piece;
}

/** Bytes of a well-formed string in UTF-8. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    // A surrogate pair is two units here and four bytes there; other characters from U+0800 have three bytes.
    if (code >= 0x80) bytes += code < 0x800 || (code >= 0xd800 && code < 0xe000) ? 1 : 2;
  }
  return bytes;
}
