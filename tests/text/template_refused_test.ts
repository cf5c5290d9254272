/** Chat templates that Python would not render, or that would be rendered otherwise here: refused with their line. */
import { InputError } from "../../src/errors.ts";
import { parseAsPython } from "../../src/json_numbers.ts";
import { ChatTemplate } from "../../src/text/chat_template.ts";
import { templatesIn } from "../../src/text/checkpoint_template.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assertRejects, assertThrows } from "../assert.ts";
import { TINY } from "./goldens.ts";

const tokenizer = await Tokenizer.fromDirectory(TINY);

Deno.test("an expression that Python would not render, or this would render otherwise, is refused", async () => {
  for (
    const expression of [
      "'a' + 1",
      "1 + 'a'",
      "1 / 0",
      "5 % 0",
      "5 // 0",
      "'a'.strip(1)",
      "[1]|join(separator='x')",
      "'a'.upper",
      "namespace()",
      "missing|tojson",
      "[[1]]|unique",
      "'1e30'|int",
      "undefinedvar.x",
      "[1, 2, 3][undefinedvar:]",
      "'abc'[:1:undefinedvar]",
      "'abc'['1':]",
      "[1, 2][::0]",
      "{'a': 1}[0:]",
      "undefinedvar.x is defined",
      "1 + 2 ~ 3",
      "{'a':1}.items()|tojson",
      "[1]|reverse",
      "'ab'.partition('a'|safe)",
      "'ab'.rpartition('a'|safe)",
      "('a'|safe)|center",
      "('a'|safe).format(1)",
      "'{:<5}'.format([1])",
      "'{:n}'.format(1)",
      "'{a}'.format(1)",
      "'{} {0}'.format(1)",
      "'{:.3}'.format(1.5)",
      "'%s %s' % 1",
      "'%d' % 'a'",
      "'%c' % 65",
      "'%*d' % (5, 1)",
      "{[1]: 2}",
      "{('a'|safe): 1}",
      "{1: 2, 'a': 3}|tojson(sort_keys=true)",
      "[0.1, 0.2, 0.3, 1e20, -1e20]|sum",
      "['a', 1]|min",
      "[1]|select('nope')",
      "[1]|select('divisibleby')|list",
      "[1]|map('nope')",
      "[1]|random",
      "'a'|wordwrap(5)",
      "1 is nope",
      "1 is divisibleby(2, 3)",
      "1 is divisibleby 0",
      "'a' is sameas 'a'",
      "[1] < ['a']",
      "none < 1",
      "none in 'a'",
      "[1] in {}",
      "'\u00b2'.isdigit()",
      "1.5|round(-1)",
      "dict(1)",
      "[1].pop()",
      "12345678901234567890",
      "2**60",
      "2**0.5",
      "'nan'|float",
      "'7'|int(0, 8)",
      "'7'|int(bogus=1)",
      "'7'|int(1, default=2)",
      "'{:,}'.format('a')",
      "range(2.0)",
      "range(5, 2, 0)",
      "-1 ** range(3)|length",
      "range(3)[1:]",
      "strftime_now('%U')",
      "strftime_now(format='%Y')",
      "'ab'.startswith(['a'])",
      "'ab'.startswith('b', 1)",
      "'a'.upper(1)",
      "'a'.index",
      "{'a': 1}.get('b', default=1)",
      "{'a': 1}.get()",
      "'a'.strip(chars='a')",
      "'a'.replace('a')",
      "'a'.split(separator='b')",
      "'a'.split('b', sep='b')",
      "'a'.find()",
      "[1]|tojson(separators=',:')",
      "[1].append",
      "self is defined",
      "1|bool",
      "['x']|map(attribute='0' + '.0' * 16)|list",
      "'a'.splitlines(2.5)",
      "'a'.splitlines(keepends='x')",
      "'a'.splitlines(none)",
      "[2, 1]|sort(2.5)",
      "[2, 1]|sort(reverse=missing)",
      "[2, 1]|sort(4294967296)",
      "{'b': 1}|dictsort(reverse='x')",
      "'%(a)s%s' % {'a': 1}",
      "'%s%(a)s%s' % {'a': 1}",
      "'a' % {'b': 1}.items()",
    ]
  ) {
    const render = await rendering(`{{ ${expression} }}`);
    assertThrows(render, InputError, "t: cannot be rendered: ", expression);
  }
});

