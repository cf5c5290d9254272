/**
 * Doses of tests that try the same thing many times. `deno task test` tries it a few times; `deno task test:soak`,
 * which sets `MXOSS_SOAK=1` and runs the files that import this one, tries all.
 */

/** Whether the full dose is asked for. */
export const SOAK = Deno.env.get("MXOSS_SOAK") === "1";

/** For the names of tests that `deno task test` leaves out. */
export const ONLY_SOAKED = SOAK ? "" : " (skipped but in deno task test:soak)";

/** For the name of a test that only soaks run, and only where something is there: why it is skipped, if it is. */
export function soakedWhere(there: boolean, missing: string): string {
  return ONLY_SOAKED !== "" || there ? ONLY_SOAKED : ` (skipped: ${missing})`;
}

/** The full dose in `deno task test:soak`, else the quick one. */
export function dose<T>(quick: T, full: T): T {
  return SOAK ? full : quick;
}

/** Every nth of a list, the first included; all of it in `deno task test:soak`. */
export function everyNth<T>(n: number, list: readonly T[]): readonly T[] {
  return SOAK ? list : list.filter((_, i) => i % n === 0);
}
