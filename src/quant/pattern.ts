/**
 * Patterns of module names, as quantization_config has them: exact names, globs of file names, and `re:` with a regular expression of
 * Python. They come from a file, so none of them may take long: globs are matched greedily, expressions by regex.ts.
 */
import { printable, show } from "../checkpoint/describe.ts";
import { InputError } from "../errors.ts";
import { compileRegex, type Regex } from "./regex.ts";

/** Longest pattern that is read. */
const MAX_LENGTH = 1000;
/** Characters of a pattern that a message shows. */
const SHOWN = 80;

/** One pattern. */
export interface Pattern {
  /** As the config has it. */
  readonly text: string;
  /** `exact` patterns have no special characters. */
  readonly kind: "exact" | "glob" | "regex";
  matches(name: string): boolean;
}

/**
 * Reads a pattern.
 *
 * @param where What messages begin with: file and key.
 * @throws {InputError} for an expression that is not one, or uses what is not supported (lookaround, back references).
 */
export function parsePattern(text: string, where: string): Pattern {
  if (text.length > MAX_LENGTH) {
    throw new InputError(`${where}: expected names of up to ${MAX_LENGTH} characters, got ${text.length}`);
  }
  if (text.startsWith("re:")) {
    let regex: Regex;
    try {
      regex = compileRegex(text.slice(3));
    } catch (thrown) {
      if (!(thrown instanceof SyntaxError)) throw thrown;
      // Its message may quote a character of the file's.
      throw new InputError(
        `${where}: expected a regular expression, got ${show(text.slice(0, SHOWN))}: ${printable(thrown.message)}`,
      );
    }
    return { text, kind: "regex", matches: (name) => regex.matchesStart(name) };
  }
  if (!/[*?[]/.test(text)) return { text, kind: "exact", matches: (name) => name === text };
  const tokens = globTokens(text);
  return { text, kind: "glob", matches: (name) => matchesGlob(tokens, name) };
}

type GlobToken = "star" | ((character: string) => boolean);

/** Python's fnmatch: `*` any characters, dots too; `?` one; `[abc]`, `[a-z]`, `[!abc]`; a `[` that is not closed is itself. */
function globTokens(text: string): GlobToken[] {
  const tokens: GlobToken[] = [];
  for (let i = 0; i < text.length; i++) {
    const character = text[i]!;
    if (character === "*") {
      if (tokens.at(-1) !== "star") tokens.push("star");
    } else if (character === "?") tokens.push(() => true);
    else if (character === "[" && closing(text, i) > 0) {
      const end = closing(text, i);
      tokens.push(setOf(text.slice(i + 1, end)));
      i = end;
    } else tokens.push((other) => other === character);
  }
  return tokens;
}

/** Index of the `]` that closes the set opened at `start`; the first character of a set may be `]` itself. */
function closing(text: string, start: number): number {
  const first = text[start + 1] === "!" ? start + 2 : start + 1;
  return text.indexOf("]", first + 1);
}

function setOf(body: string): (character: string) => boolean {
  const negated = body.startsWith("!");
  const members = negated ? body.slice(1) : body;
  const ranges: [string, string][] = [];
  for (let i = 0; i < members.length; i++) {
    if (members[i + 1] === "-" && i + 2 < members.length) {
      ranges.push([members[i]!, members[i + 2]!]);
      i += 2;
    } else ranges.push([members[i]!, members[i]!]);
  }
  return (character) => ranges.some(([low, high]) => low <= character && character <= high) !== negated;
}

/** Greedy with one place to return to: at worst the product of both lengths. */
function matchesGlob(tokens: readonly GlobToken[], name: string): boolean {
  let t = 0, n = 0, star = -1, resume = 0;
  while (n < name.length) {
    const token = tokens[t];
    if (token === "star") {
      star = t++;
      resume = n;
    } else if (token !== undefined && token(name[n]!)) {
      t++;
      n++;
    } else if (star >= 0) {
      t = star + 1;
      n = ++resume;
    } else return false;
  }
  while (tokens[t] === "star") t++;
  return t === tokens.length;
}
