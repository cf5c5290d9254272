import { InputError } from "../../../src/errors.ts";
import { parsePattern } from "../../../src/checkpoint/quark/pattern.ts";
import { assert, assertEquals, assertThrows } from "../../assert.ts";

const NAME = "model.layers.11.self_attn.k_proj";

/** pattern, names that it matches, names that it does not. */
const CASES: [pattern: string, kind: string, yes: string[], no: string[]][] = [
  ["lm_head", "exact", ["lm_head"], ["lm_head.weight", "model.lm_head", ""]],
  [NAME, "exact", [NAME], ["modelXlayers.11.self_attn.k_proj"]],
  ["*k_proj", "glob", [NAME, "k_proj"], ["k_proj.x", "model.layers.11.self_attn.q_proj"]],
  ["*router*", "glob", ["model.layers.0.mlp.router", "router"], ["model.layers.0.mlp.route"]],
  ["model.layers.?.mlp*", "glob", ["model.layers.3.mlp.router"], ["model.layers.13.mlp.router"]],
  ["*.layers.[01].*", "glob", ["a.layers.0.b", "a.layers.1.b"], ["a.layers.2.b"]],
  ["*.layers.[!0-3].*", "glob", ["a.layers.4.b"], ["a.layers.2.b", "a.layers..b"]],
  ["a[]]b", "glob", ["a]b"], ["a[b"]],
  ["a[b*", "glob", ["a[b", "a[bc"], ["ab"]],
  ["a[b-]c*", "glob", ["abc", "a-c"], ["axc"]],
  ["**", "glob", ["", "x"], []],
  ["*a*a*a", "glob", ["aaa", "xaxaxa"], ["aa", "aaab"]],
  ["a[0-9]", "glob", ["a1"], ["xa1", "a1x", "a", "1"]],
  ["?[b]", "glob", ["ab", "bb"], ["aab", "b"]],
  ["x*y*yz", "glob", ["xyyz", "xyayz"], ["xyz"]],
  ["*ab*abc", "glob", ["ababc", "xabxababc"], ["abc", "ababcx"]],
  ["[a-cx-z]", "glob", ["a", "b", "c", "x", "y", "z"], ["d", "w", "-", ""]],
  ["[ab-dz]", "glob", ["a", "b", "c", "d", "z"], ["-", "e", "y"]],
  ["a[!b-d]e", "glob", ["aae", "aee", "a!e"], ["abe", "ace", "ade", "ae"]],
  ["a[!]]b", "glob", ["axb", "a!b"], ["a]b"]],
  ["a[!x]b]", "glob", ["ayb]"], ["axb]", "ay"]],
  ["a[]-a]b", "glob", ["a]b", "a^b", "aab"], ["a-b", "abb"]],
  ["x[-a]y", "glob", ["x-y", "xay"], ["xby"]],
  ["[c-a]x*", "glob", [], ["ax", "bx", "cx"]],
  // What is left of a set when its empty ranges are out may begin with an exclamation mark.
  ["*[c-a!x]", "glob", ["a", "!", "-"], ["x"]],
  ["[c-a!-x]", "glob", ["a", "!"], ["x", "-"]],
  ["[c-a!-!]", "glob", ["a", "x"], ["!", "-"]],
  ["[c-a!]", "glob", ["a", "!"], [""]],
  ["*[--*![[", "glob", ["[--a![[", "[--![["], ["[-![["]],
  ["[*][?]", "glob", ["*?"], ["ab", "*a"]],
  ["[]?", "glob", ["[]x"], ["[]", "x"]],
  ["[!]*", "glob", ["[!]", "[!]x"], ["x"]],
  // Anchored at the start only, as Python's re.match.
  ["re:model", "regex", ["model", "model.x"], ["a.model"]],
  ["re:.*self_attn.*", "regex", [NAME], ["model.layers.0.mlp"]],
  ["re:model\\.layers\\.\\d+\\.self_attn\\.[qkv]_proj$", "regex", [NAME], [
    `${NAME}.x`,
    "model.layers.x.self_attn.k_proj",
  ]],
  ["re:(?:a|bc)+$", "regex", ["a", "abcbca"], ["", "ab", "c"]],
  ["re:a{2,3}b", "regex", ["aab", "aaab"], ["ab", "aaaab"]],
  ["re:a{2}$", "regex", ["aa"], ["a", "aaa"]],
  ["re:a{,2}$", "regex", ["", "a", "aa"], ["aaa"]],
  ["re:a{2,}$", "regex", ["aa", "aaaa"], ["a"]],
  ["re:a{,}b$", "regex", ["b", "aaab"], ["a{,}b"]],
  ["re:a{}$", "regex", ["a{}"], ["a", ""]],
  ["re:a{x}", "regex", ["a{x}"], ["a"]],
  ["re:[^.]+\\.w$", "regex", ["ab.w"], ["a.b.w", ".w"]],
  ["re:[a\\d-]+$", "regex", ["a1-"], ["b"]],
  ["re:[\\]-a]$", "regex", ["]", "^", "a"], ["-", "b", "\\"]],
  ["re:[+-\\-]$", "regex", ["+", ",", "-"], [".", "\\"]],
  ["re:[\\.-]$", "regex", [".", "-"], ["\\", "a"]],
  ["re:[^-a]$", "regex", ["b"], ["-", "a"]],
  ["re:x?y*?z+?$", "regex", ["z", "xyyzz"], ["xy"]],
  ["re:\\bk_proj\\b|.*\\.k_proj\\b", "regex", [NAME, "k_proj"], ["k_projx"]],
  ["re:^a$|^b$", "regex", ["a", "b"], ["ab"]],
  ["re:\\w+\\W\\D\\S$", "regex", ["a.bc"], ["a.1c"]],
  // Layers 0 and 9, not only those between.
  ["re:layers\\.\\d+$", "regex", ["layers.0", "layers.9", "layers.1234567890"], ["layers./", "layers.:", "layers.a"]],
  ["re:.*_\\Bproj\\B", "regex", ["x_projy"], ["x_proj", "x_proj.y"]],
  ["re:.*k\\B$", "regex", [], ["k", "xk"]],
  ["re:(?:a\\.)?\\Ab", "regex", ["b", "bc"], ["a.b"]],
  ["re:a\\Z", "regex", ["a"], ["ab", "a.b"]],
  ["re:[]a]+$", "regex", ["]", "a]"], ["b", "[]"]],
  ["re:[^]a]$", "regex", ["b", "["], ["]", "a"]],
  ["re:[a-a]$", "regex", ["a"], ["b", "-"]],
  ["re:a{0}b", "regex", ["b"], ["ab"]],
  ["re:a{1,4}?b$", "regex", ["ab", "aaaab"], ["b", "aaaaab"]],
  [`re:${"(a)".repeat(60)}$`, "regex", ["a".repeat(60)], ["a".repeat(59)]],
  ["re:a{100}$", "regex", ["a".repeat(100)], ["a".repeat(99), "a".repeat(101)]],
  ["re:(a*)*b", "regex", ["b", "aab"], ["aac"]],
  ["re:", "regex", ["", "anything"], []],
];

