/**
 * Patterns by which a pre-tokenizer cuts text. They run on JavaScript's own engine, which can take exponential or
 * quadratic time; so only patterns are let through of which their form alone shows that the whole text takes linear
 * time:
 *
 * - A pattern is branches joined by `|`, a branch a sequence of characters and sets, each with a quantifier or none, of
 *   groups with bounded content, and of lookaheads at one character. So nothing is repeated that is itself repeated.
 * - Of what repeats without bound, at most one stands before something that must follow, so that a branch gives up
 *   after one run.
 * - The next branch begins with the same run and, if it too may give up, so does the one after it, to the last one that
 *   may not. So a run that did not match is consumed, and never scanned again from each of its characters.
 *
 * The patterns of GPT-2, GPT-4, GPT-OSS, Llama and Qwen are of this kind.
 */

/** Something that a branch matches, one after the other. */
interface Item {
  /** Its text without the quantifier, to tell equal ones. */
  readonly text: string;
  readonly least: number;
  readonly most: number;
  /** Ways to match it that backtracking may try, other than by its quantifier. */
  readonly ways: number;
}

/** Longest pattern. */
const MAX_LENGTH = 4000;
/** Ways to match the bounded parts of a branch, all of which are tried before it gives up. */
const MAX_WAYS = 1000;
/** Groups, sets and lookaheads within each other. */
const MAX_DEPTH = 20;
/** Largest bound of a quantifier. */
const MAX_REPEATS = 100;

/**
 * Checks a pattern.
 *
 * @returns null, or why it is not known to take linear time, in words for a message.
 */
export function whyNotLinear(pattern: string): string | null {
  if (pattern.length > MAX_LENGTH) return `has ${pattern.length} characters, expected at most ${MAX_LENGTH}`;
  try {
    const branches = new Reader(pattern).pattern();
    branches.forEach((_, i) => checkBranch(branches, i));
    return null;
  } catch (thrown) {
    if (thrown instanceof NotLinear) return thrown.message;
    throw thrown;
  }
}

class NotLinear extends Error {}

function checkBranch(branches: readonly (readonly Item[])[], i: number): void {
  const branch = branches[i]!;
  // After the last item that must match, nothing can make the branch fail.
  const last = branch.findLastIndex(({ least }) => least > 0);
  const before = branch.slice(0, Math.max(0, last));
  const ways = branch.filter(({ most }) => most < Infinity)
    .reduce((product, { least, most, ways }) => product * ways * (most - least + 1), 1);
  if (ways > MAX_WAYS) throw new NotLinear("has a branch with too many optional parts");
  const runs = before.filter(({ most }) => most === Infinity);
  if (runs.length > 1) throw new NotLinear("repeats without bound twice before something that must follow");
  const [run] = runs;
  if (run === undefined) return;
  const at = branch.indexOf(run), next = branches[i + 1]?.slice(0, at + 1);
  const alike = next?.length === at + 1 && next.slice(0, at).every((item, k) => isSame(item, branch[k]!)) &&
    next[at]!.text === run.text && next[at]!.most === Infinity && next[at]!.least <= 1;
  if (!alike) {
    throw new NotLinear(
      `expected a branch that begins like ${JSON.stringify(run.text)} after the one that repeats it`,
    );
  }
}

const isSame = (a: Item, b: Item) => a.text === b.text && a.least === b.least && a.most === b.most;

class Reader {
  #at = 0;
  #depth = 0;

  constructor(readonly source: string) {}

