import { TokenTrie } from "../../src/text/token_trie.ts";
import { InputError } from "../../src/errors.ts";
import { assertEquals, assertThrows } from "../assert.ts";

const find = (tokens: string[], text: string) => [...new TokenTrie(tokens, "x").find(text)].map(({ token }) => token);

Deno.test("TokenTrie finds the leftmost and longest token", () => {
  assertEquals(find(["ab", "abc", "bcd", "d"], "abcd abd"), ["abc", "d", "ab", "d"]);
  assertEquals(find(["<|a|>", "<|a", "|>"], "<|a|><|a<|>"), ["<|a|>", "<|a", "|>"]);
  assertEquals(find([], "abc"), []);
  assertEquals(find(["\u{1f600}"], "\u{1f600}\u{1f601}"), ["\u{1f600}"]);
});

Deno.test("TokenTrie finds what an expression of all tokens finds", () => {
  const tokens = ["a", "ab", "aba", "bb", "b", "cab", "ccc"];
  const expression = new RegExp([...tokens].sort((a, b) => b.length - a.length).join("|"), "g");
  let state = 1;
  for (let i = 0; i < 300; i++) {
    const text = Array.from({ length: 30 }, () => "abcd"[(state = state * 48271 % 2147483647) % 4]).join("");
    assertEquals(find(tokens, text), text.match(expression) ?? []);
  }
});

Deno.test("TokenTrie refuses more beginnings than it has room for", () => {
  const many = Array.from({ length: 5000 }, (_, i) => `${i}`.padEnd(250, "x"));
  assertThrows(() => new TokenTrie(many, "x"), InputError, "x: expected at most 1000000 different beginnings");
});
