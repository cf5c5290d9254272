/** Chat templates that are made to cost time or memory: refused in one line before they do. */
import { InputError } from "../../src/errors.ts";
import { ChatTemplate } from "../../src/text/chat_template.ts";
import { segmentsText } from "../../src/text/harmony_render.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { assertCpuTime, assertRefusedQuickly, threadTime } from "../quickly.ts";
import { SetClock } from "../timers.ts";

const tokenizer = await Tokenizer.fromDirectory(new URL("../../models/tiny-gpt-oss", import.meta.url).pathname);
const render = async (source: string, content = "hi") => {
  const template = await ChatTemplate.parse("x.jinja", source);
  // Templates have 5 seconds by the clock, which a machine that does much else may need for those that are taken.
  using _clock = new SetClock();
  const values = { trusted: {}, untrusted: { messages: [{ role: "user", content }] } };
  return segmentsText(template.render(tokenizer, { ...values, now: new Date(0) }));
};

const STEPS = /^x\.jinja: cannot be rendered: takes (?:too many steps|more than \d+ ms)/;
const SIZE = /^x\.jinja: cannot be rendered: .*(?:too (?:large|many steps)|deep|within another|string length|Cannot)/;
const TEN = "(range(100000)|list)";
const HUNGRY: [what: string, source: string, line: RegExp, content?: string][] = [
  ["loops in loops", "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}", STEPS],
  ["a range that is too long", "{{ range(1000000000) }}", /range\(\): expected at most 100000 numbers/],
  ["a range of steps of none", "{% for a in range(1, 5, 0) %}{% endfor %}", /range\(\) takes no step of 0/],
  [
    "a text that doubles",
    "{% set ns = namespace(t='x') %}{% for i in range(100) %}{% set ns.t = ns.t + ns.t %}{% endfor %}{{ ns.t }}",
    SIZE,
  ],
  [
    "a list that doubles",
    "{% set ns = namespace(t=['x']) %}{% for i in range(100) %}{% set ns.t = [ns.t, ns.t] %}{% endfor %}{{ ns.t }}",
    SIZE,
  ],
  [
    "a list that is deep",
    "{% set ns = namespace(t=['x']) %}{% for i in range(5000) %}{% set ns.t = [ns.t] %}{% endfor %}{{ " +
    "ns.t|tojson(indent=4) }}",
    SIZE,
  ],
  ["a joined list that doubles", `{% set a = ${TEN} %}{{ (a + a + a + a)|join('x') }}`, SIZE],
  ["a namespace within itself", "{% set ns = namespace(a=1) %}{% set ns.a = ns %}{{ ns }}", SIZE],
  ["a namespace within a list", "{% set ns = namespace(a=1) %}{% set ns.a = [ns, ns] %}{{ ns }}", SIZE],
  ["a namespace within another", "{% set a = namespace(x=1) %}{% set b = namespace(x=a, y=a) %}{{ b }}", SIZE],
  ["a macro that calls itself", "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}", SIZE],
  [
    "macros that call each other twice",
    Array.from({ length: 40 }, (_, i) => `{% macro f${i}() %}{{ f${i + 1}() }}{{ f${i + 1}() }}{% endmacro %}`).join(
      "",
    ) +
    "{% macro f40() %}x{% endmacro %}{{ f0() }}",
    STEPS,
  ],
  ["a large product of texts", "{{ messages[0].content.replace('', messages[0].content) }}", SIZE, "x".repeat(100_000)],
  ["the same by a filter", "{{ messages[0].content|replace('', messages[0].content) }}", SIZE, "x".repeat(100_000)],
  [
    "the same by a name that is put together",
    "{% set c = messages[0].content %}{{ c['re' + 'place']('', c) }}",
    SIZE,
    "x".repeat(100_000),
  ],
  ["wide indents", "{{ messages[0].content|indent(1000000) }}", SIZE, "\nx".repeat(100_000)],
  ["wide JSON", "{{ [1,2,3,4,5,6,7,8]|tojson(indent=100000000) }}", SIZE],
  [
    "separators of JSON that are long",
    `{% set s = messages[0].content %}{{ ${TEN}|tojson(separators=(s, ':')) }}`,
    SIZE,
    "x".repeat(100_000),
  ],
  [
    "separators of JSON that stand at many keys",
    `{% set s = messages[0].content %}{% set d = {'a': 1, 'b': 2} %}{{ [d, d, d, d]|tojson(separators=(',', s)) }}`,
    SIZE,
    "x".repeat(1_000_000),
  ],
  ["separators that are long", `{% set s = messages[0].content %}{{ ${TEN}|join(s) }}`, SIZE, "x".repeat(100_000)],
  [
    "output of many references",
    `{% for i in range(100000) %}{{ messages[0].content }}{% endfor %}`,
    SIZE,
    "x".repeat(100_000),
  ],
  [
    "a search in every turn",
    "{% for i in range(100000) %}{{ 'y' in messages[0].content }}{% endfor %}",
    STEPS,
    "x".repeat(400_000),
  ],
  ["a text that is repeated", "{{ 'x' * 1000000000 }}", SIZE],
  ["a list that is repeated", "{{ (2000000000 * [1])|length }}", SIZE],
  ["a format that is wide", "{{ '{:>1000000000}'.format(1) }}", SIZE],
  ["a format of formats that is wide", "{{ '{:{}}'.format('a', 1000000000) }}", SIZE],
  ["the same of another kind", "{{ '%1000000000d' % 1 }}", SIZE],
  ["a filter's format that is wide", "{{ '%1000000000s'|format(1) }}", SIZE],
  ["a text that is filled up", "{{ 'x'.ljust(1000000000) ~ 'x'|center(1000000000) }}", SIZE],
  ["a batch that is filled up", "{{ [1]|batch(1000000000, 0)|list }}", SIZE],
  ["slices without end", "{{ [1]|slice(1000000000)|list }}", SIZE],
  ["a filter for each of many", `{{ ${TEN}|map('string')|map('center', 100000)|join }}`, SIZE],
  ["a filter of filters", `{{ [${TEN}]|map('map', 'string')|map('join', 'x' * 1000)|list }}`, SIZE],
  ["escaped signs", "{{ messages[0].content|e }}", SIZE, "&".repeat(10_000_000)],
  ["a dictionary of many", `{% for i in range(90000) %}{{ dict(${TEN}|batch(2)) }}{% endfor %}`, SIZE],
  [
    "a block that is set and used",
    "{% set b %}{% for i in range(90000) %}{{ messages[0].content }}{% endfor %}{% endset %}{{ b|upper }}",
    SIZE,
    "x".repeat(10_000),
  ],
];
for (const [what, source, line, content] of HUNGRY) {
  Deno.test(`a template with ${what} is refused`, async () => {
    await assertRefusedQuickly(() => render(source, content), line, 2000);
  });
}

