/**
 * Builds `wasm/` with wasm-pack into `wasm/pkg/`, byte for byte the same from any directory.
 *
 *     deno task wasm:build     writes wasm/pkg
 *     deno task wasm:check     builds, and exits with 1 if wasm/pkg holds anything else
 *
 * wasm-pack's last step, wasm-bindgen, would turn a module that already has a shared memory into one whose start
 * function allocates a stack and thread-local storage inside the memory, with an allocator that this module does not
 * have: here TypeScript owns every byte of the memory, and gives every instance its stack. So the crate is linked with
 * an ordinary imported memory, and {@linkcode importSharedMemory} writes the import that the module really has into
 * wasm-pack's output. That is sound because the module has no data segment (checked), hence no initialization that two
 * instances could repeat, and no mutable statics.
 *
 * The JavaScript glue of wasm-pack is not kept: the kernels are plain exports over addresses, instantiated directly. No
 * wasm-opt: it gained nothing, and the one that Debian packages cannot read relaxed SIMD.
 */

const CRATE = new URL("../wasm/", import.meta.url);
const PACKAGE = new URL("pkg/", CRATE);
const WASM = "mxoss_kernels_bg.wasm";
/** All of a 32-bit address space. */
const MAX_PAGES = 65536;

/** A command the build needs, and what brings it. */
interface Tool {
  readonly command: string;
  readonly install: string;
}

function tools(bindgenVersion: string): Tool[] {
  return [
    { command: "rustc", install: "apt-get install rustc-web" },
    { command: "cargo", install: "apt-get install cargo-web" },
    { command: "wasm-ld-22", install: "apt-get install lld-22" },
    { command: "wasm-pack", install: "cargo install wasm-pack" },
    { command: "wasm-bindgen", install: `cargo install wasm-bindgen-cli --version ${bindgenVersion}` },
  ];
}

class BuildError extends Error {}

/** What the tools see: Debian's compiler before a rustup shim, nobody's own flags, and leave to build core. */
function environment(): Record<string, string> {
  const { RUSTFLAGS: _, CARGO_ENCODED_RUSTFLAGS: __, CARGO_BUILD_TARGET: ___, ...kept } = Deno.env.toObject();
  return { ...kept, PATH: `/usr/bin:${kept["PATH"] ?? ""}`, RUSTC_BOOTSTRAP: "1" };
}

/** Standard output of a command; undefined if there is no such command. */
function output(command: string, ...args: string[]): string | undefined {
  try {
    const options = { args, env: environment(), clearEnv: true, stderr: "null" } as const;
    return new TextDecoder().decode(new Deno.Command(command, options).outputSync().stdout).trim();
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotFound) return undefined;
    throw thrown;
  }
}

function requireTools(): void {
  const lock = Deno.readTextFileSync(new URL("Cargo.lock", CRATE));
  const locked = /name = "wasm-bindgen"\nversion = "([^"]+)"/.exec(lock)?.[1];
  if (locked === undefined) throw new BuildError("wasm/Cargo.lock: no wasm-bindgen entry, which wasm-pack needs");
  for (const { command, install } of tools(locked)) {
    if (output(command, "--version") === undefined) throw new BuildError(`${command} is not installed: ${install}`);
  }
  const bindgen = output("wasm-bindgen", "--version")?.split(" ")[1];
  if (bindgen !== locked) {
    throw new BuildError(
      `wasm-bindgen is ${bindgen}, wasm/Cargo.lock has ${locked}: cargo install wasm-bindgen-cli --version ${locked}`,
    );
  }
  const core = `${output("rustc", "--print", "sysroot")}/lib/rustlib/src/rust/library/core/src/lib.rs`;
  try {
    Deno.statSync(core);
  } catch {
    throw new BuildError(`the source of Rust's core (${core}) is not installed: apt-get install rust-web-src`);
  }
}

