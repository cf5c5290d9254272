import { tableLines } from "../../src/cli/table.ts";
import { cutTo, padTo, widthOf } from "../../src/cli/width.ts";
import { assertEquals } from "../assert.ts";

Deno.test("widthOf() counts columns: two of a wide character, none of an accent", () => {
  const heart = "\u2764\ufe0f", flag = "\u{1f1e9}\u{1f1ea}";
  assertEquals(["abc", "\u65e5\u672c\u8a9e", "e\u0301", "\u{1f600}", heart, flag].map(widthOf), [3, 6, 1, 2, 2, 2]);
});

Deno.test("padTo() and cutTo() count columns, and cut between characters", () => {
  assertEquals(padTo("\u65e5\u672c", 6), "\u65e5\u672c  ");
  assertEquals(padTo("\u65e5\u672c", 6, "before"), "  \u65e5\u672c");
  assertEquals(cutTo("a\u65e5\u672c", 4), "a\u65e5");
  assertEquals(cutTo("e\u0301e\u0301", 1), "e\u0301");
  assertEquals(cutTo("abc", 3), "abc");
});

Deno.test("tableLines() aligns columns that hold wide characters and what is written as an escape", () => {
  const rows = [["\u65e5\u672c", "1"], ["abcde", "22"], ["\u001b", "3"]];
  assertEquals(tableLines(rows, [1]), ["\u65e5\u672c     1", "abcde   22", "\\u001b   3"]);
});
