import { DATA, dataFiles, ENTRY_POINTS, inRepository, ROOT } from "../../tools/package/files.ts";
import { assert, assertEquals } from "../assert.ts";

/** Every script of the repository that the entry points import, at once or later. */
async function sources(): Promise<{ path: string; text: string }[]> {
  const paths = new Set<string>();
  for (const entry of ENTRY_POINTS) {
    const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json", inRepository(entry)] })
      .output();
    const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as { modules: { specifier: string }[] };
    for (const { specifier } of modules) {
      if (specifier.startsWith(ROOT.href) && specifier.endsWith(".ts")) paths.add(specifier.slice(ROOT.href.length));
    }
  }
  return [...paths].sort().map((path) => ({ path, text: Deno.readTextFileSync(inRepository(path)) }));
}

const SOURCES = await sources();

/** Texts that scripts export, by name, as they are written. */
const CONSTANTS = new Map(
  SOURCES.flatMap(({ text }) => [...text.matchAll(/^(?:export )?const ([A-Z_]+) = ("[^"\n]*");$/gm)])
    .map(([, name, literal]) => [name!, literal!]),
);

Deno.test("every file that the program asks asset() or ownPath() for is embedded", () => {
  const asked = SOURCES.flatMap(({ path, text }) =>
    path === "src/cli/version.ts"
      ? []
      : [...text.matchAll(/\b(?:asset|ownPath)\(\s*(.*?)[,)]/g)].map(([, argument]) => ({ path, argument }))
  ).filter(({ path }) => !["src/assets.ts", "src/own_files.ts"].includes(path));
  assert(asked.length >= 5, `found ${asked.length} calls of asset(): this test no longer sees them`);
  for (const { path, argument } of asked) {
    const literal = /^"([^"]+?)\/?"$/.exec(CONSTANTS.get(argument!) ?? argument!)?.[1];
    assert(literal !== undefined, `${path}: asset(${argument}): expected a literal, or a constant that is one`);
    const embedded = [...ENTRY_POINTS, ...DATA];
    const covered = embedded.some((entry) =>
      entry === literal || entry.startsWith(`${literal}/`) || literal.startsWith(`${entry}/`)
    );
    assert(covered, `${path}: ${literal} is not in tools/package/files.ts`);
  }
});

Deno.test("no script finds files by its own place, which a bundle changes", () => {
  assert(SOURCES.some(({ path }) => path === "src/parallel/rank_worker.ts"));
  for (const { path, text } of SOURCES) {
    if (path === "src/assets.ts") continue;
    assert(
      !/import\.meta\.(url|dirname|filename|resolve)/.test(text),
      `${path}: expected asset() instead of import.meta`,
    );
  }
});

Deno.test("dataFiles() holds the whole checkpoint, the kernels and no training scripts", () => {
  const files = new Set(dataFiles());
  assertEquals([...files].filter((path) => /\.(py|rs|hip)$|README/.test(path)), []);
  for (const { name, isFile } of Deno.readDirSync(inRepository("models/tiny-gpt-oss"))) {
    const needed = isFile && !["README.md", "report.json"].includes(name);
    assertEquals(files.has(`models/tiny-gpt-oss/${name}`), needed, name);
  }
  const manifest = JSON.parse(Deno.readTextFileSync(inRepository("kernels/build/manifest.json"))) as {
    architectures: Record<string, { files: Record<string, string> }>;
  };
  for (const [arch, { files: objects }] of Object.entries(manifest.architectures)) {
    for (const name of Object.keys(objects)) assert(files.has(`kernels/build/${arch}/${name}`), `${arch}/${name}`);
  }
});