Deno.test("a template whose steps take long is refused by the clock", async () => {
  const template = await ChatTemplate.parse("x.jinja", "{% for i in range(9000) %}{% endfor %}");
  using _clock = new SetClock(1000, 1000);
  const { message } = assertThrows(
    () => template.render(tokenizer, { trusted: {}, untrusted: {}, now: new Date(0) }),
    InputError,
  );
  assertEquals(message, "x.jinja: cannot be rendered: takes more than 5000 ms (line 1)");
});

Deno.test("comments and tags without an end, and many of them, take no more time than their length", async () => {
  const unread = /^x\.jinja: cannot be read as a Jinja template: has a (?:comment|tag|text) without an end \(line 1\)/;
  for (const source of ["{#", "{%", "{{'"]) {
    await assertRefusedQuickly(() => render(source.repeat(60_000)), unread, 1000);
  }
  await assertRefusedQuickly(() => render("{##}".repeat(60_000) + "{{ 1 + 'a' }}"), /\(line 1\)$/, 3000);
});

Deno.test("templates that are too large to be parsed are refused", async () => {
  await assertRefusedQuickly(
    () => render("x".repeat(300_000)),
    /^x\.jinja: expected at most 262144 characters, got 300000/,
  );
  await assertRefusedQuickly(
    () => render("{{" + "(".repeat(100_000) + ")".repeat(100_000) + "}}"),
    /^x\.jinja: cannot be read as a Jinja template: stands more than 200 deep in statements and brackets \(line 1\)/,
    3000,
  );
});

Deno.test("many blanks in a row are taken", async () => {
  const blanks = " ".repeat(120_000), start = threadTime();
  assert(await render(`${blanks}a{{${blanks}1 }}`) === `${blanks}a1`);
  assertCpuTime(threadTime() - start, 3000, "rendering them");
});

Deno.test("a long conversation is no reason to refuse", async () => {
  const source =
    "{% for m in messages %}{% for i in range(2) %}{{ m.content|trim }}{% endfor %}{{ m.content.replace('a', 'cc') " +
    "}}{% endfor %}";
  const content = "a<b ".repeat(250_000);
  const text = await render(source, content);
  // An assertion of equality would spell out where texts of megabytes differ.
  assert(text === content.trim().repeat(2) + content.replaceAll("a", "cc"));
});

Deno.test("a message of digits without an end is no number at once", async () => {
  const digits = "1".repeat(1_000_000);
  for (const content of [`${digits}x`, `${digits}.${digits}x`]) {
    const written = await render("{{ messages[0].content|int(7) }} {{ messages[0].content|float(2.5) }}", content);
    assert(written === "7 2.5", written.slice(0, 100));
  }
});
