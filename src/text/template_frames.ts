/**
 * Which variables of a part of a template with variables of its own (a frame, to Jinja) are not there until they are
 * set: those that it sets before it reads them itself. So blocks within it that come before find nothing, whatever the
 * template was given by that name (`FrameSymbolVisitor` of jinja2/idtracking.py).
 */
import type { Node } from "./template_make.ts";
import { nameOf } from "./template_reads.ts";

/** Bodies of frames, and the names that have no value when they begin. */
export type Frames = WeakMap<readonly Node[], readonly string[]>;

/** How a frame itself mentions names first: one that only an `if` sets is looked up as if it were read. */
type Mentions = Map<string, "read" | "set">;

/** What loops, and macros and blocks that are called, are given besides. */
const LOOP = ["loop"], SPECIAL = ["caller", "varargs", "kwargs"];

/** @param body Of the whole template. */
export function framesOf(body: readonly Node[]): Frames {
  const frames: Frames = new WeakMap();
  addFrame(frames, body, [], new Set());
  return frames;
}

/** @param outer Names that frames around mention. */
function addFrame(frames: Frames, body: readonly Node[], given: readonly string[], outer: ReadonlySet<string>): void {
  const own: Mentions = new Map(given.map((name) => [name, "read"]));
  mention(body, own);
  frames.set(body, [...own].filter(([name, how]) => how === "set" && !outer.has(name)).map(([name]) => name));
  const known = new Set([...outer, ...own.keys()]);
  const visit = (nodes: readonly Node[]) => {
    for (const node of nodes) {
      if (node.type === "If") [node["body"], node["alternate"]].forEach((branch) => visit(branch as Node[]));
      for (const [inner, names] of innerOf(node)) addFrame(frames, inner, names, known);
    }
  };
  visit(body);
}

/** The frames of a statement: their bodies, and what they are given. */
function innerOf(node: Node): readonly (readonly [body: readonly Node[], given: readonly string[]])[] {
  const body = node["body"] as readonly Node[];
  switch (node.type) {
    case "For":
      return [[body, [...LOOP, ...namesIn(node["loopvar"])]], [node["defaultBlock"] as Node[], []]];
    case "Macro":
    case "CallStatement": {
      const parameters = (node["callerArgs"] ?? node["args"]) as readonly Node[];
      return [[body, [...SPECIAL, ...parameters.map((one) => String(nameOf(one).value))]]];
    }
    case "With":
      return [[body, namesIn(node["targets"])]];
    case "Set":
      return node.value ? [] : [[body, []]];
    case "FilterStatement":
      return [[body, []]];
  }
  return [];
}

/** Names that a target of an assignment sets. */
function namesIn(target: unknown): string[] {
  const names: Mentions = new Map();
  mention(target, names);
  return [...names.keys()];
}

/** Adds what a part of a frame mentions, but for frames within it, in the order in which Jinja looks through it. */
function mention(part: unknown, own: Mentions): void {
  let ifs = 0;
  const add = (name: unknown, isSet: boolean) => {
    if (!own.has(String(name))) own.set(String(name), isSet && ifs === 0 ? "set" : "read");
  };
  const visit = (part: unknown): void => {
    if (Array.isArray(part)) return part.forEach(visit);
    if (part instanceof Map) return visit([...part]);
    if (typeof part !== "object" || part === null) return;
    const node = part as Node;
    switch (node.type) {
      case "Identifier":
        return add(node.value, node["stores"] !== undefined);
      case "MemberExpression":
        return visit([node["object"], node["computed"] ? node["property"] : null]);
      case "KeywordArgumentExpression":
        return visit(node.value);
      case "Set":
        return visit([node.value, node["filters"], node["assignee"]]);
      case "For":
        return visit(node["iterable"]);
      case "With":
        return visit(node["values"]);
      case "Macro":
        return add((node["name"] as Node).value, true);
      case "CallStatement":
        return visit(node["call"]);
      case "FilterStatement":
        return visit(node["filters"]);
      case "If":
        visit(node["test"]);
        ifs++;
        visit([node["body"], node["alternate"]]);
        ifs--;
        return;
    }
    visit(Object.values(node));
  };
  visit(part);
}
