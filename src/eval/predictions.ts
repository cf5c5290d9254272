/**
 * What two settings predict, token by token, teacher-forced on the same sequences. Only logits are compared, so that
 * many more tokens can be had than operation by operation.
 */
import { z } from "zod";
import type { Session } from "../session/session.ts";
import { argmax, klDivergence, logProbability } from "../session/likelihood.ts";
import { likeliest } from "./logits_distance.ts";

/** A sequence that settings are forced through. */
export interface ForcedSequence {
  /** Number of the problem or of the part of the text. */
  readonly index: number;
  readonly tokens: Int32Array;
  /** First position that predicts a token of the reply; null where the sequence has no reply. */
  readonly replyFrom: number | null;
}

/** Tokens with their probabilities, four digits, the likeliest first. */
const Likeliest = z.array(z.tuple([z.int().min(0), z.number()]));

/** Positions of a sequence that are kept with both predictions. */
export const KEPT_POSITIONS = 4;
/** Tokens that are kept of each. */
const KEPT_TOKENS = 4;
/** Tokens that are kept of each prediction where the likeliest one is another. */
const KEPT_RIVALS = 2;
/** A KL below it is not worth a look. */
const NOTABLE_KL = 1e-6;

/** Distance of two settings' predictions along one sequence. */
export const SequencePredictions = z.strictObject({
  index: z.int().min(0),
  replyFrom: z.int().min(0).nullable(),
  /** KL(A || B) at every position, in nats, nine digits; null where it is not finite. */
  kl: z.array(z.number().nullable()),
  /** Per position 1 where the likeliest token is the same, else 0. */
  agrees: z.string().regex(/^[01]*$/),
  /** Negative log probability of the next token under A, at every position that has one; nine digits. */
  nllA: z.array(z.number().nullable()),
  /** The same under B. */
  nllB: z.array(z.number().nullable()),
  /** The positions with the largest KL, the largest first; journals of earlier versions have none. */
  worst: z.array(z.strictObject({ position: z.int().min(0), kl: z.number(), a: Likeliest, b: Likeliest })).optional(),
  /** Positions where the likeliest token is another one, where they were asked for. */
  differs: z.array(z.strictObject({ position: z.int().min(0), a: Likeliest, b: Likeliest })).optional(),
});
/** Distance of two settings' predictions along one sequence. */
export type SequencePredictions = z.infer<typeof SequencePredictions>;

/** Collects the predictions of one sequence. */
export class PredictionRecorder {
  readonly #kl: (number | null)[] = [];
  readonly #agrees: (0 | 1)[] = [];
  readonly #nllA: (number | null)[] = [];
  readonly #nllB: (number | null)[] = [];
  #worst: NonNullable<SequencePredictions["worst"]> = [];
  readonly #differs: NonNullable<SequencePredictions["differs"]> = [];

  /** @param differing Whether to keep what is predicted where the likeliest token is another one. */
  constructor(readonly sequence: ForcedSequence, readonly differing = false) {}

  /** Adds the logits [V] of both settings at the next position. */
  add(a: Float32Array, b: Float32Array): void {
    const next = this.sequence.tokens[this.#kl.length + 1];
    const kl = rounded(klDivergence(a, b));
    const position = this.#kl.length, agrees = argmax(a) === argmax(b);
    this.#keep(position, kl, a, b);
    if (this.differing && !agrees) {
      this.#differs.push({ position, a: likeliest(a, KEPT_RIVALS), b: likeliest(b, KEPT_RIVALS) });
    }
    this.#kl.push(kl);
    this.#agrees.push(agrees ? 1 : 0);
    if (next === undefined) return;
    this.#nllA.push(rounded(-logProbability(a, next)));
    this.#nllB.push(rounded(-logProbability(b, next)));
  }

  #keep(position: number, kl: number | null, a: Float32Array, b: Float32Array): void {
    const least = this.#worst.length < KEPT_POSITIONS ? NOTABLE_KL : this.#worst.at(-1)!.kl;
    if (kl === null || kl <= least) return;
    const [ofA, ofB] = [a, b].map((logits) => likeliest(logits, KEPT_TOKENS)) as [
      [number, number][],
      [number, number][],
    ];
    this.#worst.push({ position, kl, a: ofA, b: ofB });
    this.#worst = this.#worst.sort((x, y) => y.kl - x.kl).slice(0, KEPT_POSITIONS);
  }

