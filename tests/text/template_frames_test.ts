/** What blocks find of a variable that their surroundings set later on. Expected texts are Jinja2 3.1.6's. */
import { segmentsText } from "../../src/text/harmony_render.ts";
import { ChatTemplate } from "../../src/text/chat_template.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assertEquals } from "../assert.ts";
import { TINY } from "./goldens.ts";

const tokenizer = await Tokenizer.fromDirectory(TINY);
const VARIABLES = { s: "ctx", tools: [1], messages: [] };

async function rendered(template: string): Promise<string> {
  const read = await ChatTemplate.parse("template", template);
  return segmentsText(read.render(tokenizer, { trusted: {}, untrusted: VARIABLES, now: new Date(0) }));
}

const CASES: readonly (readonly [template: string, expected: string])[] = [
  // Set where it stands, and not read before: blocks ahead of that find nothing.
  ["{% for i in [1] %}{{ s }}{% endfor %}{% set s = 0 %}{{ s }}", "0"],
  ["{% macro m() %}{{ s }}{% endmacro %}{{ m() }}{% set s = 0 %}{{ m() }}", "0"],
  ["{% for i in [1] %}{% for j in [1] %}{{ s }}{% endfor %}{% set s = 1 %}{% endfor %}.", "."],
  ["{% with %}{{ s }}{% endwith %}{% set s = 0 %}.", "."],
  ["{% set q %}{{ s }}{% endset %}{% set s = 0 %}{{ q }}.", "."],
  ["{% filter upper %}{{ s }}{% endfilter %}{% set s = 0 %}.", "."],
  ["{% for i in tools if s %}{{ i }}{% endfor %}{% set s = 0 %}.", "."],
  ["{% for i in [1] %}{{ s }}{% endfor %}{% macro s() %}{% endmacro %}.", "."],
  // Set by an `if`, whichever branches do, or read first: they find what was given.
  ["{% for i in [1] %}{{ s }}{% endfor %}{% if false %}{% set s=1 %}{% endif %}", "ctx"],
  ["{% for i in [1] %}{{ s }}{% endfor %}{% if true %}{% set s=1 %}{% else %}{% set s=2 %}{% endif %}", "ctx"],
  ["{% if s is defined %}{% endif %}{% for i in [1] %}{{ s }}{% endfor %}{% set s = 1 %}", "ctx"],
  ["{% for i in [1] %}{{ s }}{% endfor %}{% set s = s ~ 1 %}{{ s }}", "ctxctx1"],
  // Set in surroundings further out, or by no one else.
  ["{% set s = 1 %}{% for i in [1] %}{% for j in [1] %}{{ s }}{% endfor %}{% set s = 2 %}{% endfor %}{{ s }}", "11"],
  ["{% for i in [1] %}{{ s }}{% endfor %}{% for s in [1] %}{% endfor %}", "ctx"],
];

Deno.test("a block reads nothing of a variable that its surroundings set later on, as in Jinja2", async () => {
  for (const [template, expected] of CASES) assertEquals(await rendered(template), expected, template);
});
