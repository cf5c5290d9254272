/** Transposition of numbers as words, whatever they mean: no NaN is changed on the way. */

/** Words of plain numbers. */
export type Words = Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

/** Columns `first` to `first + count` of whole rows. */
export interface Columns {
  readonly words: Words;
  readonly rows: number;
  readonly cols: number;
  readonly first: number;
  readonly count: number;
}

/** Where they go: column c is row c - first, `width` words long, whose words `at`, `at + step`, ... are written. */
export interface Places {
  readonly words: Words;
  readonly width: number;
  readonly at: number;
  readonly step: number;
}

/** Rows and columns of a square that both caches of a core hold as they are read and as they are written. */
const SQUARE = 32;

/** Writes columns as rows. */
export function writeTransposed({ words, rows, cols, first, count }: Columns, to: Places): void {
  const { words: out, width, at, step } = to;
  for (let top = 0; top < rows; top += SQUARE) {
    const bottom = Math.min(top + SQUARE, rows);
    for (let left = 0; left < count; left += SQUARE) {
      const right = Math.min(left + SQUARE, count);
      for (let c = left; c < right; c++) {
        let from = top * cols + first + c, place = c * width + at + top * step;
        for (let r = top; r < bottom; r++, from += cols, place += step) out[place] = words[from]!;
      }
    }
  }
}
