/** How the units of an operation are shared out to threads, which take one share after the other. */

/** Most rounds of shares: enough that the last are small beside what a thread computes in all. */
const ROUNDS = 5;

/** Rounds of shares, so many that no share is empty; none where a share is one unit. */
function roundsOf(units: number, threads: number): number {
  const each = units / threads;
  return each < 4 ? 0 : Math.min(ROUNDS, 1 + Math.floor(Math.log2(each)));
}

/** Shares of an operation. Taking one costs as much as a transfer of a cache line from core to core. */
export function sharesOf(units: number, threads: number): number {
  const rounds = roundsOf(units, threads);
  return rounds === 0 ? units : rounds * threads;
}

/** Most shares of rounds that so many threads have. */
export const mostShares = (threads: number): number => ROUNDS * threads;

/**
 * The part of an operation that stands before a share, in parts of {@linkcode wholeOf}. There is one share for each
 * thread and round, each round half of what is left, the last one all of it: large shares keep a thread in its part of
 * the memory, small ones let all threads end at about the same time.
 */
function partBefore(share: number, rounds: number, threads: number): number {
  const round = Math.floor(share / threads), place = share - round * threads, whole = 1 << rounds - 1;
  if (round >= rounds) return whole * threads;
  const left = whole >> round, size = Math.max(1, left >> 1);
  return (whole - left) * threads + size * place;
}

const wholeOf = (rounds: number, threads: number): number => threads << rounds - 1;

/** The first unit of a share, where all units are alike. */
export function startOfShare(share: number, units: number, threads: number): number {
  const rounds = roundsOf(units, threads);
  if (rounds === 0) return Math.min(share, units);
  return Math.floor(units * partBefore(share, rounds, threads) / wholeOf(rounds, threads));
}

/** Units that stand side by side and take the same time. */
export interface AlikeUnits {
  readonly units: number;
  /** Of each unit, in any measure. */
  readonly work: number;
}

/**
 * Writes down where shares of equal work begin, and the number of units after the last: the expert that most tokens
 * chose would otherwise keep one thread when all others are done.
 *
 * @param parts All units of the operation.
 * @param into From `at` on.
 * @returns Whether there are such shares: not where units are alike, or each is a share.
 */
export function writeBounds(parts: readonly AlikeUnits[], threads: number, into: Int32Array, at: number): boolean {
  let units = 0, work = 0;
  for (const part of parts) {
    units += part.units;
    work += part.units * part.work;
  }
  const rounds = roundsOf(units, threads);
  if (rounds === 0 || parts.every((part) => part.work === parts[0]!.work)) return false;
  let next = 0, unitsBefore = 0, workBefore = 0;
  for (let share = 0; share < rounds * threads; share++) {
    const wanted = work * partBefore(share, rounds, threads) / wholeOf(rounds, threads);
    while (next < parts.length - 1 && workBefore + parts[next]!.units * parts[next]!.work <= wanted) {
      unitsBefore += parts[next]!.units;
      workBefore += parts[next]!.units * parts[next]!.work;
      next++;
    }
    into[at + share] = unitsBefore + Math.floor((wanted - workBefore) / parts[next]!.work);
  }
  into[at + rounds * threads] = units;
  return true;
}
