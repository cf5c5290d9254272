/** Reads a chat template: its tags, its words, its statements and their lines. */
import { reason } from "../errors.ts";
import { lineOfWord, linesOfNodes } from "./template_lines.ts";
import type { Node } from "./template_make.ts";
import { readable, regrouped, type Token, type WordError } from "./template_source.ts";
import { type Tag, TagError, tagsOf } from "./template_tags.ts";

/** What is needed of the library. */
export interface Parser {
  tokenize(source: string): Token[];
  parse(tokens: Token[]): Node;
}

/** A template that was read. */
export interface Program {
  readonly program: Node;
  /** Lines of its statements. */
  readonly lines: WeakMap<Node, number>;
}

/**
 * Reads a template.
 *
 * @throws {Error} with the line, if it is none.
 */
export function parsed({ tokenize, parse }: Parser, source: string): Program {
  const found = at(() => tagsOf(source), (thrown) => (thrown as TagError).line), { tags } = found;
  const words = at(() => tokenize(readable(found)), (thrown) => {
    return thrown instanceof TagError ? thrown.line : lineOfUnread(tokenize, tags);
  });
  const tokens = at(() => regrouped(words), (thrown) => lineOfWord(words, tags, (thrown as WordError).place));
  let last = 0;
  const watched = new Proxy(tokens, {
    get(all, name) {
      if (typeof name === "string" && Number(name) > last && Number(name) < all.length) last = Number(name);
      return Reflect.get(all, name);
    },
  });
  const program = at(() => parse(watched), () => lineOfWord(tokens, tags, last));
  return { program, lines: linesOfNodes(program, tokens, tags) };
}

/** What a step makes; names the line where it fails. */
function at<T>(step: () => T, line: (thrown: unknown) => number): T {
  try {
    return step();
  } catch (thrown) {
    throw new Error(`${reason(thrown)} (line ${line(thrown)})`);
  }
}

/** The line of the first tag that the library cannot cut into words. */
function lineOfUnread(tokenize: Parser["tokenize"], tags: readonly Tag[]): number {
  const isUnread = ({ source }: Tag) => {
    try {
      tokenize(source);
      return false;
    } catch {
      return true;
    }
  };
  return tags.find(isUnread)?.line ?? 1;
}
