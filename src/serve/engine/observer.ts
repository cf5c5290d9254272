/** Who watches the engine at work, for statistics. */
import type { Outcome } from "./job.ts";

/** Takes notice of what happens to the sequences of one model; it must be quick. */
export interface Observer {
  /** A sequence got its first token, so many milliseconds after it was submitted. */
  firstToken(milliseconds: number): void;
  /** Another token came so many milliseconds after the one before. */
  nextToken(milliseconds: number): void;
  ended(outcome: Outcome): void;
  failed(): void;
  /** A sequence gave its pages to others; it is computed once more when there is room. */
  preempted?(): void;
  /** The engine failed for good, and is opened again. */
  reopened?(why: string): void;
}

/** Watches nothing. */
export const NOBODY: Observer = { firstToken: () => {}, nextToken: () => {}, ended: () => {}, failed: () => {} };
