/** Damages of a file of lines: by a disk, an editor, a transfer, or a person. */

/** A damage in words, and the file that has it. */
export type Damage = readonly [what: string, damaged: () => Uint8Array<ArrayBuffer>];

/** Every bit turned. */
export function turnedBits(whole: Uint8Array<ArrayBuffer>): Damage[] {
  return Array.from({ length: 8 * whole.length }, (_, bit): Damage => [
    `bit ${bit % 8} of byte ${bit >> 3} turned`,
    () => whole.with(bit >> 3, whole[bit >> 3]! ^ 1 << bit % 8),
  ]);
}

/** What may happen to each line, and to what follows the last. */
export function movedLines(whole: Uint8Array<ArrayBuffer>): Damage[] {
  const lines = new TextDecoder().decode(whole).split(/(?<=\n)/), encoder = new TextEncoder();
  const text = (what: string, changed: readonly string[]): Damage => [what, () => encoder.encode(changed.join(""))];
  const after = ["x", "\n", "garbage\n", "\0".repeat(9), '{"index":7,"text":"new"}\n', "{}"];
  return [
    ...lines.flatMap((line, i) => [
      text(`line ${i + 1} gone`, lines.toSpliced(i, 1)),
      text(`line ${i + 1} twice`, lines.toSpliced(i, 0, line)),
      text(`line ${i + 1} once more at the end`, [...lines, line]),
      text(`line ${i + 1} and the next in turn`, lines.toSpliced(i, 2, ...lines.slice(i, i + 2).reverse())),
      text(`a blank line before line ${i + 1}`, lines.toSpliced(i, 0, "\n")),
      text(`a byte order mark before line ${i + 1}`, lines.toSpliced(i, 0, "\ufeff")),
      text(`line ${i + 1} ends in a carriage return`, lines.with(i, line.replace("\n", "\r\n"))),
      text(`line ${i + 1} cut`, lines.with(i, line.slice(0, line.length >> 1))),
      text(`cut off in line ${i + 1}`, [...lines.slice(0, i), line.slice(0, line.length >> 1)]),
      text(`cut off before line ${i + 1}`, lines.slice(0, i)),
    ]),
    ...after.map((rest) => text(`${JSON.stringify(rest)} at the end`, [...lines, rest])),
    text("carriage returns", lines.map((line) => line.replace("\n", "\r\n"))),
  ];
}
