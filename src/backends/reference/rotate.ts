import type { Round } from "./tensor.ts";

/**
 * Rotates every head of a row in place: dimension i and i + D/2 are a pair.
 *
 * @param row [heads * D]
 * @param cos, sin [D / 2], of the row's position.
 */
export function rotate(row: Float32Array, cos: Float32Array, sin: Float32Array, round: Round): void {
  const pairs = cos.length;
  for (let head = 0; head < row.length; head += 2 * pairs) {
    for (let i = 0; i < pairs; i++) {
      const x1 = row[head + i]!, x2 = row[head + pairs + i]!;
      row[head + i] = round(x1 * cos[i]! - x2 * sin[i]!);
      row[head + pairs + i] = round(x2 * cos[i]! + x1 * sin[i]!);
    }
  }
}
