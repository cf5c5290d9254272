/** Numbers as reports and tables write them. */

/** A share in percent. */
export function percent(share: number, digits = 2): string {
  return `${(100 * share).toFixed(digits)}%`;
}

/** A small number: three digits, with an exponent where it is tiny; `-` for none. */
export function small(value: number | null): string {
  if (value === null) return "-";
  if (value === 0) return "0";
  return Math.abs(value) < 1e-3 || Math.abs(value) >= 1e4 ? value.toExponential(2) : value.toPrecision(3);
}

/** A difference of shares in percentage points, with its sign. */
export function points(difference: number | null): string {
  if (difference === null) return "-";
  return `${difference > 0 ? "+" : ""}${(100 * difference).toFixed(2)}`;
}
