/**
 * Changes to files of a checkpoint that know what the files are: JSON by its values, templates by their statements, all
 * by their bytes.
 */
import type { Random } from "../checkpoint/random.ts";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const encoder = new TextEncoder();
const DEEP = 2000, LONG = 100_000, MANY = 20_000;

/** Texts that mean something somewhere. */
const TEXTS = [
  ...[
    "",
    " ",
    "\n",
    "\u0000",
    "\u001b[31m",
    "\u202e",
    "\u2028",
    "\ud800",
    "\u{1f600}",
    "ſK\u212a",
    "e\u0301",
    "\ufeff",
  ],
  ...["__proto__", "constructor", "toString", "hasOwnProperty", "..", "/dev/zero", "../config.json", "NaN", "1e999"],
  ...["gpt_oss", "quark", "mxfp4", "yarn", "default", "fp4", "mx", "fp8_e4m3", "per_group", "e8m0", "BF16", "U8", "F4"],
  ...["BPE", "ByteLevel", "Split", "Sequence", "Replace", "FixedLength", "Metaspace", "Isolated", "Removed", "Unigram"],
  ...[
    "(a+)+$",
    "(a|a)*b",
    "\\s+(?!\\S)|\\s+",
    "[^\\r\\n]*x|.",
    "(?<=a)b",
    "[",
    "(",
    "\\",
    "a{9999}",
    "x*".repeat(500),
    "(?i:'s)",
  ],
  ...["re:.*", "re:(.*a){20}", "*", "*a*b*c*", "[!a-z]*", "re:\\b(\\w+)*$", "<|end|>", "<|start|>", "<", "{{ x }}"],
] as const;
const NUMBERS = [
  ...[0, -0, 1, -1, 2, 3, 7, 32, 64, 255, 256, 1023, 1024, 4096, 65536, 0.5, 1e-320, 1e308, -1e308],
  ...[2 ** 24, 2 ** 30, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 53 + 2, 1e21],
];

/** Statements and expressions that go on, or grow. */
const JINJA = [
  ...[
    "{% for a in range(99999) %}",
    "{% endfor %}",
    "{% for a in messages %}",
    "{{ messages }}",
    "{% if x %}",
    "{% endif %}",
  ],
  ...[
    "{% set x = [x, x] %}",
    "{% set x = messages ~ messages %}",
    "{% set ns = namespace(a='ab') %}",
    "{{ ns }}",
    "{% set ns.a = ns.a + ns.a %}",
  ],
  ...[
    "{% set ns.a = [ns.a, ns.a] %}",
    "{% set ns.b = ns %}",
    "{% macro f(x) %}",
    "{% endmacro %}",
    "{{ f(f) }}",
    "{% call f() %}",
    "{% endcall %}",
  ],
  ...[
    "|replace('', x)",
    "|indent(99999)",
    "|tojson(indent=999)",
    "|join('xx')",
    "|list",
    "|upper",
    "|sort",
    "|length",
    ".split('')",
  ],
  ...[
    "{{ raise_exception('x\\n') }}",
    "{{ strftime_now('%Y' ~ x) }}",
    "{{ 9 ** 9 ** 9 }}",
    "{{ x[::-1] }}",
    "{{ x[0:1:0] }}",
    "{%- ",
    " -%}",
    "{#",
    "#}",
  ],
  ...[
    "{{",
    "}}",
    "{%",
    "%}",
    "((((",
    "[[[[",
    "{'a':",
    "not ",
    "range(1, 0, 0)",
    "<|start|>",
    "<|channel|>",
    "\u0000",
    "\ue000",
    "loop.index",
  ],
];

/** A value of some kind, rarely a large one. */
function value(random: Random): Json {
  switch (random.below(12)) {
    case 0:
      return null;
    case 1:
      return random.below(2) === 0;
    case 2:
    case 3:
    case 4:
      return random.pick(NUMBERS);
    case 5:
    case 6:
    case 7:
      return random.pick(TEXTS);
    case 8:
      return random.below(4) === 0 ? random.pick(["a", "\n", "é", "<"]).repeat(LONG) : [];
    case 9:
      return random.below(8) === 0
        ? Array.from({ length: MANY }, () => random.pick([1, "a", null]))
        : [random.pick(NUMBERS)];
    case 10:
      return { [random.pick(TEXTS)]: random.pick(NUMBERS) };
    default: {
      let deep: Json = 1;
      const depth = random.below(8) === 0 ? DEEP : 3, list = random.below(2) === 0;
      for (let i = 0; i < depth; i++) deep = list ? [deep] : { a: deep };
      return deep;
    }
  }
}

const isParent = (json: Json): json is Json[] | { [key: string]: Json } => typeof json === "object" && json !== null;

