/** Two models that are computed by hand: what is set beside what, in which pieces, and from which inputs. */
import { lockstep, type Observer, type Pair } from "../../src/eval/lockstep.ts";
import type { TapPoint } from "../../src/model/gpt_oss.ts";
import type { Session } from "../../src/session/session.ts";
import { assertEquals } from "../assert.ts";

/** What tells two models apart. */
interface Model {
  /** Added by the embedding, a factor of the experts and of the norm, and the expert that the token 0 goes to. */
  readonly embed: number;
  readonly expert: number;
  readonly norm: number;
  readonly chosen: number;
  readonly maxTokens: number;
  /** Whether its results can be replaced. */
  readonly forcible: boolean;
}

const A: Model = { embed: 0, expert: 2, norm: 1, chosen: 0, maxTokens: 4, forcible: true };
const B: Model = { embed: 0.5, expert: 3, norm: -1, chosen: 1, maxTokens: 3, forcible: true };

/**
 * One expert of two for each token, and a vocabulary of one: a token's embedding is the sum of it and of all before it.
 *
 * @param sizes Gets the tokens of each run and its slot.
 */
function sessionOf({ embed, expert, norm, chosen, maxTokens, forcible }: Model, sizes: string[] = []): Session {
  const sums = [0, 0];
  const run: Session["run"] = ([feed], onLogits, tap) => {
    const { slot } = feed!, tokens = Int32Array.from(feed!.tokens);
    sizes.push(`${tokens.length} in ${slot}`);
    let values = Float32Array.from(tokens, (token) => (sums[slot]! += token) + embed);
    const see = (layer: number, operation: TapPoint["operation"], experts?: Int32Array) => {
      tap!({
        ...{ layer, operation, rows: tokens.length, width: 1, read: () => values.slice() },
        ...(experts === undefined ? {} : { experts: () => experts }),
        ...(forcible ? { write: (given: Float32Array) => values = given.slice() } : {}),
      });
    };
    see(-1, "embed");
    see(0, "route", Int32Array.from(tokens, (token) => (token + chosen) % 2));
    values = values.map((x) => x * expert);
    see(0, "experts.down_proj");
    values = values.map((x) => x + norm);
    see(1, "finalNorm");
    values.forEach((x, i) => onLogits!(0, i, Float32Array.of(2 * x)));
    return Promise.resolve();
  };
  const reset = (slot: number) => void (sums[slot] = 0), limits = { slots: 2, context: 99, maxTokens, vocab: 1 };
  return { run, reset, limits } as unknown as Session;
}

/** What an observer is told, a line for each pair: place, values of either side and the experts that they are of. */
async function told(a: Session, b: Session, tokens: readonly number[]) {
  const free: string[] = [], forced: string[] = [], logits: string[] = [], done: number[] = [];
  const line = ({ layer, operation, start, rows, width, a, b, expertsA, expertsB }: Pair) =>
    `${layer} ${operation} ${start} ${rows}x${width}: ${a} | ${b}` +
    (expertsA === undefined ? "" : ` of ${expertsA} | ${expertsB}`);
  const observer: Observer = {
    free: (pair) => free.push(line(pair)),
    forced: (pair) => forced.push(line(pair)),
    logits: (position, x, y) => logits.push(`${position}: ${x} | ${y}`),
  };
  await lockstep({ session: a }, { session: b }, Int32Array.from(tokens), observer, (n) => void done.push(n));
  return { free, forced, logits, done };
}

const TOKENS = [1, 0, 2, 1, 0, 1];