Deno.test("a number of a message that is beyond 2^53 is no text where Python expects one", async () => {
  for (
    const expression of [
      "[1]|tojson(indent=big)",
      "[1]|tojson(separators=(big, big))",
      "'a\\nb'|indent(big)",
      "'a1'|trim(big)",
    ]
  ) {
    const template = await ChatTemplate.parse("t", `{{ ${expression} }}`);
    const untrusted = { big: parseAsPython("12345678901234567890") };
    const render = () => template.render(tokenizer, { trusted: {}, untrusted, now: new Date() });
    assertThrows(render, InputError, "t: cannot be rendered: ", expression);
  }
});

Deno.test("an expression that Python would read otherwise, or not at all, is refused when it is read", async () => {
  for (
    const expression of ["1 < 2 <", "[1 2]", "[1 not 2]", "1 is odd is even", "'\\ud83d'", "'\\N{DASH}'", "'\\x4'"]
  ) {
    const read = () => ChatTemplate.parse("t", `{{ ${expression} }}`);
    await assertRejects(read, InputError, "t: cannot be read as a Jinja template: ", expression);
  }
});

Deno.test("statements that Python would read otherwise are refused", async () => {
  for (
    const source of [
      "{% if 1 if 2 %}a{% endif %}",
      "{% for i in [1] if 2 else [3] %}a{% endfor %}",
      "{% filter length %}a{% endfilter %}",
      "{% for i in [1] %}{% generation %}{% break %}{% endgeneration %}{% endfor %}",
      "{% macro f() %}{{ caller() }}{% endmacro %}{% for i in [1] %}{% call f() %}{% break %}{% endcall %}{% endfor %}",
      "{% for i in [1] %}a{% else %}{% break %}{% endfor %}",
      "{% for i in [1] %}a{% else %}{% continue %}{% endfor %}",
      "{% if false %}{% break %}{% endif %}",
      "{% for i in [1] %}{% macro f() %}{% break %}{% endmacro %}{% endfor %}",
      "{% macro f() %}{% endmacro %}{% call f() %}{% endcall %}",
      "{% set x = [1]|reverse %}{% for i in x %}{% endfor %}{% for i in x %}{% endfor %}",
      "{% set true = 1 %}",
      "{% set ns = namespace(x=1) %}{% set ns[x] = 1 %}",
      "{% for i in [1] %}{{ loop }}{% endfor %}",
      "{{ 010 }}",
      "{{ not 'a' >= not not 'b' }}",
      "{{ not 1 in not not [1] }}",
      "{{ [1].-1 }}",
      "{{ 'a'|replace('a', 'b').upper() }}",
      "{% if false %}{{ 'a'|replace('a', 'b')[0] }}{% endif %}",
      "{{ [1]|join(',', 'a', 2) }}",
      "{{ 1 +\ufeff 1 }}",
      "{{ (1 }}",
      "{{ 'a }}",
      "{{ [1][1, 2] }}",
      "{% raw %}",
      "{% for i in [1] recursive %}{% endfor %}",
      "{% block a %}{% endblock %}",
      "{% include 'a' %}",
      "{% autoescape true %}{% endautoescape %}",
      "{% do 1 %}",
      "{% set (n.a) = 1 %}",
      "{% set 1 = 1 %}",
      "{% with a %}{% endwith %}",
      "{% macro f(a=1, b) %}{% endmacro %}",
      "{% endif %}",
      "{{ f(a=1, 2) }}",
      "{{ \u00e9 }}",
      "{% for i in [1] %}{{ loop.cycle() }}{% endfor %}",
      "{% for i in [1] %}{{ loop.cycle }}{% endfor %}",
      "{% generation %}{{ varargs }}{% endgeneration %}",
      "{% macro f() %}{% generation %}{{ kwargs }}{% endgeneration %}{% endmacro %}{{ f(a=1) }}",
      "{% macro f() %}{% generation %}{{ caller() }}{% endgeneration %}{% endmacro %}{% call f() %}a{% endcall %}",
    ]
  ) {
    assertThrows(await rendering(source), InputError, "t: ", source);
  }
});

