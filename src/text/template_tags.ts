/**
 * Where the tags of a chat template are: found as Jinja finds them, with the blanks around them taken away as it does.
 */
import { BLANKS, stripped } from "./python_texts.ts";

/** A tag or comment of a template. */
export interface Tag {
  /** Its line, from 1 on. */
  readonly line: number;
  /** `{`: what it is written for; `%`: a statement; `#`: a comment, or what ends a text that is written as it is. */
  readonly kind: "{" | "%" | "#";
  /** What stands in it, without signs for blanks. */
  readonly inner: string;
  /** The text before it. */
  readonly text: string;
}

/** A mistake in a template, and the line of the tag that it is in. */
export class TagError extends Error {
  constructor(message: string, readonly line: number) {
    super(message);
  }
}

const ENDS = { "{": "}}", "%": "%}", "#": "#}" } as const;
const CLOSES: Readonly<Record<string, string>> = { ")": "(", "]": "[", "}": "{" };
const TEXTS = /'(?:[^'\\]|\\[^])*'|"(?:[^"\\]|\\[^])*"/y;
/** Where a text begins that is written as it is, and where it ends. */
const RAW = new RegExp(`\\{%[-+]?[${BLANKS}]*raw[${BLANKS}]*(?:-%\\}[${BLANKS}]*|%\\})`, "y");
const RAW_END = new RegExp(`\\{%([-+]?)[${BLANKS}]*endraw[${BLANKS}]*(?:\\+%\\}|-%\\}[${BLANKS}]*|%\\}\n?)`, "g");
const BLANK: ReadonlySet<string> = new Set(BLANKS);

/** A template's tags with the text before each, and the text after the last. */
export function tagsOf(template: string): { tags: Tag[]; rest: string } {
  const tags: Tag[] = [], all = template.replace(/\r\n?/g, "\n").replace(/\n$/, "");
  let at = 0, line = 1, startsLine = true;
  for (;;) {
    const open = nextTag(all, at);
    if (open < 0) return { tags, rest: all.slice(at) };
    const kind = all[open + 1] as keyof typeof ENDS, sign = "+-".includes(all[open + 2] ?? " ") ? all[open + 2]! : "";
    const before = textBefore(all.slice(at, open), kind, sign, startsLine);
    line += linesIn(all, at, open);
    RAW.lastIndex = open;
    const raw = kind === "%" ? RAW.exec(all)?.[0] : undefined;
    if (raw !== undefined) {
      tags.push({ line, kind: "#", inner: "", text: before });
      RAW_END.lastIndex = at = open + raw.length;
      const ending = RAW_END.exec(all);
      if (ending === null) throw new TagError("has raw without an end", line);
      line += linesIn(all, open, ending.index);
      tags.push({ line, kind: "#", inner: "", text: textBefore(all.slice(at, ending.index), "%", ending[1]!, false) });
      at = ending.index + ending[0].length;
      line += linesIn(all, ending.index, at);
      startsLine = ending[0].endsWith("\n");
      continue;
    }
    const from = open + 2 + sign.length, end = endOf(all, from, kind, line);
    const last = all[end - 1]!, after = end > from && (last === "-" || last === "+" && kind !== "{") ? last : "";
    tags.push({ line, kind, inner: kind === "#" ? "" : all.slice(from, end - after.length), text: before });
    at = end + 2;
    if (after === "-") { while (BLANK.has(all[at]!)) at++; }
    startsLine = kind !== "{" && after === "" && all[at] === "\n";
    if (startsLine) at++;
    line += linesIn(all, open, at);
  }
}

/** Where the next tag begins; -1: none does. */
function nextTag(all: string, from: number): number {
  for (let at = all.indexOf("{", from); at >= 0; at = all.indexOf("{", at + 1)) {
    if (Object.hasOwn(ENDS, all[at + 1] ?? "")) return at;
  }
  return -1;
}

function linesIn(all: string, from: number, to: number): number {
  return all.slice(from, to).split("\n").length - 1;
}

/** A text without the blanks that the tag after it takes away. */
function textBefore(text: string, kind: string, sign: string, startsLine: boolean): string {
  if (sign === "-") return text.slice(...stripped(text, "rstrip"));
  if (sign === "+" || kind === "{") return text;
  const start = text.lastIndexOf("\n") + 1;
  const isBlank = (start > 0 || startsLine) && [...text.slice(start)].every((one) => BLANK.has(one));
  return isBlank ? text.slice(0, start) : text;
}

/** The place of what ends a tag, of which neither texts nor brackets are a part. */
function endOf(all: string, from: number, kind: keyof typeof ENDS, line: number): number {
  const end = ENDS[kind];
  if (kind === "#") {
    const at = all.indexOf(end, from);
    if (at < 0) throw new TagError("has a comment without an end", line);
    return at;
  }
  const open: string[] = [];
  for (let at = from; at < all.length;) {
    const one = all[at]!;
    if (open.length === 0 && all.startsWith(end, at)) return at;
    if (one === "\ufeff") throw new TagError("has a character in a tag that only some call blank", line);
    if (one === "'" || one === '"') {
      TEXTS.lastIndex = at;
      const [text] = TEXTS.exec(all) ?? [];
      if (text === undefined) throw new TagError("has a text without an end", line);
      at += text.length;
      continue;
    }
    if ("([{".includes(one)) open.push(one);
    if (Object.hasOwn(CLOSES, one) && open.pop() !== CLOSES[one]) throw new TagError(`has a ${one} of its own`, line);
    at++;
  }
  throw new TagError("has a tag without an end", line);
}