for (const [text, kind, yes, no] of CASES) {
  Deno.test(`parsePattern(${JSON.stringify(text)}) matches what Python's does`, () => {
    const pattern = parsePattern(text, "config.json");
    assertEquals(pattern.kind, kind);
    for (const name of yes) assert(pattern.matches(name), `should match ${name}`);
    for (const name of no) assert(!pattern.matches(name), `should not match ${name}`);
  });
}

const BAD = [
  "(",
  ")",
  "a)",
  "[a",
  "*a",
  "a**",
  "a|*",
  "(?=a)",
  "(?P<n>a)",
  "\\1",
  "\\q",
  "a\\",
  "[b-a]",
  "[a-\\d]",
  "[\\w-z]",
  "[a-",
  "a{3,2}",
  "(((a{50}){50}){50})",
  "(".repeat(100),
  `${"(".repeat(60)}a${")".repeat(60)}`,
  "a{1000000000}",
  "a{1000000000,}",
];

for (const source of BAD) {
  Deno.test(`parsePattern() refuses re:${source.slice(0, 20)}`, () => {
    assertThrows(
      () => parsePattern(`re:${source}`, "config.json: exclude"),
      InputError,
      "config.json: exclude: expected a regular",
    );
  });
}

Deno.test("parsePattern() refuses names that no module has the length of", () => {
  assertThrows(() => parsePattern("a".repeat(1001), "config.json"), InputError, "up to 1000 characters, got 1001");
});

Deno.test("Pattern.matches() is not led into exponential time", () => {
  // With a backtracking matcher each of these takes longer than a life.
  const name = "a".repeat(500);
  for (const text of ["re:(a+)+$", "re:(a|aa)*b", "re:(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)b", `*${"a*".repeat(200)}b`]) {
    const pattern = parsePattern(text, "config.json");
    assertEquals(pattern.matches(`${name}!`), false, text);
  }
});
