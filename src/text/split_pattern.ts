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
 * They are those of Oniguruma, as the library in Rust has them, and JavaScript runs what it is rewritten to by the
 * library in JavaScript. Where these two would not mean the same, a pattern is refused too:
 *
 * - `x{1,3}+` is `(?:x{1,3})+`, so nothing that must follow it is let through, and `x{2}?` is `(?:x{2})?`, which it is
 *   not in JavaScript.
 * - `x++` gives nothing back, but in JavaScript does: it stands before nothing that must follow, or else before what
 *   itself never matches.
 * - Properties have one name (`\p{Greek}`), never `\p{Script=Greek}`.
 * - What may match nothing is not repeated: in JavaScript its next branch is tried then. Nor is there a lookahead in a
 *   branch that may match nothing, which V8 also finds in the middle of a pair of surrogates.
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
  /** Characters that it takes at least, without the quantifier. */
  readonly width: number;
  readonly gives: Gives;
}

/** What a quantifier gives back to what follows: what it took; nothing; or in too many ways, being two of them. */
type Gives = "back" | "nothing" | "twice";

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

/** Characters that a branch takes at least. */
const widthOf = (branch: readonly Item[]) => branch.reduce((sum, { least, width }) => sum + least * width, 0);

function checkBranch(branches: readonly (readonly Item[])[], i: number): void {
  const branch = branches[i]!;
  if (widthOf(branch) === 0 && branch.some(({ text }) => /\(\?[=!]/.test(text))) {
    throw new NotLinear("looks ahead where it may match nothing");
  }
  // After the last item that must match, nothing can make the branch fail.
  const last = branch.findLastIndex(({ least }) => least > 0);
  const before = branch.slice(0, Math.max(0, last));
  const ways = branch.filter(({ most }) => most < Infinity)
    .reduce((product, { least, most, ways }) => product * ways * (most - least + 1), 1);
  if (ways > MAX_WAYS) throw new NotLinear("has a branch with too many optional parts");
  branch.forEach((item, k) => item.gives === "nothing" && checkPossessive(item, branch[k + 1], k < last));
  if (before.some(({ gives }) => gives === "twice")) {
    throw new NotLinear("repeats a repetition before something that must follow");
  }
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

/** Of a set without what takes more than one place to spell: whether it is negated, and what it has. */
const NEGATED = /^\[\^((?:\\[pP]\{[^}]*\}|\\.|[^[\]\\&])*)\]$/u, MEMBERS = /\\[pP]\{[^}]*\}|\\.|./gu;

/** Something must follow what is possessive: what it took must be nothing that the next one takes. */
function checkPossessive({ text }: Item, next: Item | undefined, mustFollow: boolean): void {
  if (!mustFollow) return;
  const members: readonly string[] = NEGATED.exec(text)?.[1]?.match(MEMBERS) ?? [];
  if (next!.least > 0 && next!.text.startsWith("\\p{") && members.includes(next!.text)) return;
  throw new NotLinear(`repeats ${JSON.stringify(text)} without giving back what may be needed after it`);
}

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
    const end = this.#at, [least, most, gives] = this.#quantifier();
    if (isGroup && most > 1) throw new NotLinear("repeats a group");
    if (width === 0 && this.#at > end) throw new NotLinear("repeats what may match nothing");
    return { text, least, most, ways, width, gives };
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
      if (branch.some(({ gives }) => gives === "nothing")) throw new NotLinear("has a possessive part within a group");
      ways += branch.reduce((product, item) => product * item.ways * (item.most - item.least + 1), 1);
    }
    if (ways > MAX_WAYS) throw new NotLinear("has a group with too many branches or optional parts");
    return { ways, isGroup: true, width: Math.min(...branches.map(widthOf)) };
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
    const found = /^(?:[pP]\{[\w^]+\}|x[\da-fA-F]{2}|x\{[\da-fA-F]+\}|u[\da-fA-F]{4}|[sSdDwWrntfv]|[^A-Za-z0-9])/u
      .exec(
        this.source.slice(this.#at, this.#at + 64),
      );
    if (found === null) throw new NotLinear(`has \\${this.source[this.#at] ?? ""}, which is not known`);
    this.#at += found[0].length;
  }

  #quantifier(): [least: number, most: number, gives: Gives] {
    let bounds: [number, number] = [1, 1], gives: Gives = "back";
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
    } else return [...bounds, gives];
    if (this.#take("?")) {
      if (counted && counted[2] === undefined) throw new NotLinear("has {n}?, which is no lazy {n}");
    } else if (this.#take("+")) {
      gives = counted ? "twice" : "nothing";
      if (counted) bounds[1] = Infinity;
    }
    if ("*+?".includes(this.source[this.#at] || " ")) throw new NotLinear("repeats a repetition");
    return [...bounds, gives];
  }

  #take(text: string): boolean {
    if (!this.source.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }
}
