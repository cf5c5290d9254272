/** Sets of characters as sequences of byte ranges in UTF-8. */

/** Code points from the first to the second, both included. */
export type Range = readonly [first: number, last: number];

/** The last code point. */
export const LAST = 0x10ffff;

/** Ranges in order, those that touch joined, without surrogates, which UTF-8 cannot spell. */
export function normalized(ranges: Iterable<Range>): Range[] {
  const out: [number, number][] = [];
  const whole = [...ranges].flatMap(([a, b]): Range[] => [[a, Math.min(b, 0xd7ff)], [Math.max(a, 0xe000), b]]);
  for (const [first, last] of whole.filter(([a, b]) => a <= b).sort((a, b) => a[0] - b[0])) {
    const before = out.at(-1);
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else out.push([first, last]);
  }
  return out;
}

/** All other characters. */
export function complement(ranges: Iterable<Range>): Range[] {
  const out: Range[] = [];
  let from = 0;
  for (const [first, last] of normalized(ranges)) {
    if (first > from) out.push([from, first - 1]);
    from = last + 1;
  }
  if (from <= LAST) out.push([from, LAST]);
  return normalized(out);
}

/** Whether a set has a character. */
export function has(ranges: readonly Range[], point: number): boolean {
  return ranges.some(([first, last]) => first <= point && point <= last);
}

/** Byte ranges, one after the other, that spell the characters of a range: several alternatives. */
export function* utf8Ranges(first: number, last: number): Generator<Range[], void> {
  for (const limit of [0x7f, 0x7ff, 0xffff]) {
    if (first <= limit && limit < last) {
      yield* utf8Ranges(first, limit);
      yield* utf8Ranges(limit + 1, last);
      return;
    }
  }
  if (last <= 0x7f) {
    yield [[first, last]];
    return;
  }
  // Where the upper parts differ, the lower ones must run through everything.
  for (const bits of [6, 12, 18]) {
    const below = 2 ** bits - 1;
    if ((first & ~below) === (last & ~below)) continue;
    if ((first & below) !== 0) {
      yield* utf8Ranges(first, first | below);
      yield* utf8Ranges((first | below) + 1, last);
      return;
    }
    if ((last & below) !== below) {
      yield* utf8Ranges(first, (last & ~below) - 1);
      yield* utf8Ranges(last & ~below, last);
      return;
    }
  }
  const encoder = new TextEncoder();
  const low = encoder.encode(String.fromCodePoint(first)), high = encoder.encode(String.fromCodePoint(last));
  yield Array.from(low, (byte, i) => [byte, high[i]!]);
}
