/**
 * Builds llama.cpp's own benches for this machine's processor, from the source that the package llama-cpp-python ships,
 * and makes a model for them. What is there already is kept.
 */
import type { Shape } from "../../src/checkpoint/random/layouts.ts";

/** The package with the source of llama.cpp, and the SHA-256 of its archive. */
const PACKAGE = "llama-cpp-python", VERSION = "0.3.36";
const ARCHIVE_SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e";
/** What make_gguf.py imports. */
const LIBRARIES = ["numpy>=2,<3", "gguf==0.19.0"];
const TARGETS = ["llama-bench", "llama-batched-bench"];
const SWITCHES = [
  "-DCMAKE_BUILD_TYPE=Release",
  "-DGGML_NATIVE=ON",
  ...[
    "LLAMA_CURL",
    "LLAMA_OPENSSL",
    "LLAMA_BUILD_SERVER",
    "LLAMA_BUILD_TESTS",
    "LLAMA_BUILD_EXAMPLES",
    "LLAMA_BUILD_APP",
  ]
    .map((name) => `-D${name}=OFF`),
];

/** Something outside is missing, or failed. */
export class PeerError extends Error {}

/** Programs of the peer. */
export interface Peer {
  readonly bench: string;
  readonly batchedBench: string;
}

/** Runs a program, with its stderr here; gives its stdout. */
export async function output(command: string, args: readonly string[], cwd?: string): Promise<string> {
  const options: Deno.CommandOptions = { args: [...args], stdin: "null", stderr: "inherit" };
  let result: Deno.CommandOutput;
  try {
    result = await new Deno.Command(command, cwd === undefined ? options : { ...options, cwd }).output();
  } catch (thrown) {
    if (!(thrown instanceof Deno.errors.NotFound)) throw thrown;
    throw new PeerError(`${command}: not found; it is needed here`);
  }
  const stdout = new TextDecoder().decode(result.stdout);
  if (!result.success) throw new PeerError(`${command} ${args.join(" ")}: exit code ${result.code}\n${stdout}`);
  return stdout;
}

async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotFound) return false;
    throw thrown;
  }
}

/** Python with what is needed of the package registry, in a folder of its own. */
async function python(dir: string): Promise<string> {
  const own = `${dir}/venv/bin/python`;
  if (!await isThere(`${dir}/venv/ready`)) {
    await output("python3", ["-m", "venv", `${dir}/venv`]);
    await output(own, ["-m", "pip", "install", "--quiet", ...LIBRARIES]);
    await Deno.writeTextFile(`${dir}/venv/ready`, "");
  }
  return own;
}

/**
 * The peer's programs, built where they are not there: some ten minutes on two idle cores.
 *
 * @param dir Folder that holds everything.
 * @param say Told what takes long.
 */
export async function buildPeer(dir: string, say: (line: string) => void): Promise<Peer> {
  const bin = `${dir}/build/bin`;
  const peer = { bench: `${bin}/llama-bench`, batchedBench: `${bin}/llama-batched-bench` };
  if (await isThere(peer.bench) && await isThere(peer.batchedBench)) return peer;
  await Deno.mkdir(dir, { recursive: true });
  const archive = `${dir}/llama_cpp_python-${VERSION}.tar.gz`;
  if (!await isThere(archive)) {
    say(`fetching ${PACKAGE} ${VERSION}`);
    const source = ["--no-deps", "--no-binary", PACKAGE, `${PACKAGE}==${VERSION}`];
    await output(await python(dir), ["-m", "pip", "download", "--quiet", ...source, "--dest", dir]);
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await Deno.readFile(archive))).toHex();
  if (digest !== ARCHIVE_SHA256) throw new PeerError(`${archive}: expected SHA-256 ${ARCHIVE_SHA256}, got ${digest}`);
  await output("tar", ["xzf", archive, "--strip-components", "2", "--wildcards", "*/vendor/llama.cpp"], dir);
  say("building llama.cpp, one file at a time and with low priority");
  await output("cmake", ["-S", `${dir}/llama.cpp`, "-B", `${dir}/build`, ...SWITCHES]);
  await output("nice", ["cmake", "--build", `${dir}/build`, "-j", "1", "--target", ...TARGETS]);
  return peer;
}

/** The file of a model of that shape, made where it is not there. */
export async function makeModel(dir: string, shape: Shape, say: (line: string) => void): Promise<string> {
  const sizes: Record<string, number> = {
    layers: shape.layers,
    hidden: shape.hidden,
    intermediate: shape.intermediate,
    experts: shape.experts,
    "top-k": shape.topK,
    heads: shape.heads,
    "kv-heads": shape.kvHeads,
    "head-dim": shape.headDim,
    vocab: shape.vocab,
    window: shape.window,
  };
  const path = `${dir}/random-${Object.values(sizes).join("-")}.gguf`;
  if (await isThere(path)) return path;
  say(`writing ${path}`);
  await Deno.mkdir(dir, { recursive: true });
  const script = new URL("make_gguf.py", import.meta.url).pathname;
  const args = Object.entries(sizes).flatMap(([name, size]) => [`--${name}`, `${size}`]);
  await output(await python(dir), [script, `${path}.partial`, ...args]);
  await Deno.rename(`${path}.partial`, path);
  return path;
}
