/**
 * The texts of JSON numbers, within bounds and as multiples of a number. Decimals are compared digit by digit with the
 * decimals of the bound, without rounding.
 *
 * Numbers without bounds may have an exponent, with which they stay below 1e308: a larger one is no number to most
 * readers. All have at most {@linkcode MOST_DIGITS} digits before the point or after it, so that no number goes on
 * forever.
 */
import { InputError } from "../errors.ts";
import { type Dfa, explore, type Machine, spend } from "./dfa.ts";
import { byte, choice, compile, type Expression, literal, repeat, sequence } from "./expression.ts";

/** What a number must be. */
export interface NumberRules {
  readonly integer: boolean;
  /** The least and the largest that are allowed; default: none. */
  readonly minimum?: number;
  readonly maximum?: number;
  readonly multipleOf?: number;
}

/** Enough for every number as JSON.stringify writes it without an exponent. */
export const MOST_DIGITS = 24;
/** Remainders that are told apart. */
const MAX_MODULUS = 5_000;

/** What looking at a digit costs, in the unit of {@linkcode spend}. */
const COST_OF_DIGIT = 3;

const ALPHABET = (() => {
  const classOf = new Uint8Array(256);
  for (let digit = 0; digit < 10; digit++) classOf[0x30 + digit] = digit + 1;
  classOf[0x2d] = 11;
  classOf[0x2e] = 12;
  return { classOf, classes: 13 };
})();
const MINUS = 11, POINT = 12;

/** The texts of numbers that keep to some rules; null where there are none. */
export function numbers(rules: NumberRules, where: string): Dfa | null {
  const { integer, minimum, maximum, multipleOf } = rules;
  if (minimum === undefined && maximum === undefined && multipleOf === undefined) {
    return integer ? anyInteger() : anyNumber();
  }
  return bounded({ integer, low: minimum ?? -Infinity, high: maximum ?? Infinity, multipleOf }, where);
}

const digits = (min: number, max: number): Expression => repeat(byte(0x30, 0x39), min, max);
const whole = (max: number): Expression => choice([literal("0"), sequence(byte(0x31, 0x39), digits(0, max - 1))]);
const optional = (item: Expression): Expression => repeat(item, 0, 1);

let integers: Dfa | undefined, any: Dfa | undefined;

/** Integers; -0 is none that JSON.stringify writes. */
function anyInteger(): Dfa {
  const positive = sequence(byte(0x31, 0x39), digits(0, MOST_DIGITS - 1));
  return integers ??= compile(choice([literal("0"), sequence(optional(literal("-")), positive)]), "integer")!;
}

/** Numbers in all their forms. */
function anyNumber(): Dfa {
  const fraction = optional(sequence(literal("."), digits(1, MOST_DIGITS)));
  // 9.99e307 is still below the largest number.
  const size = choice([
    digits(1, 2),
    sequence(byte(0x30, 0x32), digits(2, 2)),
    sequence(literal("30"), byte(0x30, 0x37)),
  ]);
  const sign = repeat(choice([literal("+"), literal("-")]), 0, 1), e = choice([literal("e"), literal("E")]);
  return any ??= compile(
    sequence(
      optional(literal("-")),
      choice([sequence(whole(MOST_DIGITS), fraction), sequence(byte(0x30, 0x39), fraction, e, sign, size)]),
    ),
    "number",
  )!;
}

/** A decimal: digits before and after the point. */
interface Decimal {
  readonly whole: string;
  readonly fraction: string;
}

/** The shortest decimal of a number that is not negative, without an exponent. */
function decimalOf(value: number): Decimal {
  const [digits, power] = value.toExponential().split("e") as [string, string];
  const all = digits.replace(".", ""), point = Number(power) + 1;
  const padded = point <= 0 ? "0".repeat(1 - point) + all : all.padEnd(point, "0");
  const at = Math.max(point, 1);
  return { whole: padded.slice(0, at), fraction: padded.slice(at).replace(/0+$/, "") };
}

/** Whether a decimal is a multiple of another, above 0, as they are written: 0.3 is one of 0.1. */
export function isMultiple(value: number, step: number): boolean {
  const one = decimalOf(Math.abs(value)), other = decimalOf(step);
  const places = Math.max(one.fraction.length, other.fraction.length);
  const scaled = ({ whole, fraction }: Decimal) => BigInt(whole + fraction.padEnd(places, "0"));
  return scaled(one) % scaled(other) === 0n;
}

/** How a text that is still being read compares with a bound, by the digits seen so far and without signs. */
type Order = "less" | "equal" | "greater";

/** In the order of which keys of readings are made. */
const ORDERS: readonly Order[] = ["less", "equal", "greater"];
const PHASES = ["start", "signed", "zero", "whole", "point", "fraction"] as const;

/** Where the reading of a number is. */
interface Reading {
  readonly negative: boolean;
  /** What was read last; start: nothing; signed: a minus; zero: a 0 in front, which no digit follows. */
  readonly phase: (typeof PHASES)[number];
  /** Digits so far, before the point or after it. */
  readonly count: number;
  readonly low: Order;
  readonly high: Order;
  /** Of the digits so far, as an integer without the point, divided by `multipleOf` without its point. */
  readonly remainder: number;
}

interface Bounds {
  readonly integer: boolean;
  readonly low: number;
  readonly high: number;
  readonly multipleOf: number | undefined;
}

function bounded(bounds: Bounds, where: string): Dfa | null {
  return explore<Reading>(new BoundedNumber(bounds, where), ALPHABET, where);
}

