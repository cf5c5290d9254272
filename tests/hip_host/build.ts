/**
 * Builds the test library (our own libamdhip64) and kernels for the CPU, once per content of their sources. Tests that
 * need them are skipped where no C++ compiler is installed.
 */
import { BUILD_FOLDER, buildOnce, compileShared, ownCopy } from "../build_once.ts";

const HERE = new URL("./", import.meta.url);
const HEADERS = ["hip_host.h", "calls.h", "error_names.h"].map((file) => new URL(file, HERE));
/** What library.cpp includes. */
const PARTS = ["hip.cpp", "modules.cpp", "state.cpp", "collectives.cpp", "cuda.cpp", "processes.cpp"].map((file) =>
  new URL(file, HERE)
);

/** C++ compilers that will do, best first. */
const COMPILERS = ["clang++-22", "clang++", "g++"] as const;

let compiler: string | null | undefined;

/** The compiler that was found, or null. */
export function findCompiler(): string | null {
  compiler ??= COMPILERS.find((name) => {
    try {
      return new Deno.Command(name, { args: ["--version"], stdout: "null", stderr: "null" }).outputSync().success;
    } catch {
      return false;
    }
  }) ?? null;
  return compiler;
}

/** For `ignore` of tests: true, with a word on stderr once, where there is no compiler. */
export function withoutCompiler(): boolean {
  if (findCompiler() !== null) return false;
  if (!told) console.warn(`skipped: tests of the GPU backend need a C++ compiler (${COMPILERS.join(", ")})`);
  told = true;
  return true;
}
let told = false;

/**
 * Builds a shared library unless one of the same sources, flags and compiler is there.
 *
 * @returns The path of a copy for this test file alone: the test library keeps what it was told, and kernels run one
 *   launch at a time.
 */
export function buildShared(...library: Parameters<typeof built>): string {
  return ownCopy(built(...library));
}

/** The path of the library that all copies are made of. */
function built(name: string, sources: readonly URL[], inputs: readonly URL[], flags: readonly string[]): string {
  const found = findCompiler();
  if (found === null) throw new Error("no C++ compiler");
  const texts = [...sources, ...inputs].map((url) => Deno.readTextFileSync(url));
  const folder = `${BUILD_FOLDER}/${fingerprint([found, ...flags, ...texts].join("\0"))}`;
  return buildOnce(`${folder}/${name}`, (partial) => {
    compileShared(found, flags, sources.map((url) => [url.pathname]), partial);
  });
}

/**
 * Our libamdhip64, which is our librccl as well. With `rocm5` it lacks the entry points that came with ROCm 6.
 *
 * @returns The path of a copy for this test file alone, as of all that is built here.
 */
export function buildHipHost({ rocm5 = false } = {}): string {
  return ownCopy(library(rocm5));
}

/** Our libcuda, which is our libnccl too: the same library, loaded beside the other one. */
export function buildCudaHost(): string {
  return ownCopy(library(false), "libcuda.so.1");
}

/** The library with all names of both drivers. */
const library = (rocm5: boolean): string =>
  built(
    "libamdhip64.so",
    [new URL("library.cpp", HERE)],
    [...HEADERS, ...PARTS],
    ["-std=c++17", "-O1", ...(rocm5 ? ["-DHIP_HOST_ROCM_5"] : [])],
  );

/** A code object of the test library that holds the kernels of probe.cpp. */
export function buildProbe(): Uint8Array<ArrayBuffer> {
  const library = buildShared("libprobe.so", [new URL("probe.cpp", HERE)], [new URL("hip_host.h", HERE)], [
    "-std=c++17",
    "-O1",
  ]);
  return codeObject(library);
}

/** What the test library takes for a code object: the path of a shared library. */
export function codeObject(library: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`mxoss host kernels ${library}\n\0`);
}

/** 64-bit FNV-1a, in hexadecimal: names a cache entry, guards nothing. */
function fingerprint(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(16).padStart(16, "0");
}
