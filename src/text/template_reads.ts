/** Which names with a meaning of their own macros and blocks that are called read. */
import type { Node } from "./template_make.ts";

const NAMES = ["caller", "kwargs", "varargs"];

const known = new WeakMap<readonly Node[], ReadonlySet<string>>();

/**
 * The names that are read before they are set there, in the order in which Jinja looks for them; found once.
 *
 * @param parameters Of the macro or block, by which it is known later on.
 */
export function readsOf(parameters: readonly Node[], body: unknown = []): ReadonlySet<string> {
  const found = known.get(parameters) ?? readIn(body);
  known.set(parameters, found);
  return found;
}

/** The name of a parameter, which may have a default. */
export const nameOf = (parameter: Node): Node => parameter.type === "Identifier" ? parameter : parameter["key"] as Node;

function readIn(body: unknown): ReadonlySet<string> {
  const left = new Set(NAMES), found = new Set<string>();
  const visit = (part: unknown): void => {
    if (Array.isArray(part)) return part.forEach(visit);
    if (part instanceof Map) return visit([...part]);
    if (typeof part !== "object" || part === null) return;
    const node = part as Node;
    if (node.type === "Identifier") {
      if (node["stores"] !== undefined) left.delete(String(node.value));
      else if (left.has(String(node.value))) found.add(String(node.value));
    } else if (node.type === "Macro" || node.type === "CallStatement") {
      const parameters = (node["callerArgs"] ?? node["args"]) as readonly Node[];
      visit(node["call"]);
      visit(parameters.map(nameOf));
      visit(parameters.map((one) => one.type === "Identifier" ? null : one.value));
      visit(node["body"]);
    } else visit(Object.values(node));
  };
  visit(body);
  return found;
}
