/**
 * Finding and opening a shared library: in which places it is looked for, which permission is needed, and why it was
 * not opened.
 */
import { environmentVariable } from "../src/environment.ts";
import { reason } from "../src/errors.ts";
import { GpuLibraryError } from "./errors.ts";
import { option, type Text, words } from "../src/words.ts";

/** A place that was tried. */
export interface Attempt {
  readonly path: string;
  /** Why it was not opened; null for the one that was. */
  readonly problem: string | null;
}

/** An opened library and how it was found. */
export interface OpenedLibrary<S extends Deno.ForeignLibraryInterface> {
  readonly library: Deno.DynamicLibrary<S>;
  readonly path: string;
  readonly attempts: readonly Attempt[];
}

/** A library to look for. */
export interface LibraryRequest<S extends Deno.ForeignLibraryInterface> {
  /** What messages call it, for instance "libamdhip64 (HIP)". */
  readonly title: string;
  /** Names and absolute paths in the order in which they are tried. */
  readonly candidates: readonly string[];
  readonly symbols: S;
  /** What to install or pass where it is not found. */
  readonly advice: Text;
  /** What to say where a function is missing, for instance "ROCm 5.2 or newer". */
  readonly needs: string;
}

/**
 * Opens the first candidate that can be opened.
 *
 * Never prompts. All of FFI must be permitted and not one library's path only: Deno lets a program with less open the
 * library, but not take the address of its own buffers, without which nothing can be called.
 *
 * @throws {GpuLibraryError} with one line that says what was tried.
 */
export function openLibrary<S extends Deno.ForeignLibraryInterface>(request: LibraryRequest<S>): OpenedLibrary<S> {
  if (Deno.permissions.querySync({ name: "ffi" }).state !== "granted") {
    throw new GpuLibraryError(
      words`${request.title}: loading it is not permitted; run with ${option("allow-ffi")}`,
      "permission",
    );
  }
  const attempts: Attempt[] = [];
  for (const path of request.candidates) {
    if (isNoFile(path)) {
      attempts.push({ path, problem: "is no file" });
      continue;
    }
    try {
      const library = Deno.dlopen(path, request.symbols);
      keepLoaded(path);
      attempts.push({ path, problem: null });
      return { library, path, attempts };
    } catch (thrown) {
      const problem = loaderProblem(path, reason(thrown));
      const symbol = missingSymbol(problem);
      if (symbol !== null) {
        throw new GpuLibraryError(`${path}: has no function ${symbol}, expected ${request.needs}`, "symbol");
      }
      attempts.push({ path, problem });
    }
  }
  throw new GpuLibraryError(words`${request.title}: ${summary(attempts)}; ${request.advice}`, "missing");
}

/**
 * Whether a path leads to something that is no file, where that can be seen: from a pipe or a terminal the loader would
 * wait for what somebody writes. Never prompts.
 */
export function isNoFile(path: string): boolean {
  // A bare name is the loader's to find.
  if (!path.includes("/") || Deno.permissions.querySync({ name: "read", path }).state !== "granted") return false;
  try {
    return !Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

const LIBC = {
  // void *dlopen(const char *file, int mode)
  dlopen: { parameters: ["buffer", "i32"], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;
/** RTLD_NOW | RTLD_NODELETE of Linux. */
const NOW_AND_FOREVER = 0x1002;

/**
 * Keeps an opened library in the process after its handle is closed: GPU drivers have threads and exit handlers of
 * their own, which do not survive being unloaded.
 */
export function keepLoaded(path: string): void {
  if (Deno.build.os !== "linux") return;
  try {
    const libc = Deno.dlopen("libc.so.6", LIBC);
    libc.symbols.dlopen(new TextEncoder().encode(`${path}\0`), NOW_AND_FOREVER);
    libc.close();
  } catch {
    // A C library without dlopen, as before glibc 2.34: the handle is then closed at the end of the process at the
    // latest.
  }
}

const NOT_THERE = "is not there";

/** Files that are simply absent are listed together; what was found and failed is said in full. */
function summary(attempts: readonly Attempt[]): string {
  const absent = attempts.filter(({ problem }) => problem === NOT_THERE);
  const failed = attempts.filter((attempt) => !absent.includes(attempt)).map(describeAttempt);
  const looked = absent.length > 0 ? [`not found as ${absent.map(({ path }) => path).join(", ")}`] : [];
  return [...failed, ...looked].join("; ");
}

/** "PATH: problem" without repeating the path. */
function describeAttempt({ path, problem }: Attempt): string {
  if (problem === null) return `${path}: opened`;
  return problem.startsWith(path) ? problem : `${path}: ${problem}`;
}

/** Deno repeats its own prefix, and a name without a slash may come back as a path in the working directory. */
function loaderProblem(path: string, message: string): string {
  const problem = message.replaceAll("Could not open library: ", "");
  const file = /^(.*): cannot open shared object file: No such file or directory$/.exec(problem)?.[1];
  if (file === undefined) return problem;
  // The library may be there and one that it needs may not.
  return file.endsWith(path) ? NOT_THERE : `needs ${file}, which ${NOT_THERE}`;
}

function missingSymbol(problem: string): string | null {
  return /Failed to register symbol ([A-Za-z0-9_]+)/.exec(problem)?.[1] ?? null;
}

/** An environment variable, or undefined where it is unset or may not be read. Never prompts. */
export function environment(variable: string): string | undefined {
  if (Deno.permissions.querySync({ name: "env", variable }).state !== "granted") return undefined;
  return environmentVariable(variable) || undefined;
}
