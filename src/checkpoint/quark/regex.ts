/**
 * Regular expressions from config files. JavaScript's own can take exponential time on a few dozen characters, and
 * differ from Python's; these are compiled to a small program that automaton.ts runs in time of the name's length.
 */
import { Automaton, type Fuel, type Instruction, isWord, type Test } from "./automaton.ts";

/** A compiled expression. */
export interface Regex {
  /** Whether the expression matches at the start of the text, as Python's re.match. */
  matchesStart(text: string): boolean;
}

/** A piece of program: instructions whose jumps are relative to its start; it continues after its end. */
type Piece = readonly Relative[];
type Relative = Exclude<Instruction, { op: "match" }>;

/** Counted repetitions are unrolled, so their product is bounded. */
const MAX_PROGRAM = 1000;
/** Groups within groups. */
const MAX_DEPTH = 50;

const CLASSES: Readonly<Record<string, Test>> = {
  d: (c) => c >= "0" && c <= "9",
  w: isWord,
  s: (c) => /^\s$/.test(c),
};

/**
 * Compiles an expression: characters, `.`, sets, groups (also `(?:...)`), `|`, `* + ? {m,n}` (also lazy), `^ $`, `\d \w
 * \s \b` and their negations, and escaped punctuation.
 *
 * @param fuel What running it uses up.
 * @throws {SyntaxError} for anything else, and for expressions that are too large.
 */
export function compileRegex(source: string, fuel: Fuel): Regex {
  return new Automaton([...new Parser(source).parse(), { op: "match" }], fuel);
}

class Parser {
  #at = 0;
  #depth = 0;

  constructor(readonly source: string) {}

  parse(): Piece {
    const piece = this.#alternatives();
    if (this.#at < this.source.length) throw new SyntaxError(`unbalanced ) at ${this.#at}`);
    return piece;
  }

  #alternatives(): Piece {
    let piece = this.#sequence();
    while (this.#take("|")) {
      const other = this.#sequence();
      // split, first, jump over the second, second
      piece = bounded([
        { op: "split", to: 1, or: piece.length + 2 },
        ...piece,
        jump(other.length + 1),
        ...other,
      ]);
    }
    return piece;
  }

  #sequence(): Piece {
    const all: Relative[] = [];
    while (this.#at < this.source.length && this.#peek() !== "|" && this.#peek() !== ")") {
      all.push(...this.#repeated());
      bounded(all);
    }
    return all;
  }

  #repeated(): Piece {
    let piece = this.#atom();
    for (let again = false;; again = true) {
      const counts = this.#counts();
      if (counts === null) return piece;
      if (again) throw new SyntaxError(`multiple repeat at ${this.#at - 1}`);
      // Lazy or not makes no difference to whether there is a match.
      this.#take("?");
      piece = repeat(piece, ...counts);
    }
  }

  /** Bounds of a repetition, if one follows. */
  #counts(): [least: number, most: number] | null {
    if (this.#take("*")) return [0, Infinity];
    if (this.#take("+")) return [1, Infinity];
    if (this.#take("?")) return [0, 1];
    const found = /^\{(\d*)(,?)(\d*)\}/.exec(this.source.slice(this.#at));
    // To Python `{}` are two characters, and `{,}` is `*`.
    if (!found || found[0] === "{}") return null;
    this.#at += found[0].length;
    const least = Number(found[1] || 0);
    const most = found[2] === "" ? least : found[3] === "" ? Infinity : Number(found[3]);
    if (most < least) throw new SyntaxError(`min repeat greater than max repeat at ${this.#at}`);
    return [least, most];
  }

  #atom(): Piece {
    const character = this.source[this.#at++]!;
    switch (character) {
      case ".":
        return [{ op: "character", test: (c) => c !== "\n" }];
      case "^":
        return [{ op: "at", where: "start" }];
      case "$":
        return [{ op: "at", where: "end" }];
      case "(":
        return this.#group();
      case "[":
        return [{ op: "character", test: this.#set() }];
      case "\\":
        return this.#escape();
      case "*":
      case "+":
      case "?":
        throw new SyntaxError(`nothing to repeat at ${this.#at - 1}`);
      default:
        return [{ op: "character", test: (c) => c === character }];
    }
  }

  #group(): Piece {
    if (++this.#depth > MAX_DEPTH) throw new SyntaxError(`more than ${MAX_DEPTH} groups within each other`);
    if (this.#take("?") && !this.#take(":")) throw new SyntaxError(`(?${this.#peek()} is not supported`);
    const piece = this.#alternatives();
    if (!this.#take(")")) throw new SyntaxError("missing )");
    this.#depth--;
    return piece;
  }

  #escape(): Piece {
    const character = this.source[this.#at++];
    if (character === "b" || character === "B") return [{ op: "at", where: character === "b" ? "word" : "not word" }];
    if (character === "A") return [{ op: "at", where: "start" }];
    if (character === "Z") return [{ op: "at", where: "end" }];
    return [{ op: "character", test: testOf(escaped(character)) }];
  }

  #set(): Test {
    const negated = this.#take("^");
    const tests: Test[] = [];
    for (let first = true; first || this.#peek() !== "]"; first = false) {
      const from = this.#at, low = this.#member();
      // At the end of a set a hyphen is itself.
      if (this.#peek() !== "-" || this.source[this.#at + 1] === "]") {
        tests.push(testOf(low));
        continue;
      }
      this.#at++;
      const high = this.#member();
      if (typeof low !== "string" || typeof high !== "string" || high < low) {
        throw new SyntaxError(`bad range ${this.source.slice(from, this.#at)}`);
      }
      tests.push((c) => low <= c && c <= high);
    }
    this.#at++;
    return (c) => tests.some((test) => test(c)) !== negated;
  }

  /** A character of a set, or a class. */
  #member(): string | Test {
    if (this.#at >= this.source.length) throw new SyntaxError("missing ]");
    const character = this.source[this.#at++]!;
    return character === "\\" ? escaped(this.source[this.#at++]) : character;
  }

  #peek(): string | undefined {
    return this.source[this.#at];
  }

  #take(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#at++;
    return true;
  }
}

/** What an escaped character stands for, within a set and outside. */
function escaped(character: string | undefined): string | Test {
  if (character === undefined) throw new SyntaxError("ends with a backslash");
  const named = CLASSES[character];
  if (named) return named;
  const opposite = CLASSES[character.toLowerCase()];
  if (opposite) return (c) => !opposite(c);
  if (/[A-Za-z0-9]/.test(character)) throw new SyntaxError(`\\${character} is not supported`);
  return character;
}

const testOf = (member: string | Test): Test => typeof member === "string" ? (c) => c === member : member;

const jump = (distance: number): Relative => ({ op: "split", to: distance, or: distance });

function repeat(piece: Piece, least: number, most: number): Piece {
  const copies = most === Infinity ? least + 1 : most;
  if (copies * (piece.length + 2) > MAX_PROGRAM) throw new SyntaxError("repeats too much");
  const all: Relative[] = [];
  for (let i = 0; i < least; i++) all.push(...piece);
  if (most === Infinity) {
    all.push({ op: "split", to: 1, or: piece.length + 2 }, ...piece, jump(-piece.length - 1));
  } else {
    for (let left = most - least; left > 0; left--) {
      all.push({ op: "split", to: 1, or: left * (piece.length + 1) }, ...piece);
    }
  }
  return bounded(all);
}

function bounded(piece: Piece): Piece {
  if (piece.length > MAX_PROGRAM) throw new SyntaxError("too long");
  return piece;
}
