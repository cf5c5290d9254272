/** Bytes and times for people, as Deno's standard library writes them. */
import * as bytesFormat from "@std/fmt/bytes";
import * as durationFormat from "@std/fmt/duration";

/** Typed here because the npm form has no declarations. */
const { format: formatBytes } = bytesFormat as unknown as { format(bytes: number): string };
const { format: formatDuration } = durationFormat as unknown as {
  format(milliseconds: number, options: { readonly ignoreZero: boolean }): string;
};

/** A number of things: `1 problem`, `2 problems`. */
export function counted(count: number, unit: string, units = `${unit}s`): string {
  return `${count} ${count === 1 ? unit : units}`;
}

/** A number of bytes in decimal units, to three digits: `13.8 GB`, `737 kB`. */
export function bytesText(bytes: number): string {
  return formatBytes(bytes);
}

/** A time, rounded up to seconds, or from an hour on to minutes: `45s`, `12m 5s`, `3h 20m`. */
export function durationText(seconds: number): string {
  const unit = seconds > 3600 ? 60 : 1;
  const rounded = Math.ceil(seconds / unit) * unit;
  return rounded === 0 ? "0s" : formatDuration(rounded * 1000, { ignoreZero: true });
}

/**
 * A time that is known to a factor of two or so: one digit, or two from 10 on, of seconds, minutes, hours or days:
 * `8 s`, `36 min`, `20 h`, `3 days`.
 */
export function roughDurationText(seconds: number): string {
  const [unit, size] = seconds < 99.5
    ? ["s", 1] as const
    : seconds < 99.5 * 60
    ? ["min", 60] as const
    : seconds < 47.5 * 3600
    ? ["h", 3600] as const
    : ["days", 86400] as const;
  const number = Number((seconds / size).toPrecision(seconds / size < 9.5 ? 1 : 2));
  return `${number > 0 && number < 1 ? "below 1" : number} ${unit}`;
}

/** A rate with three digits, and without an exponent where it is large: `1760`. */
export function rateText(rate: number): string {
  const text = rate.toPrecision(3);
  return text.includes("e+") ? `${Number(text)}` : text;
}
