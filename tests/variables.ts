/**
 * Environment variables for a test. The environment belongs to the process, in which other test files run at the same
 * time: what changes is this file's view of it.
 */

/** Makes `Deno.env.get` of this thread know these variables only, until disposed of; they may be changed meanwhile. */
export function withVariables(variables: Readonly<Record<string, string>>): Disposable {
  const { get } = Deno.env;
  Deno.env.get = (name) => variables[name];
  return { [Symbol.dispose]: () => void (Deno.env.get = get) };
}
