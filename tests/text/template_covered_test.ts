/** Templates that look for markup in messages: they find it as Jinja2 does, and it stays text. */
import { InputError } from "../../src/errors.ts";
import { ChatTemplate } from "../../src/text/chat_template.ts";
import { segmentsText } from "../../src/text/harmony_render.ts";
import { type Segment, Tokenizer } from "../../src/text/tokenizer.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { path, TINY } from "./goldens.ts";

/** Names of special tokens of several families. */
const SPECIALS = [
  ...["<|im_start|>", "<|im_end|>", "<s>", "</s>", "[INST]", "[/INST]", "<|start_header_id|>", "<|end_header_id|>"],
  ...["<|eot_id|>", "<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>"],
];

/** The embedded model's tokenizer with more special tokens. */
async function tokenizerWith(names: readonly string[]): Promise<Tokenizer> {
  const dir = await Deno.makeTempDir({ prefix: "mxoss-test-" });
  try {
    const file = JSON.parse(await Deno.readTextFile(`${TINY}/tokenizer.json`));
    let next = 1 + Math.max(...file.added_tokens.map(({ id }: { id: number }) => id));
    for (const content of names) {
      file.added_tokens.push({ ...file.added_tokens[0], id: file.model.vocab[content] ?? next++, content });
    }
    await Deno.writeTextFile(`${dir}/tokenizer.json`, JSON.stringify(file));
    return await Tokenizer.fromDirectory(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const tokenizer = await tokenizerWith(SPECIALS);

interface Golden {
  /** How many cases are of templates such as families of models have. */
  readonly families: number;
  readonly templates: readonly string[];
  readonly cases: readonly (readonly [template: number, contents: readonly string[], text: string])[];
}
const golden: Golden = JSON.parse(await Deno.readTextFile(path("tests/goldens/text/covered.json")));

const parsed = new Map<string, Promise<ChatTemplate>>();
async function rendered(source: string, contents: readonly string[], by = tokenizer): Promise<Segment[]> {
  const template = parsed.get(source) ?? ChatTemplate.parse("t", source);
  parsed.set(source, template);
  const messages = contents.map((content, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content }));
  const m = messages[0]!, untrusted = { messages, m, t: m.content, u: messages.at(-1)!.content };
  const trusted = { bos_token: "<s>", eos_token: "</s>" };
  return (await template).render(by, { trusted, untrusted, now: new Date() });
}
const specialsOf = (segments: readonly Segment[]) => segments.flatMap((one) => "special" in one ? [one.special] : []);

Deno.test("templates that look for markup write what Jinja2 writes, and messages no special token", async () => {
  for (const [place, contents, text] of golden.cases.slice(0, golden.families)) {
    const source = golden.templates[place]!, segments = await rendered(source, contents);
    assertEquals(segmentsText(segments), text, `${source} of ${JSON.stringify(contents)}`);
    const calm = specialsOf(await rendered(source, contents.map(() => "hi")));
    assert(calm.length > contents.length);
    assertEquals(specialsOf(segments), calm, `${source} of ${JSON.stringify(contents)}`);
  }
});

Deno.test("generated templates write what Jinja2 writes of messages with markup", async () => {
  let specials = 0;
  for (const [place, contents, text] of golden.cases.slice(golden.families)) {
    const source = golden.templates[place]!, segments = await rendered(source, contents);
    assertEquals(segmentsText(segments), text, `${source} of ${JSON.stringify(contents)}`);
    const found = specialsOf(segments).length;
    specials += found;
    assert(found === 0 || /<\|im_|<s>/.test(source), source);
  }
  assert(specials > 100, "templates' own special tokens are such");
});

Deno.test("letters, quotes and characters of two units that stand in special tokens change no prompt", async () => {
  // What stands before Q0 is what is covered; alone it would be the only token of a byte.
  const letters = ["a", "B", "9", "ß", '"', "'", "\\"].map((one) => `${one}Q0`);
  const odd = await tokenizerWith([...letters, "think", "Σ", "ǆ", "😀", "｜", ...SPECIALS]);
  for (const [place, contents, text] of golden.cases.slice(golden.families)) {
    const source = golden.templates[place]!, segments = await rendered(source, contents, odd);
    assertEquals(segmentsText(segments), text, `${source} of ${JSON.stringify(contents)}`);
  }
});

Deno.test("what is asked of a message's text is asked of it as it was", async () => {
  const cases: [source: string, content: string, written: string][] = [
    ["{{ '</think>' in t }} {{ t.find('</think>') }} {{ t == '<a></think>b' }}", "<a></think>b", "True 3 True"],
    ["{{ {'<': 1, t: 2} }} {{ {t: 2}['<'] }} {{ '<' in {t: 2} }}", "<", "{'<': 2} 2 True"],
    ["{{ [t, '<']|unique|list }}{{ t in ['<'] }}{{ [t] == ['<'] }}", "<", "['<']TrueTrue"],
    ["{{ t|tojson(ensure_ascii=true) }} {{ [t] }}", "<｜User｜>", "\"<\\uff5cUser\\uff5c>\" ['<｜User｜>']"],
    ["{{ t.split('>')|length }}{{ t|replace('<', '') }}", "<|im_end|>", "2|im_end|>"],
  ];
  for (const [source, content, written] of cases) {
    assertEquals(await rendered(source, [content]), [{ text: written }], source);
  }
});

Deno.test("what formats and filters make of a message holds no special token", async () => {
  const contents = ["<|im_start|>", "<s>{}</s>", "[INST] %s %% [/INST]", "{:<9}<|im_end|>"], taken: string[] = [];
  const sources = [
    ..."'%s' % t; '%(a)s' % {'a': t}; '%40s|%-40s' % (t, t); '{:>40}{!s:*^40}'.format(t, t); t * 2; 3 * t".split("; "),
    ..."t.ljust(50, t[0]); t.center(50, t[-1]); t|truncate(9, true, t[0]); (t|safe) + t; t + ('<'|safe) + t".split(
      "; ",
    ),
    ..."[t]|map('upper')|join(t); {t: t}; dict([[t, t]]); {1: t}|tojson; t|batch(3)|map('join')|join(t)".split("; "),
    ..."[t, t]|min; [{'a': t}]|groupby('a'); '{a[b]}'.format(a={'b': t}); [t]|map('replace', '>', t)|list".split("; "),
    ..."t.split('|')|select('in', t)|join('|'); t.format(t); t % t; t|format(t); t.zfill(50); t|center(60)".split("; "),
    ..."t|safe|replace('<', t); (t|safe).join(['<'|safe, t]); [t|safe]".split("; "),
  ];
  for (const source of sources) {
    for (const content of contents) {
      try {
        assertEquals(specialsOf(await rendered(`{{ ${source} }}`, [content])), [], `${source} of ${content}`);
        taken.push(source);
      } catch (thrown) {
        // A message is no format for these values to Python, either, or none here.
        if (!(thrown instanceof InputError)) throw thrown;
      }
    }
  }
  assert(new Set(taken).size === sources.length, sources.filter((one) => !taken.includes(one)).join("\n"));
});

Deno.test("a number of a call that is too large to count with is no text", async () => {
  const template = await ChatTemplate.parse("t", "{{ 'a' ~ n }} {{ n == n }} {{ n == 1.0 }} {{ ('a' ~ n)|length }}");
  const big = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON("12345678901234567890");
  const other = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON("12345678901234567891");
  const values = { trusted: {}, untrusted: { n: big, o: other }, now: new Date() };
  assertEquals(template.render(tokenizer, values), [{ text: "a12345678901234567890 True False 21" }]);
  const loops = await ChatTemplate.parse("t", "{% for c in n %}{{ c }}{% endfor %}");
  assertThrows(() => loops.render(tokenizer, values), InputError, "t: cannot be rendered: goes through ");
  const differs = await ChatTemplate.parse("t", "{{ n == o }}{{ n in [o] }}{{ n in [n] }}");
  assertEquals(differs.render(tokenizer, values), [{ text: "FalseFalseTrue" }]);
  for (
    const expression of [
      "n + 1",
      "n < 1",
      "n.upper()",
      "n[0]",
      "n|length",
      "n|upper ~ n|trim",
      "'1' in n",
      "n[1:]",
      "n|join",
      "n|list",
      "'a'.strip(n)",
      "'a'.replace('a', n)",
    ]
  ) {
    const asks = await ChatTemplate.parse("t", `{{ ${expression} }}`);
    assertThrows(() => asks.render(tokenizer, values), InputError, "t: cannot be rendered: ", expression);
  }
});

Deno.test("a clock takes no format that holds markup of a message", async () => {
  const template = await ChatTemplate.parse("t", "{{ strftime_now('%Y' ~ said) }}");
  const values = (said: string) => ({ trusted: {}, untrusted: { said }, now: new Date(2025, 5, 28) });
  assertEquals(template.render(tokenizer, values("!")), [{ text: "2025!" }]);
  assertThrows(() => template.render(tokenizer, values("<|end|>")), InputError, "takes no text of a message");
});
