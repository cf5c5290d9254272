/** Files and names of code that pages mention: each is there, so that a page is found out when it says what was. */
import { assert, assertEquals } from "../assert.ts";

const ROOT = new URL("../../", import.meta.url);

/** Where files and names are looked for, generated ones apart. */
const FOLDERS = [
  "bench",
  "docs",
  "examples",
  "ffi",
  "kernels",
  "models",
  "src",
  "tests",
  "tools",
  "wasm",
  ".ci",
  ".github",
];
const LEFT_OUT = ["wasm/target/"];
/** The pages; CHANGELOG.md tells what was. */
const PAGES = ["./", "docs/", "docs/measurements/", "kernels/", "wasm/", "models/tiny-gpt-oss/"].flatMap((folder) =>
  [...Deno.readDirSync(new URL(folder, ROOT))].filter(({ name }) => name.endsWith(".md") && name !== "CHANGELOG.md")
    .map(({ name }) => `${folder === "./" ? "" : folder}${name}`)
);
const SOURCE = /\.(?:ts|js|mjs|rs|hip|h|inc|cpp|py|sh|json|jinja|yml|txt)$/;

/** Files of programs that are none of this one's, and of the worked examples of CONTRIBUTING.md. */
const OTHER_FILES: ReadonlySet<string> = new Set([
  ...["llama.cpp", "empty.ts", "mxoss-gpu/self-tests.json"],
  ...["wasm/src/multiply.rs", "kernels/multiply.hip"],
]);
/** Names of systems and other programs, and of the worked examples of CONTRIBUTING.md. */
const OTHER_NAMES: ReadonlySet<string> = new Set([
  ...["CLOCK_THREAD_CPUTIME_ID", "clock_gettime", "MADV_COLLAPSE", "LD_PRELOAD", "NODE_OPTIONS", "DENO_V8_FLAGS"],
  ...["ComputeCache", "DefaultWorker", "OPENAI_BASE_URL", "hosted_vllm", "is_chat_model", "model_info"],
  ...["is_function_calling_model", "supportsStructuredOutputs", "flashinfer_trtllm_afp8"],
  ...["combinedNorm", "mxfp6_e4m1"],
]);

function files(folder: string): string[] {
  return [...Deno.readDirSync(new URL(folder, ROOT))].flatMap(({ name, isDirectory, isSymlink }) => {
    const path = `${folder}${name}`;
    if (isSymlink || LEFT_OUT.includes(`${path}/`)) return [];
    return isDirectory ? files(`${path}/`) : [path];
  });
}

const FILES = [
  ...[...Deno.readDirSync(ROOT)].filter(({ isFile }) => isFile).map(({ name }) => name),
  ...FOLDERS.flatMap((folder) => files(`${folder}/`)),
];
const BASENAMES = new Set(FILES.map((path) => path.slice(path.lastIndexOf("/") + 1)));

/** Pieces in backquotes outside blocks of code. */
function quoted(page: string): string[] {
  const text = page.replaceAll(/^ *```[^]*?^ *```/gm, "");
  return Array.from(text.matchAll(/`([^`\n]+)`/g), ([, inside]) => inside!);
}

/** What looks like paths of the repository, or names of its files. */
function pathsIn(page: string): string[] {
  return quoted(page).flatMap((inside) => inside.split(/[\s"'();,]+/)).map((word) => word.replace(/[.:]+$/, ""))
    .filter((word) => {
      if (!/^[\w.*-]+(?:\/[\w.*-]+)*\/?$/.test(word) || /^\.+\//.test(word)) return false;
      if (!word.includes("/")) return /\.(?:ts|rs|hip|inc|cpp|py)$/.test(word) && !/^[.*]/.test(word);
      return FOLDERS.includes(word.slice(0, word.indexOf("/"))) || SOURCE.test(word);
    });
}

/** Whether a path is there: from the root, from the page's folder, or in the room of a page that is about it. */
function isThere(path: string, page: string): boolean {
  if (!path.includes("/") && !path.includes("*")) return BASENAMES.has(path);
  // Words in capitals stand for any name.
  const pattern = path.replaceAll(/[.]/g, "\\.").replaceAll(/\b[A-Z]{3,}(?=\b|_)|\*+/g, "[^/]*");
  const from = ["", page.slice(0, page.lastIndexOf("/") + 1), "src/", "kernels/"];
  const found = new RegExp(`^(?:${from.join("|")})${path.endsWith("/") ? pattern : `${pattern}(?:/.*)?$`}`);
  return FILES.some((file) => found.test(file));
}

/** Names of code: with a line or a hump in the middle, or all of an entry point's. */
function namesIn(page: string): string[] {
  // A filter may be a part of a name.
  return quoted(page).map((inside) => inside.replaceAll(/--filter \S+/g, "")).flatMap((inside) =>
    inside.match(/(?<![\w.])[A-Za-z]\w{3,}/g) ?? []
  )
    .filter((name) => /[a-z0-9]_[a-z0-9]|[A-Z]_[A-Z]|[a-z][A-Z]/.test(name) && !/NAME|_$|_x?N$/.test(name));
}

Deno.test("pages name files that exist", () => {
  const named = PAGES.flatMap((page) =>
    pathsIn(Deno.readTextFileSync(new URL(page, ROOT))).map((path) => ({ page, path }))
  );
  assert(named.length > 400, `only ${named.length} paths found`);
  const gone = named.filter(({ page, path }) => !isThere(path, page));
  assertEquals(gone.filter(({ path }) => !OTHER_FILES.has(path)), []);
  assertEquals(new Set(gone.map(({ path }) => path)), OTHER_FILES);
});

Deno.test("pages name functions, options, kernels and fields that exist", () => {
  const words = new Set([...BASENAMES].map((name) => name.replace(/\..*$/, "")));
  for (const path of FILES.filter((path) => path !== "tests/docs/names_test.ts")) {
    if (!SOURCE.test(path) && path !== ".ci/run" || /^kernels\/build\/|^tests\/goldens\/.*\.(?:json|txt)$/.test(path)) {
      continue;
    }
    for (const [word] of Deno.readTextFileSync(new URL(path, ROOT)).matchAll(/[A-Za-z_]\w*/g)) words.add(word);
  }
  const named = PAGES.flatMap((page) =>
    namesIn(Deno.readTextFileSync(new URL(page, ROOT))).map((name) => ({ page, name }))
  );
  assert(named.length > 500, `only ${named.length} names found`);
  const gone = named.filter(({ name }) => !words.has(name));
  assertEquals(gone.filter(({ name }) => !OTHER_NAMES.has(name)), []);
  assertEquals(new Set(gone.map(({ name }) => name)), OTHER_NAMES);
});

Deno.test("files and names that are gone would be found", () => {
  const page =
    "`src/plan/gone.ts` `plan/plan.ts` `gone.rs` `cli/*_options.ts` `src/NAME/open.ts`, `src/NAME/gone.ts`\n" +
    "`tests/none/`\n" +
    "```text\n`src/block.ts`\n```\n`deno run -A tools/gone.ts --of gone_kernel` `planModel()` `and/or`";
  const paths = pathsIn(page);
  assertEquals(paths.filter((path) => !isThere(path, "docs/a.md")), [
    ...["src/plan/gone.ts", "gone.rs", "src/NAME/gone.ts", "tests/none/", "tools/gone.ts"],
  ]);
  assertEquals(paths.length, 8);
  assertEquals(namesIn(page), ["gone_kernel", "planModel"]);
});
