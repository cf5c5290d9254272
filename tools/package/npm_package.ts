/** The package for npm: the bundled program, with Deno as a dependency and a script that starts it. */
import { VERSION } from "../../src/cli/version.ts";
import { filesBelow, inRepository } from "./files.ts";
import { NET_PERMISSION, PERMISSIONS, SEALED, WRITE_PERMISSION } from "./launch.ts";
import type { TarEntry } from "./tar.ts";

/** The version of Deno that the package brings: that which the tests run with. */
export const DENO_VERSION = "2.9.6";

/** Oldest Node.js that npm may install it with. */
const NODE_VERSIONS = ">=18";

/** The script that npm links as `mxoss`. */
const BIN = "bin.cjs";

/** README.md, which npm's page shows, and what it links to. */
const PAGES = ["CHANGELOG.md", "CONTRIBUTING.md", "README.md", "SECURITY.md", "docs", "models/tiny-gpt-oss/README.md"];

/**
 * All files of the package; `npm pack` makes one of them.
 *
 * @param program What the standalone binaries hold, too: see `contents`.
 */
export function npmPackage(program: readonly TarEntry[]): TarEntry[] {
  const files = [
    ...program,
    { path: BIN, bytes: new TextEncoder().encode(launcher()), executable: true },
    ...PAGES.flatMap(filesBelow).map((path) => ({ path, bytes: Deno.readFileSync(inRepository(path)) })),
  ];
  const manifest = new TextEncoder().encode(`${JSON.stringify(manifestOf(files), null, 2)}\n`);
  return [{ path: "package.json", bytes: manifest }, ...files];
}

/** What package.json says. */
function manifestOf(files: readonly TarEntry[]) {
  return {
    name: "mxoss",
    version: VERSION,
    description: "Runs GPT-OSS models under OCP-MX quantization schemes, on any CPU",
    keywords: ["gpt-oss", "quantization", "mxfp4", "ocp-mx", "llm"],
    license: "Apache-2.0",
    // The scripts are modules, and Deno asks for this.
    type: "module",
    bin: { mxoss: BIN },
    files: [...new Set(files.map(({ path }) => path.split("/")[0]!))].sort(),
    engines: { node: NODE_VERSIONS },
    dependencies: { deno: DENO_VERSION },
  };
}

/** The script that starts the program, with its permissions. */
function launcher(): string {
  const values: Readonly<Record<string, string>> = {
    FLAGS: [...SEALED, ...PERMISSIONS].join(" "),
    WRITE_PERMISSION,
    NET_PERMISSION,
  };
  const template = Deno.readTextFileSync(new URL("npm_bin.cjs", import.meta.url));
  return template.replace(/@([A-Z_]+)@/g, (_, name: string) => values[name]!);
}
