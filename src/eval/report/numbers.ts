/** Numbers as reports and tables write them; `-` stands for one that is not there or not finite. */
import type { Estimated } from "../predictions_schema.ts";

/** A share in percent. */
export function percent(share: number, digits = 2): string {
  return `${(100 * share).toFixed(digits)}%`;
}

/** A part of a whole in percent, two digits of it. */
export function roughPercent(part: number, whole = 1): string {
  const hundredths = 100 * part / whole;
  // Two digits of 99.5 and more would be those of a power of ten.
  return `${hundredths >= 99.5 ? hundredths.toFixed(0) : hundredths.toPrecision(2)}%`;
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
  return error === null ? "not finite" : small(error);
}

/** A number that a tick of an axis stands for, as {@linkcode small} would write it, without zeros at its end. */
export function tickText(value: number): string {
  return Math.abs(value) < 1e-3 || Math.abs(value) >= 1e4 ? value.toExponential().replace("+", "") : `${value}`;
}

/** A small number with two digits, for the cells of a table that is looked at as a picture. */
export function brief(value: number): string {
  if (value === 0) return "0";
  return Math.abs(value) < 1e-3 || Math.abs(value) >= 1e4 ? value.toExponential(0) : `${Number(value.toPrecision(2))}`;
}

/**
 * A number with its 95% interval, for instance `0.0013 [0.0006, 0.0022]`: no more digits than the interval leaves sure.
 */
export function measured(estimate: Estimated): string {
  return `${measuredValue(estimate)} ${measuredInterval(estimate)}`;
}

/** Such a number alone. */
export function measuredValue(estimate: Estimated): string {
  return estimate.value === null ? "-" : toPlace(estimate.value, placeOf(estimate), withExponent(estimate));
}

/** Its interval alone, in brackets. */
export function measuredInterval(estimate: Estimated): string {
  const place = placeOf(estimate), exponential = withExponent(estimate);
  const end = (x: number | null) => x === null ? "-" : toPlace(x, place, exponential);
  return `[${end(estimate.low)}, ${end(estimate.high)}]`;
}

/** A share in percent with its interval, likewise. */
export function measuredShare(share: Estimated): string {
  return measured(inPercent(share)).replace(" ", "% ");
}

/** The interval of a share alone, in percent. */
export function measuredShareInterval(share: Estimated): string {
  return measuredInterval(inPercent(share));
}

function inPercent({ value, low, high }: Estimated): Estimated {
  const hundred = (x: number | null) => x === null ? null : 100 * x;
  return { value: hundred(value), low: hundred(low), high: hundred(high) };
}

/** Most significant digits of a number with an interval. */
const MOST_DIGITS = 4;

/**
 * Power of ten of the last digit that is written: that of the leading digit of half the interval, or of all of it where
 * one end is open.
 */
function placeOf({ value, low, high }: Estimated): number {
  const least = Math.floor(Math.log10(Math.abs(value ?? 0)));
  const half = low === null || high === null
    ? Math.max(Math.abs((value ?? 0) - (low ?? value ?? 0)), Math.abs((high ?? value ?? 0) - (value ?? 0)))
    : (high - low) / 2;
  const place = half > 0 ? Math.floor(Math.log10(half)) : -Infinity;
  if (!Number.isFinite(least)) return place;
  return Math.min(least, Math.max(place, least - MOST_DIGITS + 1));
}

/** Whether a number is written with an exponent; its interval is then, too. */
function withExponent({ value, low, high }: Estimated): boolean {
  const size = Math.abs(value !== null && value !== 0 ? value : Math.max(Math.abs(low ?? 0), Math.abs(high ?? 0)));
  return size > 0 && (size < 1e-3 || size >= 1e4);
}

function toPlace(x: number, place: number, exponential: boolean): string {
  const units = x === 0 ? 0 : Math.round(x / 10 ** place), digits = `${Math.abs(units)}`;
  if (units === 0) return "0";
  // The other end may be far away, and is written with as many digits as the number itself could have.
  if (digits.length > MOST_DIGITS) return exponential ? x.toExponential(MOST_DIGITS - 1) : plain(x, place);
  if (!exponential) return plain(x, place);
  const mantissa = digits.length === 1 ? digits : `${digits[0]}.${digits.slice(1)}`, power = place + digits.length - 1;
  return `${units < 0 ? "-" : ""}${mantissa}e${power < 0 ? "-" : "+"}${Math.abs(power)}`;
}

function plain(x: number, place: number): string {
  return place >= 0 ? `${Math.round(x / 10 ** place) * 10 ** place}` : x.toFixed(-place);
}

/** A number with its 95% interval. */
export interface Estimate {
  /** What it is: a share, a difference of shares, or another number, whose digits follow its interval. */
  readonly kind: "share" | "points" | "measured";
  readonly value: number | null;
  readonly low: number | null;
  readonly high: number | null;
}

/** The number itself. */
export function estimateText(estimate: Estimate): string {
  const { kind, value } = estimate;
  if (kind === "share") return percent(value!);
  return kind === "points" ? points(value) : measuredValue(estimate);
}

/** Its interval on a terminal: `[98.2, 99.6]`, with fewer digits than on a page. */
export function bracketed(estimate: Estimate): string {
  const { kind, low, high } = estimate;
  if (kind === "measured") return measuredInterval(estimate);
  const end = (value: number | null) => kind === "share" ? (100 * value!).toFixed(1) : points(value);
  return `[${end(low)}, ${end(high)}]`;
}

/** Its interval on a page: `98.21 – 99.57`, and `-0.20 to +0.70` where ends have signs. */
export function ranged(estimate: Estimate): string {
  const { kind, low, high } = estimate;
  if (kind === "share") return `${(100 * low!).toFixed(2)} – ${(100 * high!).toFixed(2)}`;
  return kind === "points" ? `${points(low)} to ${points(high)}` : measuredInterval(estimate);
}