Deno.test("both sides run on their own, and B on A's results, so that its own differences are left", async () => {
  const sizesA: string[] = [], sizesB: string[] = [];
  const { free, forced, logits, done } = await told(sessionOf(A, sizesA), sessionOf(B, sizesB), TOKENS);
  // The pieces are those of the side that takes fewer tokens at a time; none is empty.
  assertEquals([sizesA, sizesB], [["3 in 0", "3 in 0"], ["3 in 0", "3 in 1", "3 in 0", "3 in 1"]]);
  assertEquals(done, [3, 6]);
  assertEquals(free, [
    "-1 embed 0 3x1: 1,1,3 | 1.5,1.5,3.5",
    "0 route 0 3x1: 1,1,3 | 1.5,1.5,3.5 of 1,0,0 | 0,1,1",
    "0 experts.down_proj 0 3x1: 2,2,6 | 4.5,4.5,10.5 of 1,0,0 | 0,1,1",
    "1 finalNorm 0 3x1: 3,3,7 | 3.5,3.5,9.5 of 1,0,0 | 0,1,1",
    "1 lm_head 0 3x1: 6,6,14 | 7,7,19",
    "-1 embed 3 3x1: 4,4,5 | 4.5,4.5,5.5",
    "0 route 3 3x1: 4,4,5 | 4.5,4.5,5.5 of 1,0,1 | 0,1,0",
    "0 experts.down_proj 3 3x1: 8,8,10 | 13.5,13.5,16.5 of 1,0,1 | 0,1,0",
    "1 finalNorm 3 3x1: 9,9,11 | 12.5,12.5,15.5 of 1,0,1 | 0,1,0",
    "1 lm_head 3 3x1: 18,18,22 | 25,25,31",
  ]);
  // Each operation of B reads what A had before it, and from the routing on both have A's experts.
  assertEquals(forced, [
    "-1 embed 0 3x1: 1,1,3 | 1.5,1.5,3.5",
    "0 route 0 3x1: 1,1,3 | 1,1,3 of 1,0,0 | 0,1,1",
    "0 experts.down_proj 0 3x1: 2,2,6 | 3,3,9 of 1,0,0 | 1,0,0",
    "1 finalNorm 0 3x1: 3,3,7 | 1,1,5 of 1,0,0 | 1,0,0",
    "1 lm_head 0 3x1: 6,6,14 | 6,6,14",
    "-1 embed 3 3x1: 4,4,5 | 4.5,4.5,5.5",
    "0 route 3 3x1: 4,4,5 | 4,4,5 of 1,0,1 | 0,1,0",
    "0 experts.down_proj 3 3x1: 8,8,10 | 12,12,15 of 1,0,1 | 1,0,1",
    "1 finalNorm 3 3x1: 9,9,11 | 7,7,9 of 1,0,1 | 1,0,1",
    "1 lm_head 3 3x1: 18,18,22 | 18,18,22",
  ]);
  assertEquals(logits, ["0: 6 | 7", "1: 6 | 7", "2: 14 | 19", "3: 18 | 25", "4: 18 | 25", "5: 22 | 31"]);
});

Deno.test("where B's results cannot be replaced A runs on B's, and where neither's can nothing is forced", async () => {
  const seen = { ...B, forcible: false }, expected = await told(sessionOf(A), sessionOf(B), TOKENS);
  const { forced, ...rest } = await told(sessionOf(A), sessionOf(seen), TOKENS);
  assertEquals({ ...rest, forced: expected.forced }, expected);
  assertEquals(forced.slice(0, 5), [
    "-1 embed 0 3x1: 1,1,3 | 1.5,1.5,3.5",
    "0 route 0 3x1: 1.5,1.5,3.5 | 1.5,1.5,3.5 of 1,0,0 | 0,1,1",
    "0 experts.down_proj 0 3x1: 3,3,7 | 4.5,4.5,10.5 of 0,1,1 | 0,1,1",
    "1 finalNorm 0 3x1: 5.5,5.5,11.5 | 3.5,3.5,9.5 of 0,1,1 | 0,1,1",
    "1 lm_head 0 3x1: 7,7,19 | 7,7,19",
  ]);
  const neither = await told(sessionOf({ ...A, forcible: false }), sessionOf(seen), TOKENS);
  assertEquals(neither, { ...expected, forced: [] });
});

Deno.test("a sequence says nothing of the one before it, neither freely nor forced", async () => {
  const a = sessionOf(A), b = sessionOf(B), first = await told(a, b, TOKENS);
  assertEquals(await told(a, b, TOKENS), first);
  // Nor does the last one, cut short.
  await told(a, b, [1, 1]);
  assertEquals(await told(a, b, TOKENS), first);
});
