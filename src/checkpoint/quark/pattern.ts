/**
 * Patterns of module names, as quantization_config has them: exact names, globs of file names, and `re:` with a regular
 * expression of Python. They come from a file, so none of them may take long: globs are matched greedily, expressions
 * by regex.ts, and all that share a {@linkcode patternFuel} together do bounded work.
 */
import { printable, show } from "../../describe.ts";
import { InputError } from "../../errors.ts";
import { Fuel } from "./automaton.ts";
import { compileRegex, type Regex } from "./regex.ts";

/** Longest pattern that is read. */
const MAX_LENGTH = 1000;
/** Characters of a pattern that a message shows. */
const SHOWN = 80;

/**
 * Steps of {@linkcode patternFuel}: half a second. 70 expressions that match all 9,000 modules of gpt-oss-120b use them
 * up.
 */
const STEPS = 30_000_000;
/** What compiling one character of an expression costs. */
const COMPILE = 100;

/** Work that the patterns of a config may do. */
export function patternFuel(where: string): Fuel {
  return new Fuel(
    STEPS,
    () =>
      InputError.of("too_large", { name: where }, "patterns that can be tried quickly", "too many or too long ones"),
  );
}

/** Whether a name has special characters. */
export const isPattern = (text: string): boolean => text.startsWith("re:") || /[*?[]/.test(text);

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
 * @param fuel What matching uses up.
 * @throws {InputError} for an expression that is not one, or uses what is not supported (lookaround, back references).
 */
export function parsePattern(text: string, where: string, fuel: Fuel = patternFuel(where)): Pattern {
  if (text.length > MAX_LENGTH) {
    throw InputError.of("wrong_value", { name: where }, `names of up to ${MAX_LENGTH} characters`, text.length);
  }
  if (text.startsWith("re:")) {
    let regex: Regex;
    fuel.burn(COMPILE * text.length);
    try {
      regex = compileRegex(text.slice(3), fuel);
    } catch (thrown) {
      if (!(thrown instanceof SyntaxError)) throw thrown;
      // Its message may quote a character of the file's.
      throw InputError.of(
        "wrong_value",
        { name: where },
        "a regular expression",
        `${show(text.slice(0, SHOWN))}: ${printable(thrown.message)}`,
      );
    }
    return { text, kind: "regex", matches: (name) => regex.matchesStart(name) };
  }
  if (!isPattern(text)) return { text, kind: "exact", matches: (name) => name === text };
  fuel.burn(COMPILE * text.length);
  const tokens = globTokens(text), part = longestPart(text);
  const matches = (name: string) => {
    fuel.burn(1);
    return name.includes(part) && matchesGlob(tokens, name, fuel);
  };
  return { text, kind: "glob", matches };
}

type GlobToken = "star" | ((character: string) => boolean);

/**
 * Python's fnmatch: `*` any characters, dots too; `?` one; `[abc]`, `[a-z]`, `[!abc]`; a `[` that is not closed is
 * itself.
 */
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

/** A text that is in every name that a glob matches: quickly found to be missing, as it is from most names. */
function longestPart(text: string): string {
  // What follows a bracket may be a set.
  return text.split("[")[0]!.split(/[*?]/).reduce((longest, part) => part.length > longest.length ? part : longest);
}

/** Index of the `]` that closes the set opened at `start`; the first character of a set may be `]` itself. */
function closing(text: string, start: number): number {
  const first = text[start + 1] === "!" ? start + 2 : start + 1;
  return text.indexOf("]", first + 1);
}

function setOf(body: string): (character: string) => boolean {
  const negated = body.startsWith("!");
  const members = negated ? body.slice(1) : body;
  const all: [low: string, high: string, joined: boolean][] = [];
  for (let i = 0; i < members.length; i++) {
    const joined = members[i + 1] === "-" && i + 2 < members.length;
    all.push([members[i]!, members[joined ? i + 2 : i]!, joined]);
    if (joined) i += 2;
  }
  const ranges = all.filter(([low, high]) => low <= high);
  // Python leaves out empty ranges, and only then looks whether an exclamation mark comes first.
  const late = !negated && ranges[0]?.[0] === "!";
  if (late) {
    const [, high, joined] = ranges.shift()!;
    if (joined) ranges.push(["-", "-", false], [high, high, false]);
  }
  return (character) => ranges.some(([low, high]) => low <= character && character <= high) !== (negated || late);
}

/** Greedy with one place to return to: at worst the product of both lengths. */
function matchesGlob(tokens: readonly GlobToken[], name: string, fuel: Fuel): boolean {
  let t = 0, n = 0, star = -1, resume = 0;
  while (n < name.length) {
    fuel.burn(1);
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
