/** Chat templates that go deep: rendered as Jinja2 does, and refused in the program's words before the stack ends. */
import { ChatTemplate } from "../../src/text/chat_template.ts";
import { segmentsText } from "../../src/text/harmony_render.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assertEquals, assertRejects } from "../assert.ts";
import { TINY } from "./goldens.ts";

const tokenizer = await Tokenizer.fromDirectory(TINY);

async function rendered(template: string): Promise<string> {
  const read = await ChatTemplate.parse("x.jinja", template);
  return segmentsText(read.render(tokenizer, { trusted: {}, untrusted: { messages: [] }, now: new Date(0) }));
}

/** `n` of a text before another one, and `n` of a third behind it. */
const nested = (open: string, inner: string, close: string) => (n: number) => open.repeat(n) + inner + close.repeat(n);
const written = (of: (n: number) => string) => (n: number) => `{{ ${of(n)} }}`;

const NESTING = "stands more than 200 deep in statements and brackets (line 1)";
const PARTS = "has parts more than 400 deep in each other (line 1)";
/** How deep Jinja2 3.1.6 goes at most (Python 3.11 compiles no more, or its stack ends), and what it writes there. */
const DEEP: Readonly<Record<string, [of: (n: number) => string, most: number, text: string, line: string]>> = {
  "brackets": [written(nested("(", "1", ")")), 69, "1", NESTING],
  "signs": [written(nested("- ", "1", "")), 196, "1", NESTING],
  "negations": [written(nested("not ", "1", "")), 196, "True", NESTING],
  "conditions": [written(nested("", "1", " if 1 else 1")), 197, "1", NESTING],
  "conditions without else": [written(nested("", "1", " if 1")), 197, "1", PARTS],
  "sums": [written(nested("", "1", "+1")), 197, "198", PARTS],
  "texts in a row": [written(nested("", "1", "~1")), 197, "1".repeat(198), PARTS],
  "truths": [written(nested("", "1", " and 1")), 197, "1", PARTS],
  "filters": [written(nested("", "1", "|abs")), 197, "1", PARTS],
  "methods": [written(nested("", "{}", ".get(1, {})")), 98, "{}", PARTS],
  "branches": [nested("{% if 1 %}", "x", "{% endif %}"), 98, "x", NESTING],
  "loops": [nested("{% for i in [1] %}", "x", "{% endfor %}"), 20, "x", NESTING],
  "blocks that are set": [nested("{% set x %}", "x", "{% endset %}"), 197, "", NESTING],
  "filtered blocks": [nested("{% filter upper %}", "x", "{% endfilter %}"), 197, "X", NESTING],
  "alternatives": [(n) => `{% if 0 %}${"{% elif 0 %}".repeat(n)}{% else %}x{% endif %}`, 300, "x", PARTS],
};
for (const [what, [of, most, text, line]] of Object.entries(DEEP)) {
  Deno.test(`a template of ${what} is rendered as deep as by Jinja2, and refused deeper down`, async () => {
    assertEquals(await rendered(of(most)), text);
    await assertRejects(() => rendered(of(5000)), Error, `x.jinja: cannot be read as a Jinja template: ${line}`);
  });
}

const EVALUATED = "x.jinja: cannot be rendered: goes more than 600 parts deep, with macros it calls (line 1)";
const macro = (body: string) => `{% macro f(n=9999) %}${body}{% endmacro %}{{ f() }}`;

Deno.test("macros that call each other without end are refused before the stack ends, however they do", async () => {
  for (
    const body of [
      "{{ f() }}",
      "{% if n %}{{ f(n - 1) }}{% endif %}",
      "{% call f() %}{% endcall %}{{ caller is defined }}",
      "{% set x %}{{ f() }}{% endset %}",
      "{% set x = f()|upper %}",
      "{% filter upper %}{{ f() }}{% endfilter %}",
      "{% for i in [1] if f() %}{% endfor %}",
      "{% for i in [1] %}{{ f() }}{% endfor %}",
      "{% with a = f() %}{% endwith %}",
      "{{ [1][f():] }}",
      "{{ {1: f()} }}",
      "{{ 'a'|default(f()) }}",
      "{{ 'a'.replace(f(), f()) }}",
      "{{ 'a' is eq(f()) }}",
    ]
  ) await assertRejects(() => rendered(macro(body)), Error, EVALUATED);
});

Deno.test("macros are called in each other as often as Jinja2 calls them", async () => {
  const counted = "{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{% endif %}x{% endmacro %}{{ f(197) }}";
  assertEquals(await rendered(counted), "x".repeat(198));
});

Deno.test("filters of filters are refused before the stack ends", async () => {
  const of = (n: number) => `{{ 'ab'|map(${"'map', ".repeat(n)}'upper')|map('list')|list|length }}`;
  assertEquals(await rendered("{{ 'ab'|map('upper')|list }}"), "['A', 'B']");
  await assertRejects(() => rendered(of(5000)), Error, EVALUATED);
});
