import { ReplyText } from "../../src/serve/text/reply_text.ts";
import { StopStrings } from "../../src/text/stop_strings.ts";
import { tokenText } from "../../src/serve/text/token_text.ts";
import { assertEquals } from "../assert.ts";

/** What is shown of pieces, the stop string, and what was held back. */
function shown(stops: readonly string[], pieces: readonly string[]) {
  const watch = new StopStrings(stops);
  return [pieces.map((piece) => watch.push(piece)), watch.found, watch.flush()];
}

Deno.test("StopStrings finds a stop string that is cut at any place, and shows nothing of it", () => {
  const text = "one two\n\nQuestion: three", stop = "\n\nQuestion:";
  for (let a = 0; a <= text.length; a++) {
    for (let b = a; b <= text.length; b++) {
      const [pieces, found, rest] = shown([stop], [text.slice(0, a), text.slice(a, b), text.slice(b)]);
      assertEquals([(pieces as string[]).join(""), found, rest], ["one two", stop, ""], `${a} ${b}`);
    }
  }
});

Deno.test("StopStrings takes the first of several, and gives back what came to nothing", () => {
  assertEquals(shown(["cd", "b"], ["abcd"]), [["a"], "b", ""]);
  assertEquals(shown(["abc"], ["ab", "ab", "x"]), [["", "ab", "abx"], null, ""]);
  assertEquals(shown(["abc"], ["xab"]), [["x"], null, "ab"]);
  assertEquals(shown([], ["x"]), [["x"], null, ""]);
  assertEquals(shown(["aab"], ["aa", "ab"]), [["", "a"], "aab", ""]);
});

/** A tokenizer of which each id is a byte, and 256 is special. */
const BYTES = {
  bytes: (id: number) => Uint8Array.of(id),
  copyBytes: (id: number, target: Uint8Array, at: number) => {
    if (at < target.length) target[at] = id;
    return at + 1;
  },
  specialName: (id: number) => id === 256 ? "<|end|>" : null,
};

Deno.test("ReplyText shows whole characters only, and ends at a stop string in the middle of a token", () => {
  const ids = [...new TextEncoder().encode("aé€😀")];
  const text = new ReplyText(BYTES, { stops: [], special: "skip", stopIds: new Set([256]) });
  assertEquals([...ids, 256].map((id) => text.watch(id)).includes(true), false);
  const taken = [...ids, 256].map(() => text.take());
  assertEquals(taken.map((one) => one.shown), ["a", "", "é", "", "", "€", "", "", "", "😀", ""]);
  assertEquals(text.flush(), "");
  const stopped = new ReplyText(BYTES, { stops: ["€"], special: "skip", stopIds: new Set() });
  assertEquals(ids.slice(0, 6).map((id) => stopped.watch(id)), [false, false, false, false, false, true]);
  assertEquals([stopped.stopString, stopped.flush()], ["€", ""]);
  // A character that never becomes whole.
  const open = new ReplyText(BYTES, { stops: [], special: "keep", stopIds: new Set() });
  for (const id of [97, 0xe2, 0x82]) open.watch(id);
  assertEquals([open.take().shown, open.take().shown, open.take().shown, open.flush()], ["a", "", "", "\ufffd"]);
});

Deno.test("tokenText() gives every token a name of its own", () => {
  assertEquals(tokenText(BYTES, 97), "a");
  assertEquals(tokenText({ ...BYTES, bytes: () => Uint8Array.of(0xe2, 0x82) }, 0), "bytes:\\xe2\\x82");
});
