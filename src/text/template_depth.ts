/**
 * How deep a chat template goes: what is looked through and evaluated part by part takes a piece of the stack for each,
 * and where that ends the engine's error is one that no code may tell from others by its words.
 */
import type { Node } from "./template_make.ts";
import { TagError } from "./template_tags.ts";

/** Parts within parts of a template, however they are written: a long sum has its first term at the bottom. */
const MAX_PARTS = 400;
/** Parts that are evaluated within others, across macros that call each other: the stack holds some 900. */
const MAX_EVALUATED = 600;
/** Parts that take twice as much of the stack as others. */
const HEAVY: ReadonlySet<string> = new Set(["CallExpression", "CallStatement", "FilterStatement", "Set"]);

/**
 * Refuses a template whose parts lie too deep in each other.
 *
 * @param lines Lines of its statements.
 * @throws {TagError} with the line of the statement.
 */
export function refuseDeep(body: readonly Node[], lines: WeakMap<Node, number>): void {
  const open: [part: unknown, depth: number, line: number][] = [[body, 0, 1]];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [part, outer, line] = next;
    if (typeof part !== "object" || part === null) continue;
    const node = part as Node, own = lines.get(node) ?? line, depth = outer + (typeof node.type === "string" ? 1 : 0);
    if (depth > MAX_PARTS) throw new TagError(`has parts more than ${MAX_PARTS} deep in each other`, own);
    for (const inner of part instanceof Map ? [...part].flat() : Object.values(part)) open.push([inner, depth, own]);
  }
}

/** How deep an evaluation is. */
export class Depth {
  #now = 0;

  /** Goes into a part, or into a filter; `leave` goes out of it again. */
  enter(node?: Node): void {
    this.#now += weight(node);
    if (this.#now > MAX_EVALUATED) throw new Error(`goes more than ${MAX_EVALUATED} parts deep, with macros it calls`);
  }

  leave(node?: Node): void {
    this.#now -= weight(node);
  }
}

const weight = (node: Node | undefined): number => node !== undefined && HEAVY.has(node.type) ? 2 : 1;