/** Reads a number digit by digit, and knows of each whether it may be the last. */
class BoundedNumber implements Machine<Reading> {
  readonly start: Reading = {
    negative: false,
    phase: "start",
    count: 0,
    low: "equal",
    high: "equal",
    remainder: 0,
  };
  readonly #low: Bound;
  readonly #high: Bound;
  /** Digits after the point, at most, and those that `multipleOf` has. */
  readonly #mostFraction: number;
  readonly #places: number;
  /** `multipleOf` without its point: a multiple of 0.25 is one of 25 once its point is moved by two places. */
  readonly #modulus: number;
  /** Zeros that complete the decimals, as remainders: the powers themselves are too large for exact numbers. */
  readonly #zeros: readonly number[];

  /** @throws {InputError} where too many remainders would have to be told apart. */
  constructor({ integer, low, high, multipleOf }: Bounds, readonly where: string) {
    const step = multipleOf === undefined ? null : decimalOf(multipleOf);
    const modulus = step === null ? 1 : Number(step.whole + step.fraction);
    if (modulus > MAX_MODULUS) {
      const expected = `multipleOf of at most ${MAX_MODULUS} without its point`;
      throw InputError.of("too_large", { name: where }, expected, modulus);
    }
    this.#low = boundOf(low);
    this.#high = boundOf(high);
    this.#places = step?.fraction.length ?? 0;
    this.#mostFraction = integer ? 0 : step === null ? MOST_DIGITS : this.#places;
    this.#modulus = modulus;
    const zeros = [1 % modulus];
    while (zeros.length <= this.#places) zeros.push(zeros.at(-1)! * 10 % modulus);
    this.#zeros = zeros;
  }

  step(reading: Reading, c: number): Reading | null {
    const { phase, count } = reading;
    if (c === 0) return null;
    spend(COST_OF_DIGIT, this.where);
    if (c === MINUS) return phase === "start" ? { ...reading, phase: "signed", negative: true } : null;
    if (c === POINT) {
      if (this.#mostFraction === 0 || (phase !== "zero" && phase !== "whole")) return null;
      return { ...this.#wholeEnds(reading), phase: "point", count: 0 };
    }
    const digit = c - 1, inFraction = phase === "point" || phase === "fraction";
    if (phase === "zero" || count >= (inFraction ? this.#mostFraction : MOST_DIGITS)) return null;
    const after = inFraction ? afterFractionDigit : afterWholeDigit;
    return {
      negative: reading.negative,
      phase: inFraction ? "fraction" : count === 0 && digit === 0 ? "zero" : "whole",
      count: count + 1,
      low: after(reading.low, this.#low, count, digit),
      high: after(reading.high, this.#high, count, digit),
      remainder: (reading.remainder * 10 + digit) % this.#modulus,
    };
  }

  accepts(reading: Reading): boolean {
    const { phase, negative } = reading;
    if (phase === "start" || phase === "signed" || phase === "point") return false;
    if (negative && phase === "zero") return false;
    const at = phase === "fraction" ? reading : { ...this.#wholeEnds(reading), count: 0 };
    if (reading.remainder * this.#zeros[Math.max(0, this.#places - at.count)]! % this.#modulus !== 0) return false;
    return isWithin(at, at.low, this.#low, "above") && isWithin(at, at.high, this.#high, "below");
  }

  key({ negative, phase, count, low, high, remainder }: Reading): number {
    return (((remainder * 512 + count) * 8 + PHASES.indexOf(phase)) * 3 + ORDERS.indexOf(low)) * 6 +
      ORDERS.indexOf(high) * 2 + Number(negative);
  }

  #wholeEnds(reading: Reading): Reading {
    const { low, high, count } = reading;
    return { ...reading, low: ended(low, this.#low, count), high: ended(high, this.#high, count) };
  }
}

/** A bound with its decimals, which have no sign; null: there is no such bound. */
type Bound = { readonly value: number; readonly at: Decimal } | null;

const boundOf = (value: number): Bound => Number.isFinite(value) ? { value, at: decimalOf(Math.abs(value)) } : null;

/** The order after one digit more before the point. */
function afterWholeDigit(order: Order, bound: Bound, count: number, digit: number): Order {
  if (bound === null) return order;
  // While digits come, a longer whole part is the greater one.
  if (count >= bound.at.whole.length) return "greater";
  return order === "equal" ? compare(digit, Number(bound.at.whole[count])) : order;
}

/** The order after one digit more behind the point. */
function afterFractionDigit(order: Order, bound: Bound, count: number, digit: number): Order {
  if (bound === null || order !== "equal") return order;
  return compare(digit, Number(bound.at.fraction[count] ?? 0));
}

/** The order when the whole part ends here. */
function ended(order: Order, bound: Bound, count: number): Order {
  return bound === null || count >= bound.at.whole.length ? order : "less";
}

/** Whether a number that ends here is a bound itself, or on that side of it. */
function isWithin({ negative, count }: Reading, order: Order, bound: Bound, side: "above" | "below"): boolean {
  if (bound === null) return true;
  // What follows in the bound's fraction is larger than nothing.
  const rest = /[1-9]/.test(bound.at.fraction.slice(count)), above = side === "above";
  const size = order === "equal" && rest ? "less" : order;
  if (negative !== bound.value < 0 && !(bound.value === 0 && size === "equal")) return negative !== above;
  if (size === "equal") return true;
  return (size === "greater") !== negative === above;
}

function compare(a: number, b: number): Order {
  return a < b ? "less" : a > b ? "greater" : "equal";
}
