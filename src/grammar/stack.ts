/**
 * What is left to come after a terminal, as a stack of positions in the grammar. A text can often be read in several
 * ways; ways that are at the same position share it, so that a stack is a tree whose size is bounded by the grammar and
 * the depth of the text, not by the number of ways.
 */

/** A position, and what comes once it is done. */
export interface Frame {
  readonly position: number;
  readonly below: Stack;
}

/** Several ways to go on; equal ones are one object. */
export interface Stack {
  readonly id: number;
  /** In order of position, each of which stands here once. */
  readonly frames: readonly Frame[];
  /** Whether one of the ways is that nothing more comes. */
  readonly ends: boolean;
}

/** Makes stacks, and finds those that it made. */
export class Stacks {
  readonly #known = new Map<string, Stack>();
  readonly #joined = new Map<string, Stack>();
  #made = 0;

  /** Nothing more comes. */
  readonly end: Stack = this.#of([], true);

  /** A position on top of a stack. */
  push(position: number, below: Stack): Stack {
    return this.#of([{ position, below }], false);
  }

  /** The ways of both. */
  join(a: Stack, b: Stack): Stack {
    if (a === b) return a;
    const key = a.id < b.id ? `${a.id} ${b.id}` : `${b.id} ${a.id}`;
    const known = this.#joined.get(key);
    if (known !== undefined) return known;
    const frames: Frame[] = [];
    for (let i = 0, j = 0; i < a.frames.length || j < b.frames.length;) {
      const left = a.frames[i], right = b.frames[j];
      if (right === undefined || (left !== undefined && left.position < right.position)) frames.push(left!), i++;
      else if (left === undefined || right.position < left.position) frames.push(right), j++;
      else frames.push({ position: left.position, below: this.join(left.below, right.below) }), i++, j++;
    }
    const stack = this.#of(frames, a.ends || b.ends);
    this.#joined.set(key, stack);
    return stack;
  }

  /** Forgets what it made; stacks that are still in use stay as they are. */
  forget(): void {
    this.#known.clear();
    this.#joined.clear();
  }

  #of(frames: readonly Frame[], ends: boolean): Stack {
    const key = `${ends} ${frames.map(({ position, below }) => `${position}:${below.id}`).join()}`;
    let stack = this.#known.get(key);
    if (stack === undefined) this.#known.set(key, stack = { id: this.#made++, frames, ends });
    return stack;
  }
}
