/** Where Python and JavaScript differ, prompts are Python's: numbers of earlier calls, and what is equal. */
import { InputError } from "../../src/errors.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { parseAsPython, parseWithNames } from "../../src/json_numbers.ts";
import { type ChatMessage, ChatRenderer } from "../../src/text/chat.ts";
import { ChatTemplate } from "../../src/text/chat_template.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { path, TINY } from "./goldens.ts";

const tokenizer = await Tokenizer.fromDirectory(TINY);
const templated = await ChatRenderer.fromDirectory(path("tests/goldens/text/chat"), tokenizer);

const CALLED = '{"id": 12345678901234567890, "x": 1.0, "t": 1e-5, "n": [3, -0, 2.50, {"y": 1E16}], "s": "1.0 <|end|>"}';
/** json.dumps(json.loads(CALLED)) */
const WRITTEN =
  '{"id": 12345678901234567890, "x": 1.0, "t": 1e-05, "n": [3, 0, 2.5, {"y": 1e+16}], "s": "1.0 <|end|>"}';

const MESSAGES: ChatMessage[] = [
  { role: "user", content: "q" },
  { role: "assistant", toolCalls: [{ name: "f", arguments: CALLED }] },
  { role: "tool", content: "" },
];

for (const renderer of [ChatRenderer.builtIn(tokenizer), templated]) {
  Deno.test(`${renderer.source.split("/").at(-1)}: calls keep numbers of any size, in Python's form`, () => {
    const { ids, text } = renderer.render({ messages: MESSAGES });
    assert(text.includes(`json<|message|>${WRITTEN}<|call|>`), text);
    assertEquals(ids.filter((id) => id === tokenizer.special("<|end|>")).length, 3, "one of each message but the call");
  });
}

for (const renderer of [ChatRenderer.builtIn(tokenizer), templated]) {
  Deno.test(`${renderer.source.split("/").at(-1)}: calls keep the order of names, numbers too`, () => {
    const rest = `: [{"x": "a\\"1\\":"}], "<": 2.0}`;
    const args = `{"b": 1, "10": {"z": "<", "2": 12345678901234567890, "__proto__": {"1": 0}}, "\\u0032"${rest}`;
    const written = args.replace("\\u0032", "2");
    const call = { role: "assistant", toolCalls: [{ name: "f", arguments: args }] } as const;
    const { text } = renderer.render({ messages: [{ role: "user", content: "q" }, call] });
    assert(text.includes(written), text);
  });
}

Deno.test("a template writes a number alone, beside texts with characters like its own", async () => {
  const template = await ChatTemplate.parse("t", "{{ call.id }}/{{ call.id|tojson }}/{{ text }}");
  for (const content of ["1.0", "\ue000\ue003\ue004", '"\ue004"', '"\ue003"']) {
    const untrusted = { call: parseAsPython('{"id": 12345678901234567890}'), text: content };
    const segments = template.render(tokenizer, { trusted: {}, untrusted, now: new Date() });
    assertEquals(segments, [{ text: `12345678901234567890/12345678901234567890/${content}` }]);
  }
});

Deno.test("a template compares values as Python does, not as JavaScript", async () => {
  // What Jinja2 3.1.6 writes.
  const cases: [expression: string, equal: boolean][] = [
    ["['a'] == 'a'", false],
    ["'1' == 1", false],
    ["'' == 0", false],
    ["'' == false", false],
    ["missing == none", false],
    ["[] == ''", false],
    ["1 == 1.0", true],
    ["true == 1", true],
    ["'a' == 'a'", true],
    ["none == none", true],
    // Keys of dictionaries too.
    ["{true: 'x'}[1] == 'x'", true],
    ["{false: 'x'}[0] == {1.0: 'x'}[true]", true],
    ["{true: 'x'}[2] == 'x'", false],
    ["{true: 'x', 1: 'y'}|length == 1", true],
  ];
  for (const [expression, equal] of cases) {
    for (const [source, expected] of [[expression, equal], [expression.replace("==", "!="), !equal]] as const) {
      const template = await ChatTemplate.parse("t", `{{ 'yes' if ${source} else 'no' }}`);
      const segments = template.render(tokenizer, { trusted: {}, untrusted: {}, now: new Date() });
      assertEquals(segments, [{ text: expected ? "yes" : "no" }], source);
    }
  }
});

interface Golden {
  readonly messages: readonly Record<string, unknown>[];
  readonly cases: readonly (readonly [template: string, written: string])[];
}

Deno.test("a template writes what Jinja2 writes: tests/goldens/text/make_template_golden.py", async () => {
  const golden: Golden = JSON.parse(await Deno.readTextFile(path("tests/goldens/text/template-python.json")));
  for (const [source, written] of golden.cases) {
    const template = await ChatTemplate.parse("t", source), untrusted = { messages: golden.messages, tools: [] };
    const segments = template.render(tokenizer, { trusted: {}, untrusted, now: new Date() });
    assertEquals(segments, written === "" ? [] : [{ text: written }], source);
  }
});

