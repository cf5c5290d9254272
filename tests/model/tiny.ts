/** The embedded model opened for tests, and measures of the distance between logits. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { openSession, type SessionOptions } from "../session/open_session.ts";
import type { Session } from "../../src/session/session.ts";

/** Directory of the embedded model. */
export const TINY = new URL("../../models/tiny-gpt-oss", import.meta.url).pathname;

/** Opens the embedded model; the caller closes the session. */
export async function openTiny(options: Partial<SessionOptions>): Promise<Session> {
  const checkpoint = await openCheckpoint(TINY, {});
  return await openSession(checkpoint, {
    backend: "emulate",
    dtype: "f32",
    kvCacheDtype: "auto",
    context: 640,
    threads: 2,
    ...options,
  });
}

/** Logits [tokens, V] of every position of a sequence, teacher-forced, in chunks of the session's size. */
export async function logitsOf(session: Session, ids: readonly number[], slot = 0): Promise<Float32Array> {
  const { vocab } = session.limits;
  const out = new Float32Array(ids.length * vocab);
  session.reset(slot);
  await session.feed({ slot, tokens: ids, logits: "all" }, (position, logits) => out.set(logits, position * vocab));
  return out;
}

/** Largest |a - b|. */
export function maxDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0);
}

/** Root of the mean of (a - b)^2. */
export function rmsDistance(a: Float32Array, b: Float32Array): number {
  return Math.sqrt(a.reduce((sum, x, i) => sum + (x - b[i]!) ** 2, 0) / a.length);
}

/** Index of the largest logit of each row. */
export function argmaxRows(logits: Float32Array, vocab: number): number[] {
  return Array.from({ length: logits.length / vocab }, (_, row) => {
    let best = 0;
    for (let i = 1; i < vocab; i++) if (logits[row * vocab + i]! > logits[row * vocab + best]!) best = i;
    return best;
  });
}

/** Share of rows whose largest logit is the same. */
export function argmaxAgreement(a: Float32Array, b: Float32Array, vocab: number): number {
  const left = argmaxRows(a, vocab), right = argmaxRows(b, vocab);
  return left.filter((x, i) => x === right[i]).length / left.length;
}