  pattern(): Item[][] {
    const branches = this.#branches();
    if (this.#at < this.source.length) throw new NotLinear("has a ) without its (");
    return branches;
  }

  #branches(): Item[][] {
    const branches: Item[][] = [[]];
    while (this.#at < this.source.length && this.source[this.#at] !== ")") {
      if (this.#take("|")) branches.push([]);
      else branches.at(-1)!.push(this.#item());
    }
    return branches;
  }

  #item(): Item {
    const start = this.#at;
    const { ways, isGroup, width } = this.#atom();
    const text = this.source.slice(start, this.#at);
    const [least, most] = this.#quantifier();
    if (isGroup && most > 1) throw new NotLinear("repeats a group");
    if (width === 0 && (least !== 1 || most !== 1)) throw new NotLinear("repeats a lookahead");
    return { text, least, most, ways };
  }

  #atom(): { ways: number; isGroup: boolean; width: number } {
    if (this.#depth > MAX_DEPTH) throw new NotLinear(`has more than ${MAX_DEPTH} groups within each other`);
    this.#depth++;
    const atom = this.#atomAt();
    this.#depth--;
    return atom;
  }

  #atomAt(): { ways: number; isGroup: boolean; width: number } {
    const character = { ways: 1, isGroup: false, width: 1 };
    if (this.#take("(?!") || this.#take("(?=")) {
      this.#atom();
      if (!this.#take(")")) throw new NotLinear("looks ahead at more than one character");
      return { ...character, width: 0 };
    }
    if (this.#take("(?i:") || this.#take("(?:")) return this.#group();
    if (this.#take("(")) {
      if (this.source[this.#at] === "?") throw new NotLinear("has a group of a kind that is not known");
      return this.#group();
    }
    if (this.#take("[")) {
      this.#set();
      return character;
    }
    if (this.#take("\\")) {
      this.#escape();
      return character;
    }
    const next = this.source[this.#at] ?? "";
    if (next === "" || "*+?{}|)^$".includes(next)) {
      throw new NotLinear(`has ${next || "an end"} where a character is expected`);
    }
    this.#at += String.fromCodePoint(this.source.codePointAt(this.#at)!).length;
    return character;
  }

  #group(): { ways: number; isGroup: boolean; width: number } {
    const branches = this.#branches();
    if (!this.#take(")")) throw new NotLinear("has a ( without its )");
    let ways = 0;
    for (const branch of branches) {
      if (branch.some(({ most }) => most === Infinity)) throw new NotLinear("repeats without bound within a group");
      ways += branch.reduce((product, item) => product * item.ways * (item.most - item.least + 1), 1);
    }
    if (ways > MAX_WAYS) throw new NotLinear("has a group with too many branches or optional parts");
    return { ways, isGroup: true, width: 1 };
  }

  /** A set, nested ones and classes of POSIX too. */
  #set(): void {
    this.#take("^");
    this.#take("]");
    while (!this.#take("]")) {
      if (this.#at >= this.source.length) throw new NotLinear("has a [ without its ]");
      if (this.#take("\\")) this.#escape();
      else if (this.source[this.#at] === "[") this.#atom();
      else this.#at++;
    }
  }

  #escape(): void {
    const found = /^(?:[pP]\{[\w=^]+\}|x[\da-fA-F]{2}|x\{[\da-fA-F]+\}|u[\da-fA-F]{4}|[sSdDwWrntfv]|[^A-Za-z0-9])/u
      .exec(
        this.source.slice(this.#at, this.#at + 64),
      );
    if (found === null) throw new NotLinear(`has \\${this.source[this.#at] ?? ""}, which is not known`);
    this.#at += found[0].length;
  }

  #quantifier(): [least: number, most: number] {
    let bounds: [number, number] = [1, 1];
    const counted = /^\{(\d{1,4})(?:(,)(\d{0,4}))?\}/.exec(this.source.slice(this.#at, this.#at + 16));
    if (this.#take("*")) bounds = [0, Infinity];
    else if (this.#take("+")) bounds = [1, Infinity];
    else if (this.#take("?")) bounds = [0, 1];
    else if (counted) {
      this.#at += counted[0].length;
      const least = Number(counted[1]);
      const most = counted[2] === undefined ? least : counted[3] === "" ? Infinity : Number(counted[3]);
      if (least > most || least > MAX_REPEATS || most < Infinity && most > MAX_REPEATS) {
        throw new NotLinear(`has bounds other than 0 to ${MAX_REPEATS}`);
      }
      bounds = [least, most];
    } else return bounds;
    // Lazy or possessive.
    if (!this.#take("?")) this.#take("+");
    if ("*+?".includes(this.source[this.#at] || " ")) throw new NotLinear("repeats a repetition");
    return bounds;
  }

  #take(text: string): boolean {
    if (!this.source.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }
}
