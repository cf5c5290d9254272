/**
 * Compiles the GPU kernels to `kernels/build/<arch>/` and writes `kernels/build/manifest.json`.
 *
 *     deno task kernels:build            all architectures
 *     deno task kernels:check            into a temporary folder, compared byte for byte with what is committed
 *     deno task kernels:build gfx942     only that one (the manifest keeps the others)
 *     deno task kernels:build --only add,embed    only these objects, of every architecture that has them; for sources
 *                                        that no other object includes
 *
 * Needs clang-22 and lld-22 (Debian packages of these names); no ROCm, no CUDA.
 */
import { FailureError, InputError, reason } from "../src/errors.ts";
import {
  type Manifest,
  type ManifestArchitecture,
  type ManifestEntry,
  type Resources,
  sha256,
  sourceHash,
} from "./manifest.ts";
import { type Architecture, ARCHITECTURES, compileArguments, extensionOf, type Unit, unitsOf } from "./sources.ts";

const CLANG = "clang-22";
const KERNELS = new URL("./", import.meta.url);
const BUILD = new URL("build/", KERNELS);

interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs clang in kernels/. */
async function clang(args: string[], what: string): Promise<Output> {
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(CLANG, { args, cwd: KERNELS, stdin: "null" }).output();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new FailureError(
        `${CLANG} was not found; install the Debian packages clang-22 and lld-22 (12 MB without their libraries)`,
      );
    }
    throw error;
  }
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (!output.success) throw new FailureError(`${CLANG} failed on ${what}:\n${text(output.stderr)}`);
  return { stdout: text(output.stdout), stderr: text(output.stderr) };
}

/** Value of a product of numbers, such as "8 * 2". */
function product(text: string): number {
  const value = text.split("*").reduce((all, factor) => all * Number(factor.trim()), 1);
  if (!Number.isFinite(value)) throw new FailureError(`launch trait "${text}": expected a product of numbers`);
  return value;
}

/** Entry points of a preprocessed source, from its MX_TRAITS. */
function traitsOf(preprocessed: string, file: string): Record<string, ManifestEntry> {
  const entries: Record<string, ManifestEntry> = {};
  for (const [, text] of preprocessed.matchAll(/"mx-traits "\s*"([^"]+)"/g)) {
    const [name, threads, rows, tokens, perColumn, fixed] = text!.split(",").map((part) => part.trim());
    entries[name!] = {
      file,
      threads: product(threads!),
      rowsPerBlock: product(rows!),
      tokensPerBlock: product(tokens!),
      ldsPerColumn: product(perColumn!),
      ldsFixed: product(fixed!),
    };
  }
  return entries;
}

/** Resources by entry point, from clang's remarks. */
function resourcesOf(remarks: string): Record<string, Resources> {
  const all: Record<string, Resources> = {};
  for (const part of remarks.split("remark: Function Name: ").slice(1)) {
    const number = (label: string) => Number(part.match(new RegExp(`remark: +${label}: (\\d+)`))?.[1] ?? NaN);
    all[part.match(/^\S+/)![0]] = {
      vgprs: number("VGPRs"),
      // RDNA has none.
      agprs: number("AGPRs") || 0,
      sgprs: number("TotalSGPRs"),
      lds: number("LDS Size \\[bytes/block\\]"),
      scratch: number("ScratchSize \\[bytes/lane\\]"),
      spills: number("SGPRs Spill") + number("VGPRs Spill"),
    };
  }
  return all;
}

/** Compiles one object; returns its entry points. */
async function compile(
  arch: Architecture,
  unit: Unit,
  folder: URL,
): Promise<{ file: string; hash: string; entries: Record<string, ManifestEntry> }> {
  const file = `${unit.name}.${extensionOf(arch)}`;
  const target = new URL(file, folder);
  const args = compileArguments(arch, unit, decodeURIComponent(target.pathname));
  const what = `${unit.source} for ${arch}`;
  const { stderr } = await clang(args, what);
  const preprocess = args.filter((arg) => arg !== "-S" && !arg.startsWith("-Rpass")).slice(0, -2);
  const { stdout } = await clang([...preprocess, "-Wno-unused-command-line-argument", "-E", "-o", "-"], what);
  const entries = traitsOf(stdout, file);
  if (Object.keys(entries).length === 0) throw new FailureError(`${unit.source}: no MX_TRAITS`);
  if (extensionOf(arch) === "co") {
    const resources = resourcesOf(stderr);
    for (const name of Object.keys(entries)) {
      const own = resources[name];
      if (own === undefined) throw new FailureError(`${what}: MX_TRAITS names ${name}, but there is no such kernel`);
      // Kernels must not touch scratch memory: spills are slow, and the ISA emulator has none.
      if (own.scratch > 0 || own.spills > 0) {
        throw new FailureError(`${what}: ${name} spills (${own.scratch} bytes of scratch, ${own.spills} registers)`);
      }
      entries[name] = { ...entries[name]!, resources: own };
    }
  }
  return { file, hash: await sha256(await Deno.readFile(target)), entries };
}