/** Runs wasm-pack and returns its module. */
function runWasmPack(quiet: boolean): Uint8Array {
  const directory = Deno.makeTempDirSync({ prefix: "mxoss-wasm-" });
  try {
    const flags = ["--mode", "force", "--no-opt", "--no-pack", "--no-typescript", "--no-gitignore", "--target", "web"];
    const args = [...(quiet ? ["--quiet"] : []), "build", ".", ...flags, "--out-dir", directory, "--", "--locked"];
    const result = new Deno.Command("wasm-pack", {
      args,
      cwd: CRATE,
      env: environment(),
      clearEnv: true,
      stdout: "null",
      stderr: quiet ? "piped" : "inherit",
    }).outputSync();
    if (!result.success) {
      throw new BuildError(`wasm-pack failed${quiet ? `:\n${new TextDecoder().decode(result.stderr)}` : ""}`);
    }
    return Deno.readFileSync(`${directory}/${WASM}`);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

/** Unsigned LEB128. */
function leb(value: number): number[] {
  const bytes = [];
  for (; value >= 128; value >>>= 7) bytes.push(value & 127 | 128);
  return [...bytes, value];
}

/**
 * Replaces the import section of a module, which must import one memory and nothing else, by `env.memory`: shared, at
 * least the pages that the module asked for, at most 65536 pages (4 GiB). Everything else stays as it is.
 *
 * @throws {Error} if the module imports anything else, or has a data segment or a start function.
 */
export function importSharedMemory(module: Uint8Array): Uint8Array<ArrayBuffer> {
  let at = 8;
  const read = () => {
    for (let value = 0, shift = 0;; shift += 7) {
      const byte = module[at++]!;
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  };
  const parts: (Uint8Array | number[])[] = [module.subarray(0, at)];
  const IMPORT = 2, START = 8, DATA = 11;
  while (at < module.length) {
    const from = at;
    const id = module[at++]!;
    const end = read() + at;
    if (id === START) throw new BuildError("the module has a start function, which every thread would run");
    if (id === DATA) throw new BuildError("the module has a data segment, which every thread would write again");
    if (id === IMPORT) {
      const count = read();
      for (let name = 0; name < 2; name++) {
        const length = read();
        at += length;
      }
      const kind = module[at++]!, limits = module[at++]!, minimum = read();
      if (count !== 1 || kind !== 2 || limits > 1) {
        throw new BuildError("the module imports more than one 32-bit memory");
      }
      const text = (s: string) => [...leb(s.length), ...new TextEncoder().encode(s)];
      const body = [1, ...text("env"), ...text("memory"), 2, 3, ...leb(minimum), ...leb(MAX_PAGES)];
      parts.push([IMPORT, ...leb(body.length), ...body]);
    } else {
      parts.push(module.subarray(from, end));
    }
    at = end;
  }
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

function read(url: URL): Uint8Array | undefined {
  try {
    return Deno.readFileSync(url);
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotFound) return undefined;
    throw thrown;
  }
}

function main(args: readonly string[]): void {
  const check = args.length === 1 && args[0] === "--check";
  if (!check && args.length > 0) throw new BuildError(`unknown arguments ${args.join(" ")}: expected none or --check`);
  requireTools();
  const built = importSharedMemory(runWasmPack(check));
  const target = new URL(WASM, PACKAGE);
  if (!check) {
    Deno.mkdirSync(PACKAGE, { recursive: true });
    Deno.writeFileSync(target, built);
    console.error(`wasm/pkg/${WASM}: ${built.length} bytes`);
    return;
  }
  const committed = read(target);
  if (committed?.length !== built.length || committed.some((byte, i) => byte !== built[i])) {
    throw new BuildError(
      `wasm/pkg/${WASM} is not what the crate builds with ${output("rustc", "--version")} ` +
        `(${committed?.length ?? "no"} bytes, built ${built.length}): deno task wasm:build`,
    );
  }
  console.error(`wasm/pkg/${WASM} is what the crate builds`);
}

if (import.meta.main) {
  try {
    main(Deno.args);
  } catch (thrown) {
    if (!(thrown instanceof BuildError)) throw thrown;
    console.error(`wasm_build: ${thrown.message}`);
    Deno.exit(1);
  }
}
