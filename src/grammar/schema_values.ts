/** What is looked for in the whole of a JSON Schema before anything is made of it. */
import { InputError } from "../errors.ts";
import { spend } from "./dfa.ts";

/** Lists and objects in each other: 200 schemas, each in a list of a keyword of another, and what they hold. */
const MAX_LEVELS = 500;

/** A list or an object, and where it is. */
interface Place {
  readonly value: object;
  readonly key: string;
  readonly outer: Place | null;
  readonly level: number;
}

/**
 * Refuses numbers beyond the largest, which JSON.stringify writes as null, and what lies so deep that no call within
 * calls can look at it.
 *
 * @throws {InputError} naming the place.
 */
export function checkValues(schema: unknown, where: string): void {
  if (typeof schema !== "object" || schema === null) return;
  const open: Place[] = [{ value: schema, key: "", outer: null, level: 0 }];
  for (let place = open.pop(); place !== undefined; place = open.pop()) {
    const { value, level } = place;
    if (level > MAX_LEVELS) {
      throw InputError.of("too_large", { name: where }, `lists and objects nested at most ${MAX_LEVELS} deep`, "more");
    }
    const entries = Object.entries(value);
    spend(1 + entries.length, where);
    for (const [key, inner] of entries) {
      if (typeof inner === "object" && inner !== null) {
        open.push({ value: inner, key, outer: place, level: level + 1 });
      } else if (typeof inner === "number" && !Number.isFinite(inner)) {
        const name = `${where}${pathOf(place)}${step(value, key)}`;
        throw InputError.of("wrong_value", { name }, "a number below 1.8e308", inner);
      }
    }
  }
}

const step = (outer: object, key: string): string => Array.isArray(outer) ? `[${key}]` : `.${key}`;

/** A place as messages name it. */
function pathOf(place: Place): string {
  const keys: string[] = [];
  for (let at: Place | null = place; at !== null && at.outer !== null; at = at.outer) {
    keys.push(step(at.outer.value, at.key));
  }
  return keys.reverse().join("");
}
