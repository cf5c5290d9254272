/** No function has more lines than a screen: what one does is seen at once, and its parts have names to look for. */
import { assert, assertEquals } from "../assert.ts";

const ROOT = new URL("../../", import.meta.url);
const MOST_LINES = 70;

/** Where the program's code is, and what builds and measures it. */
const FOLDERS = ["src", "ffi", "kernels", "tools", "bench"];

function files(folder: string): string[] {
  return [...Deno.readDirSync(new URL(`${folder}/`, ROOT))].flatMap(({ name, isDirectory, isSymlink }) => {
    const path = `${folder}/${name}`;
    if (isSymlink) return [];
    return isDirectory ? files(path) : path.endsWith(".ts") ? [path] : [];
  });
}

type Part = Pick<Deno.lint.Node, "type" | "range">;
type Function = Deno.lint.FunctionDeclaration | Deno.lint.FunctionExpression | Deno.lint.ArrowFunctionExpression;

/** What a function is called by: its own name, or that of what holds it. */
function nameOf(node: Function): string {
  if (node.type !== "ArrowFunctionExpression" && node.id) return node.id.name;
  const { parent } = node;
  if (parent.type === "VariableDeclarator" && parent.id.type === "Identifier") return parent.id.name;
  if ((parent.type === "MethodDefinition" || parent.type === "Property") && "name" in parent.key) {
    return String(parent.key.name);
  }
  return "a function without a name";
}

/** Functions with more lines than one may have. A class is none, within a function either: its methods count. */
function tooLong(path: string, text: string): Record<string, number> {
  const functions: { name: string; range: Part["range"] }[] = [], classes: Part["range"][] = [];
  const seen = (node: Function) => void functions.push({ name: nameOf(node), range: node.range });
  const seenClass = ({ range }: Part) => void classes.push(range);
  const visitor: Deno.lint.LintVisitor = {
    FunctionDeclaration: seen,
    FunctionExpression: seen,
    ArrowFunctionExpression: seen,
    ClassDeclaration: seenClass,
    ClassExpression: seenClass,
  };
  Deno.lint.runPlugin({ name: "house", rules: { functions: { create: () => visitor } } }, path, text);
  const within = (inner: Part["range"], outer: Part["range"]) =>
    inner !== outer && inner[0] >= outer[0] && inner[1] <= outer[1];
  const breaks = ([from, to]: Part["range"]) => text.slice(from, to).split("\n").length - 1;
  return Object.fromEntries(functions.flatMap(({ name, range }) => {
    const own = classes.filter((one) => within(one, range));
    const outermost = own.filter((one) => !own.some((other) => within(one, other)));
    const lines = 1 + breaks(range) - outermost.reduce((sum, one) => sum + breaks(one), 0);
    return lines > MOST_LINES ? [[`${path}: ${name}`, lines]] : [];
  }));
}

Deno.test("functions: none has more than 70 lines", () => {
  const paths = FOLDERS.flatMap(files);
  assert(paths.length > 600, `only ${paths.length} files found`);
  const found = paths.map((path) => tooLong(path, Deno.readTextFileSync(new URL(path, ROOT))));
  assertEquals(Object.assign({}, ...found), {});
});

Deno.test("functions: longer ones would be found", () => {
  const body = (lines: number) => `{\n${"  // ü\n".repeat(lines - 2)}}`;
  const long = body(MOST_LINES + 1), short = body(MOST_LINES);
  assertEquals(tooLong("a.ts", `function one() ${long}\nfunction two() ${short}`), { "a.ts: one": 71 });
  assertEquals(tooLong("a.ts", `const one = async () => ${long}, two = [() => ${long}];`), {
    "a.ts: one": 71,
    "a.ts: a function without a name": 71,
  });
  assertEquals(tooLong("a.ts", `class A { get #one() ${long}\n two() ${short} }`), { "a.ts: one": 71 });
  const mixin = `function mixin(Base) {\n  return class extends Base {\n one() ${short}\n two() ${long}\n};\n}`;
  assertEquals(tooLong("a.ts", mixin), { "a.ts: two": 71 });
});