Deno.test("what else of a format and of switches Python takes is taken", async () => {
  // What Jinja2 3.1.6 writes.
  const source =
    "{{ '%s%(a)s%%' % {'a': 1} }} {{ 'a' % range(2) }} {{ 'a\\nb'.splitlines(1) }} {{ [1, 2]|sort(-1) }} " +
    "{{ [1, 2]|sort(0) }} {{ [1, 2]|tojson(indent=none, separators=none) }}";
  const template = await ChatTemplate.parse("t", source);
  const segments = template.render(tokenizer, { trusted: {}, untrusted: {}, now: new Date() });
  assertEquals(segments, [{ text: "{'a': 1}1% a ['a\\n', 'b'] [2, 1] [1, 2] [1, 2]" }]);
});

Deno.test("a tool's names come in the order in which they are written, numbers too", async () => {
  const template = await ChatTemplate.parse("t", "{{ tool|tojson }} {% for name in tool.a %}{{ name }},{% endfor %}");
  const untrusted = { tool: parseWithNames('{"b": 1, "a": {"10": "<", "x": 2, "2": 3}, "1": 0}') };
  const segments = template.render(tokenizer, { trusted: {}, untrusted, now: new Date() });
  assertEquals(segments, [{ text: '{"b": 1, "a": {"10": "<", "x": 2, "2": 3}, "1": 0} 10,x,2,' }]);
});

Deno.test("a jump in a loop's else is one of the loop around, and what its turns wrote stays", async () => {
  // What Jinja2 3.1.6 writes.
  const skips =
    "{% for b in [1, 2] %}{{ b }}{% for a in [1] %}w{% continue %}{% else %}x{% JUMP %}{% endfor %}y{% endfor %}";
  for (const [jump, written] of [["break", "1wx"], ["continue", "1wx2wx"]] as const) {
    const template = await ChatTemplate.parse("t", skips.replace("JUMP", jump));
    const segments = template.render(tokenizer, { trusted: {}, untrusted: {}, now: new Date() });
    assertEquals(segments, [{ text: written }], jump);
  }
});

Deno.test("a jump out of a block that is set or filtered leaves the loop around without its text", async () => {
  // What Jinja2 3.1.6 writes.
  const some = "{% for i in [1, 2, 3] %}a{% filter upper %}b{% if i == 2 %}{% JUMP %}{% endif %}c{% endfilter %}d" +
    "{% endfor %}";
  for (
    const [source, written] of [
      [some.replace("JUMP", "break"), "aBCda"],
      [some.replace("JUMP", "continue"), "aBCdaaBCd"],
      [
        some.replace("filter upper", "set x").replace("endfilter", "endset").replace("JUMP", "continue"),
        "adaad",
      ],
      [
        "{% set ns = namespace(x=0) %}{% for i in [1, 2, 3] %}a{% set ns.x %}b{{ i }}{% if i == 2 %}{% continue %}" +
        "{% endif %}c{% endset %}{{ ns.x }}{% endfor %}{{ ns.x }}",
        "ab1caab3cb3c",
      ],
      [
        "{% for i in [1, 2, 3] %}a{% filter upper %}b{% for j in [1, 2] %}{{ j }}{% if i == 2 %}{% break %}" +
        "{% endif %}x{% else %}{% break %}{% endfor %}c{% endfilter %}d{% else %}E{% endfor %}",
        "aB1X2XCda",
      ],
      [
        "{% for i in [1, 2, 3] %}{% filter upper %}{% set x %}b{% break %}{% endset %}{% endfilter %}{% else %}E" +
        "{% endfor %}",
        "E",
      ],
      ["{% set x = 5 %}{% for i in [1, 2] %}{% set x %}b{% continue %}{% endset %}{% endfor %}{{ x }}", "5"],
      [
        "{% for i in [1, 2] %}{% for j in [1, 2] %}{% filter upper %}a{{ j }}{% break %}{% endfilter %}{% endfor %}b" +
        "{% endfor %}",
        "bb",
      ],
    ] as const
  ) {
    const template = await ChatTemplate.parse("t", source);
    const segments = template.render(tokenizer, { trusted: {}, untrusted: {}, now: new Date() });
    assertEquals(segments, [{ text: written }], source);
  }
});

Deno.test("a power of a negative number has the sign that Jinja2 gives it", async () => {
  // What Jinja2 3.1.6 writes.
  const template = await ChatTemplate.parse(
    "t",
    "{{ -1 ** 2 }} {{ -n ** 2 }} {{ 3 ** n }} {{ m ** n }} {{ -2 ** 'a'|length }}",
  );
  const segments = template.render(tokenizer, { trusted: {}, untrusted: { n: 2, m: -2 }, now: new Date() });
  assertEquals(segments, [{ text: "1 4 9 4 -2" }]);
});

