/** Numbers as JSON has them. */

/** A number, or null where JSON has none for it. */
export function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
