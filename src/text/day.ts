/** Days as harmony writes them. */

/** The day of a local time, for example 2025-06-28. */
export function isoDay(now: Date): string {
  const digits = (number: number, length: number) => String(number).padStart(length, "0");
  return [digits(now.getFullYear(), 4), digits(now.getMonth() + 1, 2), digits(now.getDate(), 2)].join("-");
}

/** Noon of a day that is written so: a time that templates can be told on any day. null where there is no such day. */
export function noonOf(day: string): Date | null {
  if (!/^\d{4}-\d\d-\d\d$/.test(day)) return null;
  const noon = new Date(`${day}T12:00:00`);
  // The 30th of February would be the 2nd of March.
  return isoDay(noon) === day ? noon : null;
}
