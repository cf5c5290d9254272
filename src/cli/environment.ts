/** The environment, as far as it may be read. */
import type { ReadVariable } from "../parallel/world.ts";

/** A variable that is set, unless Deno was not permitted to read it: nobody is asked for that. */
export const environment: ReadVariable = (variable) => {
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted" ? Deno.env.get(variable) : undefined;
};
