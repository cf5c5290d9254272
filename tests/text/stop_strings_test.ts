import { StopStrings } from "../../src/text/stop_strings.ts";
import { assert, assertEquals } from "../assert.ts";

/** What comes through of pieces, and what ended it. */
function through(stops: readonly string[], pieces: readonly string[]): [text: string, found: string | null] {
  const watched = new StopStrings(stops);
  const text = pieces.map((piece) => watched.push(piece)).join("") + watched.flush();
  return [text, watched.found];
}

/** What a reader who has all of the text would cut. */
function wanted(stops: readonly string[], text: string): [text: string, found: string | null] {
  const ends = stops.filter((stop) => text.includes(stop)).map((stop) => [text.indexOf(stop), stop] as const);
  const first = ends.toSorted(([a], [b]) => a - b)[0];
  return first === undefined ? [text, null] : [text.slice(0, first[0]), first[1]];
}

Deno.test("StopStrings finds a stop string wherever pieces end, and holds back no more than its beginning", () => {
  for (const stop of ["x", "aab", "\n\nQ:", "abab"]) {
    for (const text of ["aaab", "no", "aabx", "a\n\n\nQ:b", "abaabab", "ababab", "aa", "\n\nQ"]) {
      // Every way to cut the text into pieces.
      for (let cuts = 0; cuts < 2 ** (text.length - 1); cuts++) {
        const pieces = [...text].reduce<string[]>((all, character, i) => {
          if (i > 0 && (cuts >> (i - 1)) % 2 === 0) all[all.length - 1] += character;
          else all.push(character);
          return all;
        }, []);
        assertEquals(through([stop], pieces), wanted([stop], text), JSON.stringify([stop, pieces]));
      }
    }
  }
});

Deno.test("StopStrings takes the first of several, and shows at once what can begin none", () => {
  const watched = new StopStrings(["END", "STOP"]);
  assertEquals([watched.push("some text"), watched.push(" ST"), watched.push("EN")], ["some text", " ", "ST"]);
  assertEquals([watched.push("D STOP"), watched.found, watched.push("more"), watched.flush()], ["", "END", "", ""]);
  // Of two that begin at one place the first of the list.
  assertEquals(through(["abc", "ab"], ["xabc"]), ["x", "abc"]);
  assertEquals(through(["ab", "abc"], ["xabc"]), ["x", "ab"]);
  assertEquals(through([], ["a", "b"]), ["ab", null]);
  assert(new StopStrings([]).push("x") === "x");
  const held = new StopStrings(["abc"]);
  assertEquals([held.push("xab"), held.flush(), held.flush(), held.push("c")], ["x", "ab", "", "c"]);
});
