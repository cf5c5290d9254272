/** Running compiled expressions: all states of a program at once, each set of them computed once and kept. */

/** Whether a character is one of a kind. */
export type Test = (character: string) => boolean;

/** A step of a program; jumps are relative. */
export type Instruction =
  | { readonly op: "character"; readonly test: Test }
  | { readonly op: "split"; readonly to: number; readonly or: number }
  | { readonly op: "at"; readonly where: "start" | "end" | "word" | "not word" }
  | { readonly op: "match" };

/** Work that may still be done, in steps of some nanoseconds, for all that share it. */
export class Fuel {
  #left: number;
  readonly #refusal: () => Error;

  /** @param refusal Makes the error that is thrown when all is used up. */
  constructor(steps: number, refusal: () => Error) {
    this.#left = steps;
    this.#refusal = refusal;
  }

  burn(steps: number): void {
    this.#left -= steps;
    if (this.#left < 0) throw this.#refusal();
  }
}

/** What a step costs that is not in the table yet: for each instruction that is followed, and for the new entry. */
const FOLLOWED = 10, ENTRY = 100;

/** Places in a program between two characters. */
interface State {
  readonly program: readonly number[];
  /** Whether the character before is one of a word; null: there is none. */
  readonly afterWord: boolean | null;
  /** What follows by the next character; `""`: the end of the text. */
  readonly next: Map<string, State | boolean>;
}

/** Whether a character is one of `\w`; undefined, the end of a text, is none. */
export const isWord = (character: string | undefined): boolean => character !== undefined && /^\w$/.test(character);

/**
 * A program that answers whether it matches at the start of a text, in time of the text's length once its states are
 * known.
 */
export class Automaton {
  readonly #program: readonly Instruction[];
  readonly #fuel: Fuel;
  readonly #states = new Map<string, State>();
  readonly #first: State;

  constructor(program: readonly Instruction[], fuel: Fuel) {
    this.#program = program;
    this.#fuel = fuel;
    this.#first = this.#state([0], null);
  }

  matchesStart(text: string): boolean {
    let state: State | boolean = this.#first;
    for (let at = 0; typeof state !== "boolean"; at++) {
      this.#fuel.burn(1);
      const character: string = text[at] ?? "";
      let next = state.next.get(character);
      if (next === undefined) state.next.set(character, next = this.#follow(state, character));
      state = next;
    }
    return state;
  }

  /** true: the program matches before this character; false: it cannot match any more. */
  #follow({ program, afterWord }: State, character: string): State | boolean {
    const here = new Set(program), next = new Set<number>();
    // A set is visited in order of insertion, and what is inserted meanwhile is visited too.
    for (const place of here) {
      const instruction = this.#program[place]!;
      switch (instruction.op) {
        case "match":
          return true;
        case "split":
          here.add(place + instruction.to).add(place + instruction.or);
          break;
        case "at":
          if (isAt(instruction.where, afterWord, character)) here.add(place + 1);
          break;
        case "character":
          if (character !== "" && instruction.test(character)) next.add(place + 1);
          break;
      }
    }
    this.#fuel.burn(FOLLOWED * here.size + ENTRY);
    return next.size === 0 ? false : this.#state([...next].sort((a, b) => a - b), isWord(character));
  }

  #state(program: readonly number[], afterWord: boolean | null): State {
    const key = `${afterWord} ${program.join()}`;
    let state = this.#states.get(key);
    if (state === undefined) this.#states.set(key, state = { program, afterWord, next: new Map() });
    return state;
  }
}

function isAt(where: "start" | "end" | "word" | "not word", afterWord: boolean | null, next: string): boolean {
  if (where === "start") return afterWord === null;
  if (where === "end") return next === "";
  return ((afterWord ?? false) !== isWord(next)) === (where === "word");
}
