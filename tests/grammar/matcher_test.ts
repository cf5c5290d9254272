/** What a matcher keeps apart while it reads a text in several ways. */
import { Matcher } from "../../src/grammar/matcher.ts";
import { all, bytes, literal, oneOf, special } from "../../src/grammar/node.ts";
import { assert, assertEquals } from "../assert.ts";
import { matcherOf, takes } from "./judge.ts";

/** An automaton of two letters by its edges. */
function automaton(
  states: number,
  edges: readonly (readonly [from: number, letter: "a" | "b", to: number])[],
  end: number,
) {
  const classOf = new Uint8Array(256), next = new Int32Array(states * 3).fill(-1), accepts = new Uint8Array(states);
  classOf[0x61] = 1;
  classOf[0x62] = 2;
  for (const [from, letter, to] of edges) next[from * 3 + (letter === "a" ? 1 : 2)] = to;
  accepts[end] = 1;
  return bytes({ classOf, classes: 3, next, accepts });
}

Deno.test("a matcher tells states of two automata apart, however many states these have", () => {
  for (const bits of [16, 20, 22]) {
    const far = 2 ** bits + 1;
    const large = automaton(far + 1, [[0, "a", far], [far, "a", 1]], 1);
    const small = automaton(3, [[0, "a", 1], [1, "b", 2]], 2);
    for (const ways of [[large, small], [small, large]]) {
      const matcher = new Matcher(oneOf(ways), "test");
      for (const [text, good] of [["aa", true], ["ab", true], ["a", false], ["ba", false]] as const) {
        assert(takes(matcher, text) === good, `${bits}: ${text}`);
      }
    }
  }
});

Deno.test("a text may end where one way to read it ends, whichever comes first, and others go on", () => {
  const a = literal("a"), ways = [a, all(a, literal("b")), all(a, literal("c"), literal("d"))];
  for (const [first, second, third] of [[0, 1, 2], [1, 0, 2], [1, 2, 0], [2, 1, 0]] as const) {
    const matcher = new Matcher(oneOf([ways[first]!, ways[second]!, ways[third]!]), "test");
    const texts = ["", "a", "ab", "ac", "acd", "abd", "b"];
    assertEquals(texts.filter((text) => takes(matcher, text)), ["a", "ab", "acd"]);
  }
});

Deno.test("a string without an upper bound is at one place, however many more characters than enough it has", () => {
  const encoder = new TextEncoder(), matcher = matcherOf({ type: "string", minLength: 3 });
  const after = (count: number) => matcher.bytes(matcher.start, encoder.encode(`"${"a".repeat(count)}`));
  assertEquals([2, 3, 4, 400].map((count) => after(count) === after(3)), [false, true, true, true]);
});

Deno.test("a special token and the bytes of its name are told apart, also where both may follow", () => {
  const end = special("<|end|>"), matcher = new Matcher(oneOf([end, literal("<|end|>x"), all(literal("a"), end)]), "");
  const { start } = matcher, after = matcher.special(start, "<|end|>");
  assertEquals([matcher.specials(start), after?.ends, after?.takesBytes], [["<|end|>"], true, false]);
  assertEquals([takes(matcher, "<|end|>"), takes(matcher, "<|end|>x")], [false, true]);
  const a = matcher.byte(start, 0x61)!;
  assertEquals([a.takesBytes, a.ends, matcher.byte(a, 0x3c), matcher.special(a, "<|start|>")], [
    false,
    false,
    null,
    null,
  ]);
  assertEquals(matcher.special(a, "<|end|>"), after);
});
