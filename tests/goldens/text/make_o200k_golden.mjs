// Writes what OpenAI's tiktoken (Rust, compiled to WASM) makes of texts with o200k_base, for tests/text/o200k_test.ts.
//
//     npm install tiktoken@1.0.22 && node make_o200k_golden.mjs        writes o200k.json beside itself
//
// Texts: the odd strings of tokenizer-odd.json, harmony's fixtures, and some of several languages and of code.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

// Not a dependency of the project: named indirectly, so that `deno check` does not look for it.
const oracle = "tiktoken";
const { get_encoding } = await import(oracle);

const here = new URL("./", import.meta.url);
const read = (path) => readFileSync(new URL(path, here), "utf8");

const texts = [
  ...JSON.parse(read("tokenizer-odd.json")).map(({ text }) => text),
  ...readdirSync(new URL("../harmony/", here)).filter((name) => name.endsWith(".txt")).sort()
    .map((name) => read(`../harmony/${name}`)),
  "The quick brown fox jumps over the lazy dog; 3.14159 is about 22/7, isn't it? We've THEY'LL o'clock.",
  "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
  "Съешь же ещё этих мягких французских булок, да выпей чаю. 敏捷的棕色狐狸跳过懒狗。いろはにほへと 한국어 ไทย हिन्दी",
  "function f(x) {\n  return x.map((y) => y * 2); // twice\n}\n\n\tif (a && b) { c[0] = 'd'; }\r\n",
  "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis Donaudampfschifffahrtsgesellschaft",
  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \u00a0\u2003 ----------------======== 1000000000",
];
const encoding = get_encoding("o200k_base");
const cases = texts.map((text) => ({ text, ids: [...encoding.encode_ordinary(text)] }));
writeFileSync(new URL("o200k.json", here), `${JSON.stringify(cases)}\n`);
console.log(`${cases.length} texts, ${cases.reduce((sum, { ids }) => sum + ids.length, 0)} tokens`);
