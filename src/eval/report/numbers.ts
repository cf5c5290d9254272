/** Numbers as reports and tables write them; `-` stands for one that is not there or not finite. */
import type { Estimated } from "../predictions_schema.ts";
import { atPlace, type Rounding, unitsOf } from "../../rounding.ts";
import { APART } from "../statistics.ts";

/**
 * A share in percent, of what was counted whole: there is no interval that digits could follow. Few are not written as
 * none, nor nearly all as all: `<0.01%`, `>99.99%`.
 */
export function percent(share: number, digits = 2): string {
  const unit = 10 ** -digits, rounded = (100 * share).toFixed(digits);
  if (share > 0 && Number(rounded) === 0) return `<${unit.toFixed(digits)}%`;
  return share < 1 && Number(rounded) === 100 ? `>${(100 - unit).toFixed(digits)}%` : `${rounded}%`;
}

/** A part of a whole in percent, two digits of it, or more where they would say that it is the whole. */
export function roughPercent(part: number, whole = 1): string {
  const hundredths = 100 * part / whole;
  // Two digits of 99.5 and more would be those of a power of ten.
  return `${hundredths >= 99.5 ? hundredths.toFixed(-placeBelow(hundredths)) : hundredths.toPrecision(2)}%`;
}

/** Power of ten of the last digit, 0 at most, that tells a number of hundredths from 100. */
function placeBelow(hundredths: number): number {
  // A sum of floats that is as good as the whole is the whole.
  const apart = 100 - hundredths, least = 1e-9;
  return apart < least ? 0 : Math.min(0, Math.floor(Math.log10(apart) + least));
}

/** A small number: three digits, with an exponent where it is tiny. */
export function small(value: number | null): string {
  if (value === null) return "-";
  if (value === 0) return "0";
  return Math.abs(value) < 1e-3 || Math.abs(value) >= 1e4 ? value.toExponential(2) : value.toPrecision(3);
}

/**
 * A perplexity, or another number that files of earlier versions have without an interval: then four digits.
 *
 * @param none Stands for a number that is not finite.
 */
export function intervalOrDigits(
  value: number | null,
  interval: Omit<Estimated, "value"> | undefined,
  none = "-",
): string {
  if (value === null) return none;
  return interval === undefined ? value.toPrecision(MOST_DIGITS) : measured({ value, ...interval });
}

/** A relative error as a signal-to-noise ratio in dB, with the digits that its interval leaves sure. */
export function decibels({ value, low, high }: Estimated, none: string): string {
  const ratio = (error: number | null) => error === null || error <= 0 ? null : -20 * Math.log10(error);
  const level = ratio(value);
  return level === null ? none : measuredValue({ value: level, low: ratio(high), high: ratio(low), coarsest: 0 });
}

/** A p-value, on the side of {@linkcode APART} that it is on. */
export function pValue(p: number): string {
  if (p < 0.0005) return "<0.001";
  let digits = 3;
  while (p < APART && Number(p.toFixed(digits)) >= APART) digits++;
  return p.toFixed(digits);
}

/** The smallest difference that would be noticed, in percentage points; `any`: none would be. */
export function noticeable(difference: number): string {
  const points = 100 * difference;
  return difference >= 1 ? "any" : points < 0.05 ? points.toPrecision(1) : points.toFixed(points < 9.95 ? 1 : 0);
}

/** A number of the tokens at hand that has no interval: its size, which is one digit. */
export function sizeOf(value: number | null): string {
  return value === null ? "-" : `${Number(value.toPrecision(1))}`;
}

