/** Which tokens share a batch: what docs/server.md and the module say of it, to the token. */
import { type Active, planBatch } from "../../src/serve/engine/batch_plan.ts";
import { NOBODY } from "../../src/serve/engine/observer.ts";
import { Sequence } from "../../src/serve/engine/sequence.ts";
import { assertEquals } from "../assert.ts";
import { jobOf } from "./serving.ts";

/** A sequence in a slot, of so many tokens of prompt, some of which are in the cache. */
function active(slot: number, length: number, fed: number | null, probed = false): Active {
  const probe = probed ? { probe: { from: 0, tap: () => {} } } : {};
  const prompt = Int32Array.from({ length }, (_, i) => 100 * slot + i);
  const sequence = new Sequence(jobOf(prompt, probe), NOBODY, () => {});
  if (fed !== null) sequence.begin(fed, null);
  if (fed === length) {
    sequence.computed(0);
    sequence.picked(1000 + slot);
  }
  return { slot, sequence };
}

/** Slots of a batch with their tokens: of prompts the first, and how many. */
const planned = (all: readonly Active[], room: number) =>
  planBatch(all, room).map(({ slot, sequence, feed }) => {
    assertEquals([feed.slot, all.find((one) => one.slot === slot)!.sequence === sequence], [slot, true]);
    return [slot, feed.tokens[0], feed.tokens.length, feed.logits];
  });

Deno.test("each sequence that generates has one token, as far as there is room, and none that has not begun", () => {
  const all = [active(0, 5, 5), active(1, 9, null), active(2, 5, 5), active(3, 7, 7)];
  const token = (slot: number) => [slot, 1000 + slot, 1, "last"];
  assertEquals(planned(all, 16), [token(0), token(2), token(3)]);
  assertEquals(planned(all, 3), [token(0), token(2), token(3)]);
  assertEquals(planned(all, 2), [token(0), token(2)]);
  assertEquals(planned([all[1]!], 16), []);
});

Deno.test("of the room that is left the first prompt has half, then the shortest have theirs", () => {
  const all = [active(0, 100, 10), active(1, 5, 5), active(2, 60, 40), active(3, 30, 24), active(4, 90, 0)];
  // 15 tokens beside the one that generates: 8, then 6 of the shortest, then 1 of the next.
  assertEquals(planned(all, 16), [[1, 1001, 1, "last"], [0, 10, 8, "none"], [3, 324, 6, "last"], [2, 240, 1, "none"]]);
  assertEquals(planned([active(0, 100, 90), all[4]!], 16), [[0, 90, 10, "last"], [4, 400, 6, "none"]]);
  // Where others need less, the first one has the rest, up to its end.
  assertEquals(planned(all.slice(0, 2), 16), [[1, 1001, 1, "last"], [0, 10, 15, "none"]]);
  assertEquals(planned([all[0]!, all[3]!], 64), [[0, 10, 58, "none"], [3, 324, 6, "last"]]);
  assertEquals(planned([all[0]!, all[3]!], 500), [[0, 10, 90, "last"], [3, 324, 6, "last"]]);
  assertEquals(planned([all[1]!, all[0]!], 1), [[1, 1001, 1, "last"]]);
  assertEquals(planned([all[2]!, all[4]!], 1), [[2, 240, 1, "none"]]);
});

Deno.test("the first whose intermediate results are looked at is alone with all of the room", () => {
  const all = [active(0, 5, 5), active(1, 100, 10, true), active(2, 50, 20, true), active(3, 9, null, true)];
  assertEquals(planned(all, 16), [[1, 110, 16, "all"]]);
  assertEquals(planned([all[0]!, all[3]!], 16), [[0, 1000, 1, "last"]]);
});