  result(): SequencePredictions {
    return {
      index: this.sequence.index,
      replyFrom: this.sequence.replyFrom,
      kl: this.#kl,
      agrees: this.#agrees.join(""),
      nllA: this.#nllA,
      nllB: this.#nllB,
      worst: this.#worst,
      ...(this.differing ? { differs: this.#differs } : {}),
    };
  }
}

/** Nine digits: a tenth of what float32 logits resolve; a journal must not hold digits that mean nothing. */
function rounded(value: number): number | null {
  return Number.isFinite(value) ? Number(value.toPrecision(9)) : null;
}

/** Most memory that logits of the reference take between two settings, in bytes. */
const KEPT_BYTES = 2 ** 29;
/** Most that logits of a piece of a sequence take, which are held while the other setting computes it. */
const PIECE_BYTES = 2 ** 28;

/**
 * Logits of the setting that the others are compared with. As many as memory allows are kept from one setting to the
 * next; the rest is computed again, by a session that is opened when the first is needed.
 */
export class ReferenceLogits implements AsyncDisposable {
  readonly #kept = new Map<number, Float32Array>();
  #bytes = 0;
  #session: Promise<Session> | null = null;

  /**
   * @param load Opens the reference with one slot and room for the longest sequence.
   * @param most Bytes that are kept.
   * @param pieceBytes Bytes of a piece, but for the logits of one position, which are held in any case.
   */
  constructor(
    readonly load: () => Promise<Session>,
    readonly most: number = KEPT_BYTES,
    readonly pieceBytes: number = PIECE_BYTES,
  ) {}

  /** Whether the logits of a sequence need not be computed. */
  has({ index }: ForcedSequence): boolean {
    return this.#kept.has(index);
  }

  /**
   * Logits float32 [n, V] of a sequence, n neighbouring positions after another: a whole one of some thousand tokens
   * and 200,000 words would take gigabytes. Each piece is valid until the next one is asked for.
   *
   * @param mostTokens Positions of a piece at most.
   * @param onPosition Called for each position that is computed.
   */
  async *pieces(
    sequence: ForcedSequence,
    mostTokens: number,
    onPosition: (position: number) => void = () => {},
  ): AsyncGenerator<Float32Array> {
    const { index, tokens } = sequence, kept = this.#kept.get(index);
    const session = kept === undefined ? await (this.#session ??= this.load()) : null;
    const vocab = session?.limits.vocab ?? kept!.length / tokens.length;
    const size = Math.max(1, Math.min(mostTokens, Math.floor(this.pieceBytes / (4 * vocab))));
    const bytes = 4 * vocab * tokens.length, keeps = this.#bytes + bytes <= this.most;
    const held = kept ?? new Float32Array(vocab * (keeps ? tokens.length : Math.min(size, tokens.length)));
    session?.reset(0);
    for (let start = 0; start < tokens.length; start += size) {
      const part = tokens.subarray(start, start + size), first = held.length === vocab * tokens.length ? start : 0;
      await session?.feed({ slot: 0, tokens: part, logits: "all" }, (position, logits) => {
        held.set(logits, (first + position - start) * vocab);
        onPosition(position);
      });
      yield held.subarray(first * vocab, (first + part.length) * vocab);
    }
    if (kept !== undefined || !keeps) return;
    this.#kept.set(index, held);
    this.#bytes += bytes;
  }

  /** Closes the session; what is kept stays. */
  async release(): Promise<void> {
    const session = this.#session;
    this.#session = null;
    await (await session)?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#kept.clear();
    return this.release();
  }
}

/**
 * Forces one setting, in slot 0 of a session, through a sequence, beside the reference: piece by piece in turns.
 *
 * @param onProgress Called with the part of the work that is done, in tokens of the sequence.
 */
export async function predictSequence(
  reference: ReferenceLogits,
  session: Session,
  sequence: ForcedSequence,
  onProgress: (tokens: number) => void = () => {},
): Promise<SequencePredictions> {
  // Where the reference is computed, too, it is half of the work.
  const first = reference.has(sequence) ? 0 : 0.5;
  const { vocab, maxTokens } = session.limits, recorder = new PredictionRecorder(sequence);
  let start = 0;
  const done = (ofReference: number, own: number) => onProgress(Math.floor(first * ofReference + (1 - first) * own));
  session.reset(0);
  for await (const given of reference.pieces(sequence, maxTokens, (position) => done(position + 1, start))) {
    const end = start + given.length / vocab;
    await session.feed(
      { slot: 0, tokens: sequence.tokens.subarray(start, end), logits: "all" },
      (position, logits) => {
        recorder.add(given.subarray((position - start) * vocab, (position - start + 1) * vocab), logits);
        done(end, position + 1);
      },
    );
    start = end;
  }
  return recorder.result();
}
