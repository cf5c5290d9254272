/**
 * Two models on the same tokens, piece by piece, so that only one piece's intermediate results are held at a time. Each
 * piece is computed up to three times:
 *
 * - by A and by B, each on its own: differences grow from operation to operation, as they do in use;
 * - once more by one of them with every result replaced by the other's before the next operation reads it: what differs
 *   then is the operation itself, not what came before it.
 */
import type { TapPoint } from "../model/gpt_oss.ts";
import type { OperationName } from "../model/operations.ts";
import type { Session } from "../session/session.ts";

/** The same operation's result under two settings, for the tokens of one piece. */
export interface Pair {
  readonly layer: number;
  readonly operation: OperationName;
  /** Position of the piece's first token in its sequence. */
  readonly start: number;
  /** Tokens, or slot rows. */
  readonly rows: number;
  readonly width: number;
  readonly a: Float32Array;
  readonly b: Float32Array;
  /** Experts of the tokens at hand, [tokens * topK]; undefined before the first layer's routing. */
  readonly expertsA: Int32Array | undefined;
  readonly expertsB: Int32Array | undefined;
}

/** Receives what is compared. */
export interface Observer {
  /** Both on their own. */
  free(pair: Pair): void;
  /** One of them on the other's intermediate results. */
  forced(pair: Pair): void;
  /** Logits [V] of a position; only valid during the call. */
  logits(position: number, a: Float32Array, b: Float32Array): void;
}

/** A side of the comparison; its session has two slots. */
export interface LockstepSide {
  readonly session: Session;
}

/** Slot of the sequence that a side computes on its own, and of the one that is forced. */
const FREE = 0, FORCED = 1;

interface Recorded {
  readonly values: Float32Array;
  readonly experts: Int32Array | undefined;
}

/**
 * Feeds one sequence to both sides.
 *
 * @param onPiece Called with the number of tokens done after each piece.
 */
export async function lockstep(
  a: LockstepSide,
  b: LockstepSide,
  tokens: Int32Array,
  observer: Observer,
  onPiece?: (done: number) => void | Promise<void>,
): Promise<void> {
  for (const { session } of [a, b]) {
    session.reset(FREE);
    session.reset(FORCED);
  }
  const size = Math.min(a.session.limits.maxTokens, b.session.limits.maxTokens);
  for (let start = 0; start < tokens.length; start += size) {
    const piece = tokens.subarray(start, start + size);
    await comparePiece(a, b, piece, start, observer);
    await onPiece?.(start + piece.length);
  }
}

async function comparePiece(
  a: LockstepSide,
  b: LockstepSide,
  piece: Int32Array,
  start: number,
  observer: Observer,
): Promise<void> {
  const recordsA = new Map<string, Recorded>(), recordsB = new Map<string, Recorded>();
  const logitsA: Float32Array[] = [], logitsB: Float32Array[] = [];
  // Where the graph runs on other threads, results can be seen and not replaced.
  let forcibleA = false, forcibleB = false;

  await run(a, FREE, piece, (point) => {
    forcibleA ||= point.write !== undefined;
    recordsA.set(key(point), record(point));
  }, logitsA);

  const routing = new Routing();
  await run(b, FREE, piece, (point) => {
    forcibleB ||= point.write !== undefined;
    const left = recordsA.get(key(point))!, right = record(point);
    if (!forcibleB) recordsB.set(key(point), right);
    observer.free(routing.pair(point, start, left, right));
  }, logitsB);
  logitsA.forEach((row, i) => observer.logits(start + i, row, logitsB[i]!));
  const layers = lastLayer(recordsA);
  observer.free(headPair(logitsA, logitsB, start, layers));
  if (!forcibleA && !forcibleB) return;

  const forcesB = forcibleB;
  const given = forcesB ? recordsA : recordsB;
  const ownLogits: Float32Array[] = [];
  const forcedRouting = new Routing();
  await run(forcesB ? b : a, FORCED, piece, (point) => {
    const other = given.get(key(point))!, own = record(point);
    const [left, right] = forcesB ? [other, own] : [own, other];
    observer.forced(forcedRouting.pair(point, start, left, right));
    // From here on both sides have the same experts.
    forcedRouting.force(other.experts);
    point.write!(other.values, other.experts);
  }, ownLogits);
  observer.forced(
    forcesB ? headPair(logitsA, ownLogits, start, layers) : headPair(ownLogits, logitsB, start, layers),
  );
}

/** Remembers the experts chosen last on either side, which the rows of the operations inside the experts belong to. */
class Routing {
  #a: Int32Array | undefined;
  #b: Int32Array | undefined;

  pair(point: TapPoint, start: number, a: Recorded, b: Recorded): Pair {
    if (point.operation === "route") [this.#a, this.#b] = [a.experts, b.experts];
    return {
      layer: point.layer,
      operation: point.operation,
      start,
      rows: point.rows,
      width: point.width,
      a: a.values,
      b: b.values,
      expertsA: this.#a,
      expertsB: this.#b,
    };
  }

  force(experts: Int32Array | undefined): void {
    if (experts !== undefined) this.#a = this.#b = experts;
  }
}

async function run(
  { session }: LockstepSide,
  slot: number,
  piece: Int32Array,
  tap: (point: TapPoint) => void,
  logits: Float32Array[],
): Promise<void> {
  await session.run(
    [{ slot, tokens: piece, logits: "all" }],
    (_index, _position, row) => logits.push(row.slice()),
    tap,
  );
}

function key({ layer, operation }: TapPoint): string {
  return `${layer} ${operation}`;
}

function record(point: TapPoint): Recorded {
  return { values: point.read(), experts: point.experts?.() };
}

function lastLayer(records: ReadonlyMap<string, Recorded>): number {
  return Math.max(...[...records.keys()].map((k) => Number(k.split(" ")[0])));
}

function headPair(a: readonly Float32Array[], b: readonly Float32Array[], start: number, layer: number): Pair {
  const width = a[0]!.length;
  const join = (rows: readonly Float32Array[]) => {
    const all = new Float32Array(rows.length * width);
    rows.forEach((row, i) => all.set(row, i * width));
    return all;
  };
  return {
    layer,
    operation: "lm_head",
    start,
    rows: a.length,
    width,
    a: join(a),
    b: join(b),
    expertsA: undefined,
    expertsB: undefined,
  };
}
