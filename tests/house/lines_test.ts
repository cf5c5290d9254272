/**
 * No line is longer than a reader's window: 120 characters, comments included; and no file of code is longer than what
 * is read in one go: 300 lines.
 */
import { assert, assertEquals } from "../assert.ts";

const ROOT = new URL("../../", import.meta.url);
const LIMIT = 120, MOST_LINES = 300;

/** Where people write code and prose. Goldens are what a script wrote, and their scripts stay as they ran. */
const FOLDERS = ["src", "ffi", "tests", "tools", "bench", "wasm/src", "docs", ".github", ".ci"];
const LEFT_OUT = ["tests/goldens/", "wasm/pkg/", "wasm/target/", "kernels/build/"];

function files(folder: string): string[] {
  return [...Deno.readDirSync(new URL(`${folder}/`, ROOT))].flatMap(({ name, isDirectory, isSymlink }) => {
    const path = `${folder}/${name}`;
    if (isSymlink || LEFT_OUT.includes(`${path}/`)) return [];
    return isDirectory ? files(path) : [path];
  });
}

/** Files of these folders, and those that lie at the top or among others. */
function handWritten(): string[] {
  const single = [...Deno.readDirSync(ROOT)].filter((entry) => entry.isFile).map(({ name }) => name);
  const kernels = files("kernels").filter((path) => path.endsWith(".ts"));
  const all = [...single, ...kernels, "wasm/ABI.md", "kernels/ABI.md", ...FOLDERS.flatMap(files)];
  return all.filter((path) => /\.(?:ts|rs|py|sh|cpp|h|md|yml)$|^\.ci\/run$/.test(path));
}

/**
 * Lines that are too long, as "path:line". In Markdown, tables, lines that a URL makes long, and what a program printed
 * (blocks of `text` and `console`) stay as they are.
 */
function tooLong(path: string, text: string): string[] {
  let printed = false;
  return text.split("\n").flatMap((line, i) => {
    if (path.endsWith(".md")) {
      if (line.startsWith("```")) printed = /^```(?:text|console)$/.test(line);
      if (printed || /^\s*\|/.test(line) || /^\S*https?:\S+$/.test(line.trim())) return [];
    }
    return [...line].length > LIMIT ? [`${path}:${i + 1}`] : [];
  });
}

/** Files of code, those of kernels and of the embedded model's training too. */
function code(): string[] {
  const all = [...new Set([...handWritten(), ...files("kernels"), ...files("models"), ...files("examples")])];
  return all.filter((path) => /\.(?:ts|js|rs|py|sh|cpp|h|hip|inc)$|^\.ci\/run$/.test(path));
}

/** The file, where it has more lines than a file may have. */
function tooMany(path: string, text: string): string[] {
  const lines = text.trimEnd().split("\n").length;
  return lines > MOST_LINES ? [`${path}: ${lines}`] : [];
}

Deno.test("lines: none has more than 120 characters", () => {
  const paths = handWritten();
  assert(paths.length > 500, `only ${paths.length} files found`);
  assertEquals(paths.flatMap((path) => tooLong(path, Deno.readTextFileSync(new URL(path, ROOT)))), []);
});

Deno.test("lines: long ones would be found", () => {
  const long = "x".repeat(LIMIT + 1);
  assertEquals(tooLong("a.ts", `short\n// ${long}\n${"é".repeat(LIMIT)}`), ["a.ts:2"]);
  assertEquals(tooLong("a.md", `| ${long} |\n\`\`\`text\n${long}\n\`\`\`\n${long}`), ["a.md:5"]);
});

Deno.test("files of code: none has more than 300 lines", () => {
  const paths = code();
  assert(paths.length > 500 && paths.some((path) => path.endsWith(".hip")), `only ${paths.length} files found`);
  assertEquals(paths.flatMap((path) => tooMany(path, Deno.readTextFileSync(new URL(path, ROOT)))), []);
});

Deno.test("files of code: longer ones would be found", () => {
  assertEquals(tooMany("a.hip", "x;\n".repeat(MOST_LINES + 1)), ["a.hip: 301"]);
  assertEquals(tooMany("a.hip", "x;\n".repeat(MOST_LINES)), []);
});
