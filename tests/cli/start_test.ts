/** What every answer's start pays for: modules that its program imports before it has read its arguments, and after. */
import { dirname, join } from "node:path";
import { assert, assertEquals } from "../assert.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const STATIC_IMPORT = /^(?:import|export) (?!type\b)[^"';]*?from "([^"]+)";$|^import "([^"]+)";$/gm;

/** What a module imports at once, types left out; by path or by name. */
function importedBy(path: string): string[] {
  return [...Deno.readTextFileSync(path).matchAll(STATIC_IMPORT)].map((match) => match[1] ?? match[2]!)
    .map((name) => name.startsWith(".") ? join(dirname(path), name) : name);
}

Deno.test("an answer's start loads none of Node's modules that bring 10 ms of others with them", () => {
  const found = new Set<string>();
  const visit = (name: string) => {
    if (found.has(name)) return;
    found.add(name);
    if (name.startsWith("/")) importedBy(name).forEach(visit);
  };
  ["main.ts", "src/cli/generate_options.ts", "src/cli/generate.ts"].forEach((path) => visit(join(ROOT, path)));
  assert(found.size > 150, `only ${found.size} modules found`);
  assertEquals([...found].filter((name) => name.startsWith("node:")).sort(), ["node:path", "node:url"]);
});
