/** Runs the kernels `digits` and `pick` for the tests of them, and a slow twin of `digits`. */
import { float32ToBf16 } from "../../src/formats/bf16.ts";
import { assertEquals } from "../assert.ts";
import { BY_DOTS, BY_PAIRS, scratchBytes } from "./linear.ts";
import { Machine } from "./module.ts";
import { preparedOrder } from "./twins.ts";

/** Words of a row's facts, and of what a thread has seen of a row; an id that no token has; rows of a unit. */
export const FACT_WORDS = 8, BEST_WORDS = 4, NONE = 0x7fff_ffff, TILE = 12;
const MOST = 63, MORE = 1 + 2 ** -10;
/** Bytes of what is kept of a unit beside its digits. */
export const TILE_BYTES = 208;

/** Rounds to the nearest integer, ties to even. */
function nearest(x: number): number {
  const floor = Math.floor(x), above = x - floor;
  return above > 0.5 || above === 0.5 && floor % 2 !== 0 ? floor + 1 : floor;
}

/** The digits of a row, and its facts 1 to 5; null where it has none. */
export function digitsOf(row: Float32Array): { bytes: Uint8Array; facts: number[] } | null {
  const largest = row.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  if (!(largest >= 2 ** -50 && largest <= 2 ** 50)) return null;
  const cols = row.length, bytes = new Uint8Array(2 * cols);
  const first = Math.fround(largest / MOST), second = Math.fround(first / (2 * MOST));
  const digit = (x: number) => Math.max(-MOST, Math.min(MOST, nearest(x)));
  const squares = [0, 0, 0];
  row.forEach((x, column) => {
    const high = digit(x / first), rest = x - high * first, low = digit(rest / second), end = rest - low * second;
    bytes[column] = high + MOST;
    bytes[cols + column] = low + MOST;
    [x, rest, end].forEach((v, i) => squares[i]! += v * v);
  });
  const [norm, rest, end] = squares.map((sum) => Math.fround(Math.fround(Math.sqrt(sum) * MORE) + 2 ** -126));
  return { bytes, facts: [norm!, first, rest!, second, end!] };
}

/** Rows of digits that are multiplied together, of input rows of one digit or two. */
export function pairsOf(digits: readonly (1 | 2)[]): number[] {
  const one = digits.flatMap((count, row) => count === 1 ? [2 * row] : []);
  const two = digits.flatMap((count, row) => count === 2 ? [2 * row, 2 * row + 1] : []);
  return [...one, ...one.length % 2 === 1 ? one.slice(-1) : [], ...two];
}

/** What threads have seen together. */
export interface Seen {
  /** As `Picks.ids`. */
  readonly ids: number[];
  readonly logits: number[];
  readonly floors: number[];
  /** Logits that were computed. */
  readonly computed: number;
}

/** How the likeliest are looked for. */
export interface Way {
  readonly threads: number;
  readonly digits: 1 | 2 | "mixed";
  /** Twice, by the weights' digits that the first time keeps; the second time's result. */
  readonly kept?: true;
  /** Puts another row in a row's place between the two times. */
  readonly exchanged?: readonly [row: number, by: Float32Array];
}

/**
 * Lets some threads look for the likeliest by bytes, which take units in no order: by each way to multiply bytes, of
 * which this processor would take one, and asserts that both see the same.
 */
export function threadsPick(weights: readonly Float32Array[], x: readonly Float32Array[], way: Way): Seen {
  const [byPairs, byDots] = [BY_PAIRS, BY_DOTS].map((bytes) => threadsPickBy(bytes, weights, x, way));
  assertEquals(byPairs, byDots);
  return byDots!;
}

function threadsPickBy(
  bytes: number,
  weights: readonly Float32Array[],
  x: readonly Float32Array[],
  { threads, digits, kept, exchanged }: Way,
): Seen {
  const machine = new Machine(32), rows = weights.length, cols = weights[0]!.length, n = x.length;
  const rowStride = 2 * cols + 6, stride = cols + 32;
  const stored = machine.last(new Uint8Array((rows - 1) * rowStride + 2 * cols)),
    view = new DataView(stored.data.buffer, stored.address);
  const store = (row: Float32Array, r: number) =>
    row.forEach((v, i) => view.setUint16(r * rowStride + 2 * i, float32ToBf16(v), true));
  weights.forEach(store);
  const prepared = machine.floats(n * stride),
    out = machine.bytes(n * 2 * cols),
    facts = machine.integers(n * FACT_WORDS);
  x.forEach((row, r) => prepared.data.set(preparedOrder(row), r * stride));
  machine.run("digits", [prepared.address, stride, cols, out.address, facts.address], n, [out, facts]);
  const pairs = machine.integers(pairsOf(x.map((_, i) => digits === "mixed" ? (i % 3 === 1 ? 2 : 1) : digits)));
  const floors = machine.floats(n), units = Math.ceil(rows / TILE);
  const keeps = machine.bytes(kept === undefined ? 0 : units * (TILE_BYTES + TILE * cols));
  const scratches = Array.from({ length: threads }, () => machine.integers(scratchBytes(cols) / 4));
  const floats = scratches.map(({ address, data }) => new Float32Array(data.buffer, address, data.length));
  const look = () => {
    floors.data.fill(-Infinity);
    scratches.forEach(({ data }, t) => {
      for (let row = 0; row < n; row++) {
        data.set([0, NONE, NONE, 0], BEST_WORDS * row);
        floats[t]![BEST_WORDS * row] = -Infinity;
      }
    });
    machine.share(
      "pick",
      [
        ...[stored.address, rowStride, rows, cols, prepared.address, stride, out.address, facts.address],
        ...[pairs.address, pairs.data.length / 2, n, floors.address],
        ...[kept === undefined ? 0 : keeps.address, bytes],
      ],
      Array.from({ length: units }, (_, i) => {
        const unit = threads === 1 ? i : units - 1 - i;
        return [unit, scratches[unit % threads]!.address] as const;
      }),
    );
  };
  look();
  if (exchanged !== undefined) store(exchanged[1], exchanged[0]);
  if (kept !== undefined || exchanged !== undefined) {
    const first = keeps.data.slice();
    look();
    assertEquals(keeps.data, first);
  }
  let computed = 0;
  const logits: number[] = [];
  const ids = x.map((_, row) => {
    let id = NONE, odd = NONE, most = -Infinity;
    scratches.forEach(({ data }, t) => {
      const at = BEST_WORDS * row, logit = floats[t]![at]!;
      if (logit > most || logit === most && data[at + 1]! < id) [most, id] = [logit, data[at + 1]!];
      odd = Math.min(odd, data[at + 2]!);
      computed += data[at + 3]!;
    });
    logits.push(most);
    return odd === NONE ? id : ~odd;
  });
  return { ids, logits, floors: [...floors.data], computed };
}