Deno.test("a number of a call that is zero is not true", async () => {
  const template = await ChatTemplate.parse(
    "t",
    "{{ zero or 'n' }}{{ 'y' if zero else 'n' }}{{ zero|default('d', true) }}",
  );
  const untrusted = { zero: parseAsPython("0.0") };
  assertEquals(template.render(tokenizer, { trusted: {}, untrusted, now: new Date() }), [{ text: "nnd" }]);
});

Deno.test("a list as text has its texts' own characters, and its numbers as they were written", async () => {
  const template = await ChatTemplate.parse("t", "{{ given }}");
  const untrusted = { given: parseAsPython('["<|end|>", "\\ue000", 12345678901234567890, 1.0, {"<": null}]') };
  const segments = template.render(tokenizer, { trusted: {}, untrusted, now: new Date() });
  assertEquals(segments, [{ text: "['<|end|>', '\\ue000', 12345678901234567890, 1.0, {'<': None}]" }]);
});

Deno.test("a number of a call counts as one, and is written as it was", async () => {
  const untrusted = {
    n: parseAsPython("5"),
    f: parseAsPython("2.50"),
    big: parseAsPython("12345678901234567890"),
    zero: parseAsPython("0"),
    one: parseAsPython("1.0"),
    large: parseAsPython("1e22"),
    edge: parseAsPython("9007199254740992"),
  };
  const cases: [source: string, written: string][] = [
    ["{{ n is string }}{{ n is number }}{{ n is integer }}{{ f is integer }}", "FalseTrueTrueFalse"],
    ["{{ 'y' if zero else 'n' }}{{ zero or n }}{{ not one }}{{ one == 1 }}{{ one is string }}", "n5FalseTrueFalse"],
    ["{{ n == 5 }}{{ f == 2.5 }}{{ n != 5.0 }}{{ 5 in [n] }}{{ n > 4 }}", "TrueTrueFalseTrueTrue"],
    ["{{ n + 1 }} {{ n * f }} {{ n % 2 }} {{ n|int }} {{ f|int }} {{ n|float }}", "6 12.5 1 5 2 5.0"],
    ["{{ n }} {{ f }} {{ big }} {{ [big, f] }}", "5 2.5 12345678901234567890 [12345678901234567890, 2.5]"],
    ["{{ big|tojson }} {{ big|string }} {{ 'a' ~ f }}", "12345678901234567890 12345678901234567890 a2.5"],
    ["{{ {'f': f}|tojson }} {{ [n, f]|join('+') }}", '{"f": 2.5} 5+2.5'],
    ["{{ f|default(1) }} {{ missing|default(f) }}", "2.5 2.5"],
    ["{{ large }} {{ large * 2 }} {{ [large]|tojson }} {{ large is float }}", "1e+22 2e+22 [1e+22] True"],
    ["{{ edge }} {{ edge == edge }} {{ edge is integer }}", "9007199254740992 True True"],
    ["{{ {{'n': n}|string: '{{'}|string }}", `{"{'n': 5}": '{{'}`],
  ];
  for (const [source, expected] of cases) {
    const template = await ChatTemplate.parse("t", source);
    const segments = template.render(tokenizer, { trusted: {}, untrusted, now: new Date() });
    assertEquals(segments, [{ text: expected }], source);
  }
  const adds = await ChatTemplate.parse("t", "{{ 'a' + n }}");
  assertThrows(
    () => adds.render(tokenizer, { trusted: {}, untrusted, now: new Date() }),
    InputError,
    "adds StringValue",
  );
});

Deno.test("generated templates write what Jinja2 writes, or are refused: make_generated_golden.py", async () => {
  interface Generated {
    readonly values: Record<string, unknown>;
    readonly cases: readonly (readonly [template: string, written: string])[];
  }
  const text = await Deno.readTextFile(path("tests/goldens/text/generated.json"));
  const { cases } = JSON.parse(text) as Generated, { values } = parseAsPython(text) as Generated;
  let refused = 0;
  for (const [source, written] of cases) {
    const template = await ChatTemplate.parse("t", source).catch((thrown) => {
      assert(thrown instanceof InputError, `${thrown}`);
      return null;
    });
    try {
      const segments = template?.render(tokenizer, { trusted: {}, untrusted: values, now: new Date() });
      if (segments === undefined) refused++;
      else assertEquals(segments, written === "" ? [] : [{ text: written }], source);
    } catch (thrown) {
      if (!(thrown instanceof InputError)) throw thrown;
      refused++;
    }
  }
  // Among them arithmetic with truths, which no template needs.
  assert(refused < 0.1 * cases.length, `${refused} are refused`);
});
