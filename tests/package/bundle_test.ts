import { stableNames } from "../../tools/package/bundle.ts";
import { assertEquals, assertNotEquals } from "../assert.ts";

/**
 * What esbuild writes for a program of two entry points that share a module, on a machine that puts some text into
 * hashes and paths.
 */
function bundleOn(
  { hash, cache, order }: { hash: string; cache: string; order: readonly number[] },
): Map<string, string> {
  const scripts: [string, string][] = [
    ["main.js", `import { a } from "./chunk-${hash}A.js";\nconst b = await import("./lazy-${hash}C.js");\n`],
    ["src/worker.js", `import { a } from "../chunk-${hash}A.js";\n`],
    [
      `chunk-${hash}A.js`,
      `// ${cache}/npm/registry.example/zod/4.6.7/index.js\nvar a = cjs({ ` +
      `"${cache}/npm/registry.example/zod/4.6.7/index.js"() {} });\nimport "./chunk-${hash}B.js";\n`,
    ],
    [`chunk-${hash}B.js`, "// src/b.ts\n"],
    [`lazy-${hash}C.js`, `import "./chunk-${hash}B.js";\nconst text = "not-ABCDEFGH.json, see //x/npm/y";\n`],
  ];
  return new Map(order.map((i) => scripts[i]!));
}

Deno.test("stableNames() gives the same scripts wherever esbuild ran", () => {
  const here = bundleOn({ hash: "AAAAAAA", cache: "../../home/me/.cache/deno", order: [0, 1, 2, 3, 4] });
  const there = bundleOn({ hash: "ZZ123XY", cache: "../cache", order: [4, 3, 2, 1, 0] });
  assertNotEquals(here.get("main.js"), there.get("main.js"));
  assertEquals([...stableNames(here)], [...stableNames(there)]);
});

Deno.test("stableNames() renames chunks where they are imported, and drops the machine's paths", () => {
  const scripts = bundleOn({ hash: "AAAAAAA", cache: "../../home/me/.cache/deno", order: [0, 1, 2, 3, 4] });
  assertEquals(Object.fromEntries(stableNames(scripts)), {
    "main.js": 'import { a } from "./chunk-1.js";\nconst b = await import("./lazy-2.js");\n',
    "src/worker.js": 'import { a } from "../chunk-1.js";\n',
    "chunk-0.js": "// src/b.ts\n",
    "chunk-1.js": '// zod/4.6.7/index.js\nvar a = cjs({ "zod/4.6.7/index.js"() {} });\nimport "./chunk-0.js";\n',
    "lazy-2.js": 'import "./chunk-0.js";\nconst text = "not-ABCDEFGH.json, see //x/npm/y";\n',
  });
});
