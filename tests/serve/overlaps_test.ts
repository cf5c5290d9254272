/** What sequences share, as it is counted before one is let in: never more than they have in common. */
import { Random } from "../../src/session/random.ts";
import type { Paging } from "../../src/session/paging.ts";
import { Overlaps } from "../../src/serve/engine/overlaps.ts";
import type { Sequence } from "../../src/serve/engine/sequence.ts";
import { assert, assertEquals } from "../assert.ts";

/** A sequence of these tokens, as far as overlaps look at it. */
class Tokens {
  constructor(readonly text: string) {}

  get length(): number {
    return this.text.length;
  }

  overlap({ text }: Tokens): number {
    let same = 0;
    while (same < Math.min(text.length, this.text.length) && text[same] === this.text[same]) same++;
    return same;
  }
}

/** Lets sequences in and out, and tells what is counted as shared when one asks: of those that run, then of itself. */
class Counted {
  readonly running: Tokens[] = [];
  readonly #overlaps = new Overlaps();

  ask(next: Tokens): readonly number[] {
    let counted: readonly number[] = [];
    const holds = (all: readonly { length: number; shared: number }[]) => {
      assertEquals(all.map(({ length }) => length), [...this.running, next].map(({ length }) => length));
      counted = all.map(({ shared }) => shared);
      return true;
    };
    const of = (one: Tokens) => one as unknown as Sequence;
    assert(this.#overlaps.admit(of(next), this.running.map(of), { shares: true, holds } as unknown as Paging));
    return counted;
  }

  enter(next: Tokens): readonly number[] {
    const counted = this.ask(next);
    this.running.push(next);
    return counted;
  }

  leave(one: Tokens): void {
    this.#overlaps.leave(one as unknown as Sequence);
    if (this.running.includes(one)) this.running.splice(this.running.indexOf(one), 1);
  }
}

Deno.test("where one leaves, the first of those that began as it did stands for it", () => {
  const all = new Counted(), [a, b, c, d, e] = ["abcdef", "abcdeX", "abcdX", "abcX", "abX"].map((t) => new Tokens(t));
  assertEquals([a!, b!, c!, d!].map((one) => all.enter(one)), [[], [0, 5], [0, 5, 4], [0, 5, 4, 3]]);
  assertEquals(all.ask(e!), [0, 5, 4, 3, 2]);
  // Asking again, as it waits, finds the same.
  assertEquals(all.ask(e!), [0, 5, 4, 3, 2]);
  all.leave(a!);
  assertEquals(all.ask(e!), [0, 4, 3, 2], "the second has pages of its own now, the others have theirs of it");
  all.leave(c!);
  assertEquals(all.ask(e!), [0, 3, 2]);
  // One that waits is asked after anew, and forgotten where another comes first.
  assertEquals(all.ask(new Tokens("abcdeXY")), [0, 3, 6]);
  all.leave(b!);
  assertEquals(all.ask(e!), [0, 2]);
  all.leave(d!);
  assertEquals(all.enter(e!), []);
  const z = new Tokens("Z"), again = new Tokens("abXYZ");
  assertEquals([all.enter(z), all.enter(again)], [[0, 0], [0, 0, 3]]);
  all.leave(again);
  assertEquals(all.ask(again), [0, 0, 3], "it comes back");
});

Deno.test("where one that began as another leaves, its followers have no more of the first than it had", () => {
  const all = new Counted(), [a, b, c, d] = ["abXXXX", "abcdXX", "abcdef", "abcdeX"].map((text) => new Tokens(text));
  assertEquals([a!, b!, c!, d!].map((one) => all.enter(one)), [[], [0, 2], [0, 2, 4], [0, 2, 4, 5]]);
  all.leave(b!);
  assertEquals(all.ask(new Tokens("abcX")), [0, 2, 5, 3]);
});

Deno.test("what is counted holds all that the sequences have apart, whoever comes, waits and leaves", () => {
  const random = new Random(3n), below = (n: number) => random.word() % n;
  for (let round = 0; round < 60; round++) {
    const all = new Counted();
    let waits: Tokens | null = null;
    for (let step = 0; step < 40; step++) {
      if (all.running.length > 0 && below(3) === 0) all.leave(all.running[below(all.running.length)]!);
      if (waits !== null && below(3) === 0) {
        // Its client has gone, or it gives way to another and comes back as one that is new.
        if (below(2) === 0) all.leave(waits);
        waits = null;
      }
      const next: Tokens = waits ?? new Tokens(Array.from({ length: 1 + below(8) }, () => "ab"[below(2)]).join(""));
      const fresh = waits === null,
        admitted = below(3) > 0,
        before = [...all.running],
        counted = admitted ? all.enter(next) : all.ask(next);
      waits = admitted ? null : next;
      if (before.length === 0) continue;
      const texts = [...before, next].map(({ text }) => text);
      const apart = new Set(texts.flatMap((text) => Array.from(text, (_, i) => text.slice(0, i + 1)))).size;
      const own = texts.reduce((sum, text, i) => sum + text.length - counted[i]!, 0);
      assert(own >= apart, `${texts}: ${counted}`);
      const most = Math.max(...before.map((one) => next.overlap(one)));
      // While it waits, others that leave may hide some of it.
      assert(fresh ? counted.at(-1) === most : counted.at(-1)! <= most, `${texts}: ${counted}`);
    }
  }
});
