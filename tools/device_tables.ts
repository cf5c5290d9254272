/** What the measurements on a device share: a table of the time of each kind of step. */
import type { StepTime } from "../src/backends/gpu/profile.ts";

/** Prints and returns the steps. */
export function stepTable(title: string, steps: readonly StepTime[]): readonly StepTime[] {
  console.log(`${title}:`);
  for (const { label, milliseconds, launches } of steps) {
    console.log(
      `  ${label.padEnd(48)} ${milliseconds.toFixed(4).padStart(10)} ms  ${String(launches).padStart(5)} launches`,
    );
  }
  return steps;
}
