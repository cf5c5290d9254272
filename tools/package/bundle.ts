/** Turns the program's scripts into JavaScript with everything that they import, the same bytes on every machine. */
import { ENTRY_POINTS, inRepository, ROOT } from "./files.ts";
import type { TarEntry } from "./tar.ts";

/** The name that esbuild gives to a shared chunk; its hash depends on paths of the machine. */
const CHUNK = /[\w.]+-([0-9A-Z]{8})\.js/g;
/** The comment above each module of a package: the way to Deno's cache, the registry, then name, version and file. */
const PACKAGE_COMMENT = /^\/\/ (\S*\/npm\/[^/\s]+\/)((?:@[^/\s]+\/)?[^@/\s]+\/[^/\s]+)(\/\S+)$/gm;

/** How they are bundled. What only a program uses that is fetched by https has syntax that esbuild does not know. */
const BUNDLE = ["bundle", "--quiet", "--platform=deno", "--code-splitting", "--external", "*/wasm_module.js"];

/** Where the licences of the packages in a bundle are gathered. */
const LICENSES = "THIRD_PARTY.txt";

/**
 * Bundles the entry points: each becomes a script at its path with `.js` for `.ts`, and what they share becomes chunks
 * beside the first. Imports that the program does lazily stay lazy. A text file holds the licences of the packages,
 * whose authors ask for that.
 *
 * @throws {Error} if Deno cannot bundle them.
 */
export async function bundle(): Promise<TarEntry[]> {
  const dir = await Deno.makeTempDir({ prefix: "mxoss-bundle-" });
  try {
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [...BUNDLE, `--outdir=${dir}`, ...ENTRY_POINTS],
      cwd: ROOT,
      env: { NO_COLOR: "1" },
      stdout: "null",
    }).output();
    if (!success) throw new Error(`deno bundle failed: ${new TextDecoder().decode(stderr).trim()}`);
    const scripts = new Map(scriptsBelow(dir, "").map((path) => [path, Deno.readTextFileSync(`${dir}/${path}`)]));
    const texts = [...stableNames(scripts), [LICENSES, licenses(scripts.values())] as const];
    const encoder = new TextEncoder();
    return texts.map(([path, text]) => ({ path, bytes: encoder.encode(text) }));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/**
 * The same scripts without traces of the machine: packages are named by name and version in comments, and chunks by
 * their place in an order that depends on their contents only.
 *
 * @param scripts JavaScript by path.
 */
export function stableNames(scripts: ReadonlyMap<string, string>): Map<string, string> {
  const caches = new Set(
    [...scripts.values()].flatMap((text) => [...text.matchAll(PACKAGE_COMMENT)].map((match) => match[1]!)),
  );
  const withoutCaches = (text: string) => [...caches].reduce((text, cache) => text.replaceAll(cache, ""), text);
  const texts = [...scripts].map(([path, text]) => [path, withoutCaches(text)] as const);
  const anonymous = (text: string) => text.replace(CHUNK, "chunk.js");
  const chunks = texts.filter(([path]) => anonymous(path) === "chunk.js").map(([path, text]) => {
    const stem = path.replace(/-[0-9A-Z]{8}\.js$/, "");
    return { path, stem, key: `${stem}\n${anonymous(text)}` };
  });
  chunks.sort((a, b) => a.key < b.key ? -1 : a.key > b.key ? 1 : 0);
  const names = new Map(chunks.map(({ path, stem }, i) => [path, `${stem}-${i}.js`]));
  const rename = (text: string) => text.replace(CHUNK, (name) => names.get(name) ?? name);
  return new Map(texts.map(([path, text]): [string, string] => [rename(path), rename(text)]).sort());
}

function scriptsBelow(dir: string, path: string): string[] {
  return [...Deno.readDirSync(`${dir}/${path}`)].flatMap(({ name, isDirectory }) =>
    isDirectory ? scriptsBelow(dir, `${path}${name}/`) : [`${path}${name}`]
  );
}

/** The licences of all packages that the scripts were made from, and Deno's. */
function licenses(scripts: Iterable<string>): string {
  const packages = new Map<string, string>();
  for (const script of scripts) {
    for (const [, cache, name] of script.matchAll(PACKAGE_COMMENT)) {
      packages.set(name!, inRepository(`${cache}${name}`));
    }
  }
  const sections = [...packages].sort().map(([name, dir]) => `${name}\n\n${licenseIn(dir)}`);
  return [`deno/${Deno.version.deno}\n\n${DENO_LICENSE}`, ...sections].join(`\n${"-".repeat(80)}\n\n`);
}

const DENO_LICENSE = "MIT License\n\nCopyright 2018-2026 the Deno authors\n";

/** A package's own text, or what its package.json says. */
function licenseIn(dir: string): string {
  const file = [...Deno.readDirSync(dir)].map(({ name }) => name).sort().find((name) => /^licen[sc]e/i.test(name));
  if (file !== undefined) return Deno.readTextFileSync(`${dir}/${file}`);
  const { license, author } = JSON.parse(Deno.readTextFileSync(`${dir}/package.json`)) as Record<string, unknown>;
  return `${license ?? "license not stated"}, ${
    typeof author === "string" ? author : JSON.stringify(author ?? null)
  }\n`;
}

/** Where the bundle has an entry point; `asset()` knows that, too. */
export function bundled(entryPoint: string): string {
  return entryPoint.replace(/\.ts$/, ".js");
}
