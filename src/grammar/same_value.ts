/** Which values of JSON are the same: objects by their members, in whatever order these stand. */
import { spend } from "./dfa.ts";

/**
 * A text that is the same for values that JSON Schema takes for the same, and for no others.
 *
 * @param where What a message begins with where it costs too much.
 */
export function canonical(value: unknown, where: string): string {
  const text = JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner !== "object" || inner === null || Array.isArray(inner)) return inner;
    // Pairs in a list: an object would put names that are whole numbers first. All objects are written like this, so
    // that none is taken for another.
    return { members: Object.entries(inner).sort(([a], [b]) => a < b ? -1 : 1) };
  });
  spend(text.length, where);
  return text;
}