/** A place within a value: what holds it, and its key there. */
function place(random: Random, root: Json): { parent: { [key: string]: Json }; key: string } | null {
  let found: { parent: { [key: string]: Json }; key: string } | null = null;
  for (let at = root; isParent(at);) {
    const parent = at as { [key: string]: Json }, keys = Object.keys(parent);
    if (keys.length === 0) break;
    // The middle of a vocabulary is as good as any other place of it.
    const key = keys[random.below(3) === 0 ? keys.length - 1 : random.below(keys.length)]!;
    found = { parent, key };
    if (random.below(4) === 0) break;
    at = parent[key]!;
  }
  return found;
}

/** Sets a key as JSON.parse does: `__proto__` is one like others. */
function set(parent: { [key: string]: Json }, key: string, json: Json): void {
  if (Array.isArray(parent)) parent[Number(key)] = json;
  else Object.defineProperty(parent, key, { value: json, enumerable: true, writable: true, configurable: true });
}

/** JSON with some values, keys or members changed; the text of another's may come from `other`. */
export function mutateJson(random: Random, text: string): Uint8Array<ArrayBuffer> {
  let root = JSON.parse(text) as Json;
  for (let changes = 1 + random.below(3); changes > 0; changes--) {
    const found = place(random, root);
    if (found === null) root = value(random);
    else {
      const { parent, key } = found;
      switch (random.below(8)) {
        case 0:
          if (Array.isArray(parent)) parent.splice(Number(key), 1);
          else delete parent[key];
          break;
        case 1:
          set(parent, Array.isArray(parent) ? key : random.pick(TEXTS), value(random));
          break;
        case 2: {
          const other = place(random, root);
          if (other !== null) set(parent, key, structuredClone(other.parent[other.key]!));
          break;
        }
        case 3:
          if (typeof parent[key] === "string") set(parent, key, `${parent[key]}${random.pick(TEXTS)}`);
          else if (typeof parent[key] === "number") set(parent, key, parent[key] * random.pick([-1, 0.5, 2, 1000]));
          else set(parent, key, [structuredClone(parent[key]!)]);
          break;
        default:
          set(parent, key, value(random));
      }
    }
  }
  let changed = JSON.stringify(root);
  if (random.below(8) === 0) {
    // A key that is there twice, and a number that JavaScript cannot write.
    const brace = changed.indexOf("{", random.below(changed.length));
    const key = /"[^"\\]*":/.exec(changed.slice(brace < 0 ? 0 : brace))?.[0] ?? '"a":';
    const extra = random.pick(["1e999", "-1e999", "9007199254740993", "null", "{}", '"x"']);
    if (brace >= 0) changed = `${changed.slice(0, brace + 1)}${key}${extra},${changed.slice(brace + 1)}`;
  }
  return encoder.encode(changed);
}

/** A template with statements put in, moved or cut. */
export function mutateTemplate(random: Random, text: string): Uint8Array<ArrayBuffer> {
  let changed = text;
  for (let changes = 1 + random.below(5); changes > 0; changes--) {
    const at = random.below(changed.length + 1), end = Math.min(changed.length, at + random.below(40));
    const piece = random.below(4) === 0
      ? changed.slice(end, end + random.below(80))
      : random.pick(JINJA).repeat(random.below(20) === 0 ? 300 : 1);
    changed = changed.slice(0, at) + piece + changed.slice(random.below(2) === 0 ? at : end);
  }
  return encoder.encode(changed);
}

/** Bytes that mean something to a reader. */
const BYTES = [
  '"',
  "\\",
  "{",
  "}",
  "[",
  "]",
  ",",
  ":",
  "0",
  "9",
  "-",
  "e",
  "\n",
  "\\u0000",
  "\\ud800",
  "null",
  "\u2028",
]
  .map((text) => encoder.encode(text)).concat([0x00, 0x80, 0xc3, 0xff].map((byte) => Uint8Array.of(byte)));

/** Bytes changed, put in, cut, doubled, or all after some place gone. */
export function mutateBytes(random: Random, original: Uint8Array): Uint8Array<ArrayBuffer> {
  let bytes = Uint8Array.from(original);
  for (let changes = 1 + random.below(3); changes > 0; changes--) {
    const at = random.below(bytes.length + 1),
      end = Math.min(bytes.length, at + random.below(random.pick([2, 10, 200])));
    const [middle, rest] = random.pick<() => [Uint8Array, number]>([
      () => [Uint8Array.of(random.below(256)), at + 1],
      () => [random.pick(BYTES), at],
      () => [new Uint8Array(0), end],
      () => [bytes.slice(at, end), at],
      () => [random.pick(BYTES), random.below(10) === 0 ? bytes.length : end],
    ])();
    const tail = bytes.subarray(Math.min(rest, bytes.length));
    const next = new Uint8Array(at + middle.length + tail.length);
    next.set(bytes.subarray(0, at));
    next.set(middle, at);
    next.set(tail, at + middle.length);
    bytes = next;
  }
  return bytes;
}
