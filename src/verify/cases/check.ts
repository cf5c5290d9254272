/** A kernel's launch with what its results must be, and the measures by which they are compared. */
import { roundToBf16 } from "../../formats/bf16.ts";
import type { Job } from "./job.ts";

/** One launch and its verdict. */
export interface KernelCase {
  readonly name: string;
  readonly job: Job;
  /**
   * Largest deviation in units of what is allowed: at most 1 is right, Infinity is wrong. Only after the job has run.
   */
  check(): number;
}

/**
 * How far results are from exact values, in units of: half a bf16 step of the exact value where the kernel rounds, plus
 * `slack` times the sum of its magnitude and the root mean square of all exact values, for float32 summation.
 *
 * @param exact float64, before rounding.
 */
export function near(got: ArrayLike<number>, exact: ArrayLike<number>, round: number, slack = 4e-6): number {
  if (got.length !== exact.length) return Infinity;
  let squares = 0, finite = 0;
  for (let i = 0; i < exact.length; i++) {
    if (!Number.isFinite(exact[i])) continue;
    squares += exact[i]! ** 2;
    finite++;
  }
  const rms = Math.sqrt(squares / Math.max(1, finite));
  let worst = 0;
  for (let i = 0; i < exact.length; i++) {
    const g = got[i]!, e = exact[i]!;
    if (Number.isNaN(e) || !Number.isFinite(e)) {
      if (!Object.is(g, e)) return Infinity;
      continue;
    }
    if (!Number.isFinite(g) || (round && roundToBf16(g) !== g)) return Infinity;
    const half = round ? 2 ** (Math.floor(Math.log2(Math.max(Math.abs(e), 2 ** -126))) - 8) : 0;
    worst = Math.max(worst, Math.abs(g - e) / (half + slack * (rms + Math.abs(e)) + 1e-44));
  }
  return worst;
}

/** 0 where all numbers are equal (0 equals -0, NaN equals NaN), else Infinity. */
export function exactly(got: ArrayLike<number>, want: ArrayLike<number>): number {
  if (got.length !== want.length) return Infinity;
  for (let i = 0; i < want.length; i++) {
    if (got[i] !== want[i] && !(Number.isNaN(got[i]) && Number.isNaN(want[i]))) return Infinity;
  }
  return 0;
}

/** The largest of several verdicts. */
export const worstOf = (...verdicts: number[]): number => Math.max(...verdicts);
