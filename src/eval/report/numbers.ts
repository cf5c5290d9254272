/** Numbers as reports and tables write them; `-` stands for one that is not there or not finite. */

/** A share in percent. */
export function percent(share: number, digits = 2): string {
  return `${(100 * share).toFixed(digits)}%`;
}

/** A part of a whole in percent, two digits of it. */
export function roughPercent(part: number, whole = 1): string {
  return `${(100 * part / whole).toPrecision(2)}%`;
}

/** A small number: three digits, with an exponent where it is tiny. */
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

/** A perplexity, with four decimals as everywhere in the field. */
export function perplexityText(value: number | null, none = "-"): string {
  return value?.toFixed(4) ?? none;
}

/** Bits per byte. */
export function bitsText(value: number | null): string {
  return value?.toFixed(5) ?? "-";
}

/** A mean negative log probability, in nats. */
export function natsText(value: number | null): string {
  return value?.toFixed(6) ?? "-";
}

/** A signal-to-noise ratio in dB; `none` where there is no noise. */
export function decibels(value: number | null, none: string): string {
  return value?.toFixed(1) ?? none;
}

/** A p-value. */
export function pValue(p: number): string {
  return p.toFixed(3);
}

/** The smallest difference that would be noticed, in percentage points; `any`: none would be. */
export function noticeable(difference: number): string {
  return difference >= 1 ? "any" : (100 * difference).toFixed(1);
}

/** How many times something else a number is. */
export function times(value: number | null): string {
  return (value ?? 0).toFixed(1);
}

/** An error beside a mark of a plot. */
export function errorText(error: number | null): string {
  return error?.toPrecision(3) ?? "not finite";
}

/** A power of ten, or a number of which the size matters. */
export function exponent(value: number, digits = 0): string {
  return value.toExponential(digits);
}

/** A number with its 95% interval. */
export interface Estimate {
  /** What it is: a share, a difference of shares, or a difference in nats. */
  readonly kind: "share" | "points" | "nats";
  readonly value: number | null;
  readonly low: number | null;
  readonly high: number | null;
}

/** The number itself. */
export function estimateText({ kind, value }: Estimate): string {
  if (kind === "share") return percent(value!);
  return kind === "points" ? points(value) : small(value);
}

/** Its interval on a terminal: `[98.2, 99.6]`, with fewer digits than on a page. */
export function bracketed({ kind, low, high }: Estimate): string {
  const end = (value: number | null) =>
    kind === "share" ? (100 * value!).toFixed(1) : kind === "points" ? points(value) : small(value);
  return `[${end(low)}, ${end(high)}]`;
}

/** Its interval on a page: `98.21 – 99.57`, and `-0.20 to +0.70` where ends have signs. */
export function ranged({ kind, low, high }: Estimate): string {
  if (kind === "share") return `${(100 * low!).toFixed(2)} – ${(100 * high!).toFixed(2)}`;
  return kind === "points" ? `${points(low)} to ${points(high)}` : `${small(low)} to ${small(high)}`;
}