/**
 * Compiles the objects of an architecture into `folder`, two at a time.
 *
 * @param only Names of the objects to compile; null: all.
 */
async function compileAll(
  arch: Architecture,
  folder: URL,
  only: readonly string[] | null,
): Promise<ManifestArchitecture> {
  await Deno.mkdir(folder, { recursive: true });
  const queue = unitsOf(arch).filter(({ name }) => only?.includes(name) ?? true);
  const results: Awaited<ReturnType<typeof compile>>[] = [];
  const worker = async () => {
    for (let unit = queue.shift(); unit !== undefined; unit = queue.shift()) {
      results.push(await compile(arch, unit, folder));
    }
  };
  await Promise.all([worker(), worker()]);
  results.sort((a, b) => a.file < b.file ? -1 : 1);
  const entries = Object.assign({}, ...results.map((r) => r.entries)) as Record<string, ManifestEntry>;
  return { files: Object.fromEntries(results.map((r) => [r.file, r.hash])), entries: sorted(entries) };
}

/** In order of name. */
function sorted<T>(record: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => a < b ? -1 : 1));
}

/** What was committed, with the objects that were compiled anew. */
function joined(old: ManifestArchitecture | undefined, fresh: ManifestArchitecture): ManifestArchitecture {
  return { files: sorted({ ...old?.files, ...fresh.files }), entries: sorted({ ...old?.entries, ...fresh.entries }) };
}

async function readManifest(): Promise<Manifest | null> {
  try {
    return JSON.parse(await Deno.readTextFile(new URL("manifest.json", BUILD))) as Manifest;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** One line per difference between the committed objects and a fresh build. */
function differences(committed: Manifest | null, fresh: Manifest): string[] {
  if (committed === null) return ["manifest.json is missing"];
  const lines: string[] = [];
  if (committed.sourceHash !== fresh.sourceHash) lines.push("manifest.json was written for other sources");
  for (const [arch, { files, entries }] of Object.entries(fresh.architectures)) {
    const old = committed.architectures[arch];
    for (const name of new Set([...Object.keys(files), ...Object.keys(old?.files ?? {})])) {
      if (old?.files[name] !== files[name]) lines.push(`${arch}/${name} differs`);
    }
    if (JSON.stringify(old?.entries) !== JSON.stringify(entries)) lines.push(`${arch}: the manifest's entries differ`);
  }
  return lines;
}

async function main(args: string[]): Promise<void> {
  const check = args.includes("--check"), at = args.indexOf("--only");
  const only = at < 0 ? null : (args[at + 1] ?? "").split(",");
  const wanted = args.filter((arg, i) => arg !== "--check" && (at < 0 || i !== at && i !== at + 1));
  for (const arch of wanted) {
    if (!(ARCHITECTURES as readonly string[]).includes(arch)) {
      throw new InputError(`architecture ${arch}: expected one of ${ARCHITECTURES.join(", ")}`);
    }
  }
  const archs = wanted.length > 0 ? wanted as Architecture[] : ARCHITECTURES;
  const compiler = (await clang(["--version"], "--version")).stdout.split("\n")[0]!;
  const target = check ? new URL(`file://${await Deno.makeTempDir({ prefix: "mxoss-kernels-" })}/`) : BUILD;
  try {
    const built: Record<string, ManifestArchitecture> = {}, committed = await readManifest();
    for (const arch of archs) {
      if (!check && only === null) await Deno.remove(new URL(arch, target), { recursive: true }).catch(() => {});
      const fresh = await compileAll(arch, new URL(`${arch}/`, target), only);
      built[arch] = only === null ? fresh : joined(committed?.architectures[arch], fresh);
      console.error(
        `${arch}: ${Object.keys(fresh.files).length} objects, ${Object.keys(fresh.entries).length} kernels`,
      );
    }
    const fresh: Manifest = { sourceHash: await sourceHash(KERNELS), compiler, architectures: built };
    if (check) {
      const lines = differences(committed, fresh);
      if (lines.length > 0) {
        const hint = committed !== null && committed.compiler !== compiler
          ? ` (built by ${committed.compiler}; this is ${compiler})`
          : "";
        throw new FailureError(`kernels/build is not what the sources give${hint}:\n${lines.join("\n")}`);
      }
      console.error("kernels/build is what the sources give");
    } else {
      const architectures = { ...committed?.architectures, ...built };
      const inOrder = Object.fromEntries(
        ARCHITECTURES.filter((a) => a in architectures).map((a) => [a, architectures[a]!]),
      );
      await Deno.writeTextFile(
        new URL("manifest.json", BUILD),
        JSON.stringify({ ...fresh, architectures: inOrder }, null, 1) + "\n",
      );
    }
  } finally {
    if (check) await Deno.remove(target, { recursive: true });
  }
}

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    if (!(error instanceof FailureError || error instanceof InputError)) throw error;
    console.error(`kernels: ${error instanceof FailureError ? error.message.trimEnd() : reason(error)}`);
    Deno.exit(error.exitCode);
  }
}
