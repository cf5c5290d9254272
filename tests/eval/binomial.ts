/** Binomial probabilities of 0 to `n` successes. */
export function binomial(n: number, p: number): number[] {
  if (p === 1) return [...new Array<number>(n).fill(0), 1];
  let log = 0;
  return Array.from({ length: n + 1 }, (_, k) => {
    if (k > 0) log += Math.log(n - k + 1) - Math.log(k);
    return Math.exp(log + (k === 0 ? 0 : k * Math.log(p)) + (n - k) * Math.log1p(-p));
  });
}
