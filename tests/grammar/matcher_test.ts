/** What a matcher keeps apart while it reads a text in several ways. */
import { Matcher } from "../../src/grammar/matcher.ts";
import { bytes, oneOf } from "../../src/grammar/node.ts";
import { assert } from "../assert.ts";
import { takes } from "./judge.ts";

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
