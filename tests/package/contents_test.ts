import { contents } from "../../tools/package/contents.ts";
import { DENO_VERSION, npmPackage } from "../../tools/package/npm_package.ts";
import { inRepository } from "../../tools/package/files.ts";
import { wrap } from "../../tools/package/self_extracting.ts";
import { tar } from "../../tools/package/tar.ts";
import { assert, assertEquals, assertStringIncludes } from "../assert.ts";
import { SOAK } from "../soak.ts";

const files = await contents("0123");
const texts = new Map(files.map(({ path, bytes }) => [path, bytes]));
const text = (path: string) => new TextDecoder().decode(texts.get(path));

Deno.test("contents() gives the same bytes twice, and so does the binary around them", async () => {
  // Outside a soak the program is bundled once.
  if (SOAK) assertEquals(tar(await contents("0123")), tar(files));
  const small = files.filter(({ bytes }) => bytes.length < 20_000);
  assertEquals(await wrap(small), await wrap(small));
});

Deno.test("contents() holds scripts, data, the revision and the licences of packages", () => {
  for (const path of ["main.js", "src/backends/emulate/worker.js", "src/parallel/rank_worker.js"]) {
    assert(texts.has(path), path);
  }
  assertEquals(text("dist/revision.txt"), "0123\n");
  assert(texts.has("models/tiny-gpt-oss/model.safetensors"));
  for (const name of ["deno/", "zod/", "@huggingface/jinja/", "@huggingface/tokenizers/"]) {
    assertStringIncludes(text("THIRD_PARTY.txt"), `\n${name}`.slice(name === "deno/" ? 1 : 0));
  }
  assertStringIncludes(text("THIRD_PARTY.txt"), "Colin McDonnell");
});

Deno.test("contents() holds no path of the machine that it was made on", () => {
  const traces = [Deno.cwd(), Deno.env.get("HOME"), Deno.env.get("DENO_DIR")].filter((path) => path && path.length > 4);
  for (const path of texts.keys()) {
    if (!/\.(js|txt|json)$/.test(path)) continue;
    for (const trace of traces) assert(!text(path).includes(`${trace}/`), `${path} holds ${trace}`);
  }
});

Deno.test("npmPackage() holds the program, a script that starts it, and no tests; Deno is what CI runs with", () => {
  const entries = npmPackage(files), byPath = new Map(entries.map(({ path, bytes }) => [path, bytes]));
  const manifest = JSON.parse(new TextDecoder().decode(byPath.get("package.json")));
  assertEquals(manifest.bin, { mxoss: "bin.cjs" });
  assertEquals(manifest.dependencies, { deno: DENO_VERSION });
  assertStringIncludes(Deno.readTextFileSync(inRepository(".ci/run")), `deno@${DENO_VERSION}`);
  assertEquals(manifest.version, JSON.parse(Deno.readTextFileSync(inRepository("deno.json"))).version);
  for (const { path } of entries) {
    assert(path === "package.json" || manifest.files.includes(path.split("/")[0]), `${path} is packed`);
    assert(!/(?:^|\/)tests?\/|_test\.|\.(?:ts|py|rs|hip)$/.test(path), path);
  }
  for (const { path } of files) assert(byPath.has(path), path);
  const links = Deno.readTextFileSync(inRepository("README.md")).matchAll(/\]\(([\w./-]+)[)#]/g);
  for (const [, path] of links) assert(byPath.has(path!), `README.md links to ${path}`);
  assert(!new TextDecoder().decode(byPath.get("bin.cjs")).includes("@"), "every value is filled in");
});
