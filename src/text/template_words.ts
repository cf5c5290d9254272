/** The words of a chat template's tags, cut as Jinja cuts them. */
import { BLANKS } from "./python_texts.ts";
import { type Tag, TagError } from "./template_tags.ts";

/** A word of a template. */
export interface Word {
  /** `data`, `name`, `text`, `whole`, `float`, `end`, or the sign that it is. */
  readonly type: string;
  readonly value: string | number;
  /** The line of its tag. */
  readonly line: number;
}

const BLANK = new RegExp(`[${BLANKS}]+`, "y");
const FLOAT = /(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy;
const WHOLE = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy;
const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const TEXT = /'(?:[^'\\]|\\[^])*'|"(?:[^"\\]|\\[^])*"/y;
const SIGN = /\/\/|\*\*|[=!<>]=|[-+/*%~[\](){}<>=.:|,;]/y;

/** All words of a template: of its texts, and of the tags between them. */
export function wordsOf(tags: readonly Tag[], rest: string): Word[] {
  const words: Word[] = [];
  let line = 1;
  const data = (text: string) => {
    if (text !== "") words.push({ type: "data", value: text, line });
  };
  for (const tag of tags) {
    line = tag.line;
    data(tag.text);
    if (tag.kind === "#") continue;
    words.push({ type: `{${tag.kind}`, value: "", line });
    cut(tag, words);
    words.push({ type: `${tag.kind === "{" ? "}" : "%"}}`, value: "", line });
  }
  data(rest);
  words.push({ type: "end", value: "the end", line });
  return words;
}

function cut({ inner, line }: Tag, words: Word[]): void {
  let at = 0;
  const next = (pattern: RegExp): string | null => {
    pattern.lastIndex = at;
    const found = pattern.exec(inner)?.[0] ?? null;
    if (found !== null) at += found.length;
    return found;
  };
  while (at < inner.length) {
    if (next(BLANK) !== null) continue;
    const add = (type: string, value: string | number) => words.push({ type, value, line });
    // A number after a point is a place.
    const float = inner[at - 1] === "." ? null : next(FLOAT);
    if (float !== null) {
      add("float", Number(float.replaceAll("_", "")));
      continue;
    }
    const whole = next(WHOLE);
    if (whole !== null) {
      add("whole", Number(whole.replaceAll("_", "")));
      continue;
    }
    const name = next(NAME), text = name === null ? next(TEXT) : null;
    if (name !== null) add("name", name);
    else if (text !== null) add("text", written(text.slice(1, -1), line));
    else {
      const sign = next(SIGN);
      if (sign === null) throw new TagError(`has ${JSON.stringify([...inner.slice(at)][0])} in a tag`, line);
      add(sign, sign);
    }
  }
}

const ESCAPES: Readonly<Record<string, string>> = {
  ...{ a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" },
  ...{ "\\": "\\", "'": "'", '"': '"', "\n": "" },
};
const HEX = "[0-9a-fA-F]";
const ESCAPE = new RegExp(`\\\\(?:(?:x(${HEX}{2})|u(${HEX}{4})|U(${HEX}{8}))|([0-7]{1,3})|([^]))`, "g");

/** What a text between quotes stands for. */
function written(text: string, line: number): string {
  if (!text.includes("\\")) return text;
  return text.replace(ESCAPE, (all, byte, short, long, octal, other) => {
    if (other !== undefined) {
      if (/[xuUN]|[^\0-\x7f]/.test(other)) throw new TagError(`has ${JSON.stringify(all)} in a text`, line);
      return ESCAPES[other] ?? all;
    }
    const code = octal !== undefined ? parseInt(octal, 8) : parseInt(byte ?? short ?? long, 16);
    if (code >= 0xd800 && code < 0xe000) throw new TagError("holds half a character", line);
    if (code > 0x10ffff) throw new TagError(`has ${JSON.stringify(all)} in a text`, line);
    return String.fromCodePoint(code);
  });
}