/** A part of a whole in percent, likewise. */
export function sizeOfShare(share: number | null): string {
  // A part that is not all is not written as if it were.
  return share === null ? "-" : share < 1 && share >= 0.95 ? ">90%" : `${sizeOf(100 * share)}%`;
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
 * An estimate alone with two digits, one with an exponent, or those that its interval leaves sure where they are fewer:
 * for the cells of a table that is looked at as a picture.
 */
export function measuredBriefly(estimate: Estimated): string {
  const { value } = estimate;
  if (value === null || value === 0) return measuredValue(estimate);
  const exponential = withExponent(estimate), most = exponential ? leading(value) : leading(value) - 1;
  return toPlace(value, Math.max(most, placeOf(estimate)), exponential);
}

/**
 * A number with its 95% interval, for instance `0.0013 [0.0006, 0.0022]`: no more digits than the interval leaves sure.
 * Where the tokens at hand show no difference at all, that is what they show, and no certainty.
 */
export function measured(estimate: Estimated): string {
  const { value, low, high } = estimate;
  if (value === 0 && high === null && (low === null || low === 0)) return "0 (none seen)";
  // So many tokens have this very value that a quantile can be no other: a point is no interval.
  if (low !== null && low === high) return measuredValue(estimate);
  return `${measuredValue(estimate)} ${measuredInterval(estimate)}`;
}

/** Such a number alone. */
export function measuredValue(estimate: Placed): string {
  return estimate.value === null ? "-" : toPlace(estimate.value, placeOf(estimate), withExponent(estimate));
}

/** Its interval alone, in brackets. Ends are rounded outward: what is written holds all that was computed. */
export function measuredInterval(estimate: Placed): string {
  const exponential = withExponent(estimate), { whole = Infinity } = estimate;
  const end = (x: number | null, to: Rounding) => {
    if (x === null) return "-";
    const place = endPlaceOf(estimate, x, to), all = x < whole && atPlace(unitsOf(x, place, to), place) >= whole;
    return toPlace(x, all ? placeBelow(x) : place, exponential || isFar(x), to);
  };
  return `[${end(estimate.low, Math.floor)}, ${end(estimate.high, Math.ceil)}]`;
}

/** A share in percent with its interval, likewise. */
export function measuredShare(share: Estimated): string {
  // Its first word is the number, and a point has no other one.
  return measured(inPercent(share)).replace(/^(?!-(?: |$))\S+/, "$&%");
}

/** The interval of a share alone, in percent. */
export function measuredShareInterval(share: Estimated): string {
  return measuredInterval(inPercent(share));
}

/**
 * An estimate that is written to this power of ten at least, as tens of percents would say less than a count does; and
 * what no end is written as that is less.
 */
type Placed = Estimated & { readonly coarsest?: number; readonly whole?: number };

/** A share in percent; digits that would say 100 of less are followed by those that do not. */
function inPercent(share: Estimated): Placed {
  const hundredths = inPoints(share);
  return { ...hundredths, coarsest: hundredths.value === null ? 0 : placeBelow(hundredths.value), whole: 100 };
}

/** A difference of shares in points. */
function inPoints({ value, low, high }: Estimated): Placed {
  const hundred = (x: number | null) => x === null ? null : 100 * x;
  return { value: hundred(value), low: hundred(low), high: hundred(high), coarsest: 0 };
}

/** Most significant digits of a number with an interval, where fewer tell its ends apart. */
const MOST_DIGITS = 4;

/** Power of ten of the leading digit. */
function leading(x: number): number {
  return Math.floor(Math.log10(Math.abs(x)));
}

/** That of the only digit where one is written: 0.098 is 0.1 then, and not 0.10. */
function alone(x: number, to: Rounding = Math.round): number {
  const place = leading(x);
  return Math.abs(unitsOf(x, place, to)) === 10 ? place + 1 : place;
}

/**
 * Power of ten of the last digit that an interval leaves sure: that of the leading digit of half of it, or of all of it
 * where one end is open.
 */
function surePlace({ value, low, high, coarsest = Infinity }: Placed): number {
  const half = low === null || high === null
    ? Math.max(Math.abs((value ?? 0) - (low ?? value ?? 0)), Math.abs((high ?? value ?? 0) - (value ?? 0)))
    : (high - low) / 2;
  return half > 0 ? Math.min(leading(half), coarsest) : -Infinity;
}

/** Power of ten of the last digit that is written of the number: a sure one, but its first in any case. */
function placeOf(estimate: Placed): number {
  const { value, low, high, coarsest = Infinity } = estimate, place = surePlace(estimate), least = leading(value ?? 0);
  // Nothing is known of a number whose interval is open at both ends, beyond its size.
  if (value !== null && value !== 0 && low === null && high === null) return Math.min(alone(value), coarsest);
  if (!Number.isFinite(least)) return place;
  // An interval must not become a point by rounding.
  const most = low === null || high === null || low === high ? MOST_DIGITS : digitsApart(low, high, least);
  return Math.min(alone(value ?? 0), coarsest, Math.max(place, least - most + 1));
}

/**
 * Power of ten of the last digit that is written of an end: the number's own, unless that is one which the interval
 * does not leave sure. The end may be far away, and is no better known for that: `1e+6 [3e+2, 4e+9]`.
 */
function endPlaceOf(estimate: Placed, end: number, to: Rounding): number {
  const place = placeOf(estimate), sure = surePlace(estimate);
  return sure > place ? Math.min(sure, alone(end, to)) : place;
}

/** Digits of a number of this power of ten that tell two ends apart, 4 or more. */
function digitsApart(low: number, high: number, least: number): number {
  let digits = MOST_DIGITS;
  const rounded = (x: number) => unitsOf(x, least - digits + 1, Math.round);
  while (digits < MOST_FLOAT_DIGITS && rounded(low) === rounded(high)) digits++;
  return digits;
}

/** Digits that a float64 has for sure. */
const MOST_FLOAT_DIGITS = 15;

/** Whether a number is written with an exponent; its interval is then, too. */
function withExponent({ value, low, high }: Estimated): boolean {
  const size = Math.abs(value !== null && value !== 0 ? value : Math.max(Math.abs(low ?? 0), Math.abs(high ?? 0)));
  return size > 0 && (size < 1e-3 || size >= 1e4);
}

/** Whether an end is so far off that it would be a row of zeros without an exponent. */
function isFar(end: number): boolean {
  return end !== 0 && (Math.abs(end) < 1e-6 || Math.abs(end) >= 1e9);
}

function toPlace(x: number, place: number, exponential: boolean, to: Rounding = Math.round): string {
  const units = unitsOf(x, place, to), digits = `${Math.abs(units)}`;
  if (x === 0) return "0";
  // An end that is not 0 shows that a difference was seen.
  if (units === 0) {
    const own = leading(x), first = atPlace(unitsOf(x, own, to), own);
    return exponential ? first.toExponential(0) : `${first}`;
  }
  if (!exponential) return place >= 0 ? `${atPlace(units, place)}` : atPlace(units, place).toFixed(-place);
  const mantissa = digits.length === 1 ? digits : `${digits[0]}.${digits.slice(1)}`, power = place + digits.length - 1;
  const sign = units < 0 ? "-" : "";
  return power === 0 ? `${sign}${mantissa}` : `${sign}${mantissa}e${power < 0 ? "-" : "+"}${Math.abs(power)}`;
}

/** A number with its 95% interval. */
export interface Estimate {
  /** What it is: a share, which is written in percent, a difference of shares, in points, or another number. */
  readonly kind: "share" | "points" | "measured";
  readonly value: number | null;
  readonly low: number | null;
  readonly high: number | null;
}

/** A difference of shares in points. */
export function pointsText(difference: Estimated): string {
  return estimateText({ ...difference, kind: "points" });
}

/** A share in percent, without its interval. */
export function measuredShareValue(share: Estimated): string {
  return estimateText({ ...share, kind: "share" });
}

/** The number itself. */
export function estimateText(estimate: Estimate): string {
  return written(estimate, measuredValue(scaled(estimate))) + (estimate.kind === "share" ? "%" : "");
}

/** Its interval on a terminal: `[98.2, 99.6]`. */
export function bracketed(estimate: Estimate): string {
  return `[${ends(estimate).join(", ")}]`;
}

/** Its interval on a page: `98.2 – 99.6`, and `-0.2 to +0.7` where ends have signs. */
export function ranged(estimate: Estimate): string {
  if (estimate.kind === "measured") return bracketed(estimate);
  return ends(estimate).join(estimate.kind === "share" ? " – " : " to ");
}

function ends(estimate: Estimate): string[] {
  return measuredInterval(scaled(estimate)).slice(1, -1).split(", ").map((end) => written(estimate, end));
}

/** Shares and their differences are written times 100. */
function scaled(estimate: Estimate): Estimated {
  if (estimate.kind === "measured") return estimate;
  return estimate.kind === "share" ? inPercent(estimate) : inPoints(estimate);
}

/** A difference has its sign. */
function written({ kind }: Estimate, number: string): string {
  return kind === "points" && /^[^-0]|^0\.0*[1-9]/.test(number) ? `+${number}` : number;
}
