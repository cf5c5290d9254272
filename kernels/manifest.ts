/** What `kernels/build/manifest.json` says about the committed code objects. */

/** Launch traits of an entry point (see kernels/ABI.md). */
export interface LaunchTraits {
  /** Threads of a block. */
  readonly threads: number;
  /** Output rows of one block, where the grid's x counts row tiles; else 0. */
  readonly rowsPerBlock: number;
  /** Tokens of one block, where the grid's y counts token tiles. */
  readonly tokensPerBlock: number;
  /** Dynamic LDS bytes: `ldsFixed + ldsPerColumn * roundUp(cols, 32)`. */
  readonly ldsPerColumn: number;
  readonly ldsFixed: number;
}

/** Registers and memory that the compiler gave a kernel of an AMD architecture. */
export interface Resources {
  readonly vgprs: number;
  readonly agprs: number;
  readonly sgprs: number;
  /** Static LDS, bytes a block. */
  readonly lds: number;
  /** Scratch memory, bytes a lane. */
  readonly scratch: number;
  readonly spills: number;
}

/** One kernel. */
export interface ManifestEntry extends LaunchTraits {
  /** File in the architecture's folder. */
  readonly file: string;
  /** Absent for PTX: the driver's compiler decides. */
  readonly resources?: Resources;
}

/** The committed code objects of one architecture. */
export interface ManifestArchitecture {
  /** SHA-256 of every file, hexadecimal. */
  readonly files: Readonly<Record<string, string>>;
  readonly entries: Readonly<Record<string, ManifestEntry>>;
}

/** All of manifest.json. */
export interface Manifest {
  /** SHA-256 over the names and contents of all kernel sources. */
  readonly sourceHash: string;
  /** First line of `clang-22 --version`. */
  readonly compiler: string;
  readonly architectures: Readonly<Record<string, ManifestArchitecture>>;
}

/** Bytes as lower-case hexadecimal. */
function hex(bytes: ArrayBuffer): string {
  return Array.from(new Uint8Array(bytes), (b) => b.toString(16).padStart(2, "0")).join("");
}

/** SHA-256 of bytes, hexadecimal. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return hex(await crypto.subtle.digest("SHA-256", bytes));
}

/** Hash of all kernel sources (`*.hip` and `common/*.h`) below `directory`, in order of name. */
export async function sourceHash(directory: URL): Promise<string> {
  const names: string[] = [];
  for (const folder of ["", "common/"]) {
    for await (const entry of Deno.readDir(new URL(folder || ".", directory))) {
      if (entry.isFile && /\.(hip|h)$/.test(entry.name) && entry.name !== "host.h") names.push(folder + entry.name);
    }
  }
  let text = "";
  for (const name of names.sort()) text += `${name}\n${await Deno.readTextFile(new URL(name, directory))}\n`;
  return await sha256(new TextEncoder().encode(text));
}
