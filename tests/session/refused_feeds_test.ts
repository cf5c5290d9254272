/** What a session is fed is looked at whole before a token of it is computed. */
import { InputError } from "../../src/errors.ts";
import { assertEquals, assertRejects } from "../assert.ts";
import { nextOf, openPaged, VOCAB } from "./paged_engine.ts";

const SIZES = { slots: 8, context: 40, maxTokens: 4, pages: 32 };

/** So many tokens. */
const tokens = (count: number) => Array.from({ length: count }, (_, i) => (7 * i + 3) % VOCAB);

Deno.test("Session refuses a sequence of several chunks before the first is computed", async () => {
  const { session, engine } = openPaged(SIZES);
  for (const logits of ["last", "all", "none"] as const) {
    const refuses = async (given: ArrayLike<number>, line: string) => {
      await assertRejects(() => session.feed({ slot: 0, tokens: given, logits }), InputError, line);
      assertEquals([engine.computed, session.length(0)], [0, 0], line);
    };
    await refuses(tokens(41), "the sequence needs 41 positions, but only 40 were set aside");
    for (const id of [VOCAB, -1, 1.5]) {
      await refuses([...tokens(9), id], `token id ${id}: expected 0 to ${VOCAB - 1}`);
    }
  }
});

Deno.test("Session.feed computes the tokens that it was given, whatever becomes of the array", async () => {
  const { session } = openPaged(SIZES), given = tokens(10), next: number[] = [];
  const fed = session.feed({ slot: 0, tokens: given, logits: "last" }, (_, logits) => next.push(logits.indexOf(8)));
  given.fill(-1);
  await fed;
  assertEquals([next, session.tokens(0)], [[nextOf(tokens(10))], tokens(10)]);
});

Deno.test("Session.step refuses the last of many tokens before the first is computed", async () => {
  const { session, engine } = openPaged(SIZES), entries = tokens(5).map((token, slot) => ({ slot, token }));
  await assertRejects(
    () => session.step([...entries, { slot: 5, token: VOCAB }], () => {}),
    InputError,
    "token id 97:",
  );
  assertEquals([engine.computed, session.length(0)], [0, 0]);
  const next: number[] = [];
  await session.step(entries, (index, logits) => next[index] = logits.indexOf(8));
  assertEquals(next, tokens(5).map((token) => nextOf([token])));
});

Deno.test("Session refuses the last logits of no tokens, which would be those of another sequence", async () => {
  const { session, engine } = openPaged(SIZES, true);
  const none = { slot: 1, tokens: [], logits: "last" } as const, message = "a feed without tokens has no last logits";
  await assertRejects(() => session.feed(none), RangeError, message);
  const some = { slot: 0, tokens: tokens(3), logits: "last" } as const;
  for (const feeds of [[some, none], [none, some]]) {
    await assertRejects(() => session.run(feeds), RangeError, message);
    await assertRejects(() => session.pick(feeds, () => {}), RangeError, message);
  }
  assertEquals(engine.computed, 0);
  // No tokens have no logits, and those of others stay theirs.
  for (const logits of ["all", "none"] as const) {
    const nothing = { ...none, logits }, seen: number[][] = [];
    await session.feed(nothing, (position) => seen.push([position]));
    session.reset(0);
    await session.run([nothing, some, nothing], (index, position) => seen.push([index, position]));
    assertEquals(seen, [[1, 2]]);
  }
});
