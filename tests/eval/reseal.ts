/** Journals that a test has changed on purpose, with checksums that hold again. */
import { sealed } from "../../src/checksum.ts";
import { readLines, sealLine } from "../../src/eval/journal_lines.ts";

const FIELD = /,"crc32":"[0-9a-f]{8}"\}$/;

/** The lines of a journal as a version without checksums wrote them. */
export function unsealedJournal(text: string): string {
  return text.split("\n").map((line) => line.replace(FIELD, "}")).join("\n");
}

/** A journal with the checksums that its lines should have. */
export function sealedJournal(text: string): string {
  let crc = 0;
  const { lines } = readLines(new TextEncoder().encode(unsealedJournal(text)), "journal");
  return lines.map((json) => {
    const line = sealLine(json, crc);
    crc = line.crc;
    return line.text;
  }).join("");
}

/** The JSON of a note with a value changed, and the checksum that it should have. */
export function sealedNote(text: string): string {
  const { crc32: _, ...value } = JSON.parse(text);
  return JSON.stringify(sealed(value));
}