/** What renders a template, or says why it cannot be read. */
async function rendering(source: string): Promise<() => unknown> {
  try {
    const template = await ChatTemplate.parse("t", source);
    return () => template.render(tokenizer, { trusted: {}, untrusted: {}, now: new Date() });
  } catch (thrown) {
    return () => {
      throw thrown;
    };
  }
}

Deno.test("what is refused is named with its line", async () => {
  const bad = "{{ 1 + 'a' }}", unread = "{{ 1 2 }}";
  const cases: [source: string, line: number][] = [
    [bad, 1],
    [`a\n\n${bad}\n`, 3],
    [`a\r\nb\r${bad}`, 3],
    [`{#\n\n#}{{ '\n' }}\n\n${bad}`, 6],
    [`{%- if false -%}\n\n${bad}{% elif\n false %}b{% elif true %}\n c\n${bad}\n{% else %}${bad}{% endif %}`, 6],
    [`{% if false %}{% else %}{% if true %}\n${bad}{% endif %}{% endif %}`, 2],
    [`{% if false %}\n{% elif 1 + 'a' %}{% endif %}`, 2],
    [`{% for i in [] %}\n${bad}{% else %}\n{{ 1 }}\n${bad}{% endfor %}`, 4],
    [`{% macro f() %}\n{\n{{- 1 }}\n${bad}{% endmacro %}\n{{ f() }}`, 4],
    [`{% set x = 1 %}\n{% set y %}\n\n${bad}{% endset %}`, 4],
    [`{% generation %}\n${bad}\n{% endgeneration %}`, 2],
    [`{% filter trim %}\n${bad}\n{% endfilter %}`, 2],
    [`{% for i in [1] %}\n{% break %}\n{% endfor %}\n${bad}`, 4],
    [`a\n${unread}`, 2],
    ["a\n{{ 010 }}", 2],
    ["a\n{{ 1 }}\n{% if %}\n", 3],
    ["a\n{{ 1 }}\n{{ $ }}\n{{ 2 }}", 3],
    ["a\n{{ '\\N{DASH}' }}", 2],
    [`{% raw %}\n{{ 1 +\n{% endraw %}\n${bad}`, 4],
    [`a\n{% with a = 1 %}\n${bad}{% endwith %}`, 3],
    [`a\n{% with a = 1 + 'a' %}\n{% endwith %}`, 2],
    [`a\n{% for i in [1] %}\n`, 2],
    ["a\n\n{% nope %}", 3],
  ];
  for (const [source, line] of cases) {
    assertThrows(await rendering(source), InputError, `(line ${line})`, source);
  }
  const refuses = await rendering("\n{{ raise_exception('no') }}");
  assertThrows(refuses, InputError, "t: the template refuses: no");
});

Deno.test("a list of templates whose entries are none is refused by the key", async () => {
  for (const entry of [null, 1, "text", {}, { name: "default" }, { name: 1, template: "a" }]) {
    const said =
      "nowhere/tokenizer_config.json: chat_template: expected a name and a template in each entry of the list";
    await assertRejects(() => templatesIn("nowhere", { chat_template: [entry] }), InputError, said);
  }
});
