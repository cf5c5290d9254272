/** Fields that a schema does not know and that hold null: by these a client asks for nothing. */
import type { z } from "zod";
import { isObject } from "../../json_object.ts";

/**
 * Takes such fields out of a value that a schema refused. Clients that write down whole objects of a newer API name
 * fields without a value in them, which are as good as absent; what holds a value stays, and is refused by its name.
 *
 * @param value What was refused; it is changed.
 * @param issues What was wrong, of a union what was wrong with each of its branches.
 * @returns Whether there was one.
 */
export function dropUnknownNulls(
  value: unknown,
  issues: readonly z.core.$ZodIssue[],
  path: readonly PropertyKey[] = [],
): boolean {
  let dropped = false;
  for (const issue of issues) {
    const at = [...path, ...issue.path];
    if (issue.code === "invalid_union") {
      for (const branch of issue.errors) dropped = dropUnknownNulls(value, branch, at) || dropped;
    }
    if (issue.code !== "unrecognized_keys") continue;
    const holder = at.reduce<unknown>((whole, key) => (whole as Record<PropertyKey, unknown>)[key], value);
    if (!isObject(holder)) continue;
    for (const key of issue.keys.filter((key) => holder[key] === null)) {
      delete (holder as Record<string, unknown>)[key];
      dropped = true;
    }
  }
  return dropped;
}
