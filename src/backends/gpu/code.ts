/**
 * Which compiled files run on a device that has none of its own, and what is done to them: the one list of that.
 *
 * Nothing is compiled here. NVIDIA's driver compiles PTX for any GPU that is no older than the PTX; and an AMD
 * architecture whose instructions are another's wants nothing but its own name on them.
 */

/** Which architectures there are files for. */
export interface Architectures {
  readonly architectures: readonly string[];
  /** Undefined where there are none. */
  architecture(arch: string): unknown;
}

/** How files come to run on a device. */
export type CodeKind =
  /** Compiled for this architecture. */
  | "own"
  /** PTX, as it is, that the driver compiles for a later architecture. */
  | "later"
  /** The same PTX without what only the newer architecture has, for an earlier one. */
  | "generic"
  /** Code of an architecture with the same instructions, under this one's name. */
  | "twin";

/** Files for a device. */
export interface Code {
  /** Architecture whose files they are. */
  readonly arch: string;
  readonly kind: CodeKind;
}

/** The oldest NVIDIA architecture that {@linkcode genericPtx} is for. */
const GENERIC = 80;

/**
 * AMD architectures that run another's code: clang-22 compiles every kernel to the same bytes for both, but for their
 * names and numbers (`tests/kernels/code_test.ts`). Places and values are those of LLVM's AMDGPU usage page.
 */
const TWINS: Readonly<Record<string, { readonly of: string; readonly mach: number }>> = {
  gfx1200: { of: "gfx1201", mach: 0x48 },
};
/** Place of EF_AMDGPU_MACH, the least byte of e_flags, in an ELF file of 64 bits. */
const MACH_OFFSET = 48;

/** The files that run on an architecture, or null where there are none. */
export function codeFor(files: Architectures, arch: string): Code | null {
  if (files.architecture(arch)) return { arch, kind: "own" };
  const twin = TWINS[arch];
  if (twin !== undefined && files.architecture(twin.of)) return { arch: twin.of, kind: "twin" };
  const asked = computeCapability(arch);
  if (asked === null) return null;
  const known = files.architectures.map((name) => ({ name, capability: computeCapability(name) ?? Infinity }))
    .filter(({ capability }) => capability !== Infinity).sort((a, b) => b.capability - a.capability);
  const older = known.find(({ capability }) => capability <= asked);
  if (older !== undefined) return { arch: older.name, kind: "later" };
  return asked >= GENERIC && known.length > 0 ? { arch: known.at(-1)!.name, kind: "generic" } : null;
}

/**
 * Files that an architecture runs besides, and no other one does: PTX of sm_90a has the products of warpgroups
 * (`wgmma`), which no earlier and no later GPU knows, and kernels of clusters, which no earlier one does.
 */
export function codeBeside(files: Architectures, { arch, kind }: Code): string | null {
  const own = `${arch}a`;
  return kind === "own" && arch.startsWith("sm_") && files.architecture(own) ? own : null;
}

/** 90 of "sm_90"; null for what is not of that form. */
function computeCapability(arch: string): number | null {
  const digits = /^sm_(\d+)$/.exec(arch)?.[1];
  return digits === undefined ? null : Number(digits);
}

/** A file as it is loaded on an architecture. */
export function adapted(image: Uint8Array<ArrayBuffer>, code: Code, arch: string): Uint8Array<ArrayBuffer> {
  if (code.kind === "generic") return genericPtx(image);
  return code.kind === "twin" ? underTheName(image, code.arch, arch) : image;
}

/**
 * PTX for every architecture from sm_80: without the instructions by which a kernel of sm_90 begins before the one
 * ahead has ended, which do nothing where launches do not overlap; and with products of bf16 pairs, which sm_80 does
 * not have, as multiply-adds. To add -0 changes no product, not even a zero's sign.
 */
function genericPtx(image: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const text = new TextDecoder().decode(image);
  return new TextEncoder().encode(
    text.replace(/^\.target sm_\d+/m, `.target sm_${GENERIC}`)
      .replaceAll(/^\s*griddepcontrol\.\w+;\n/gm, "")
      .replaceAll(
        /^\tmul\.rn\.bf16x2 (%r\d+, %r\d+, %r\d+);$/gm,
        "\t{ .reg .b32 nought; mov.b32 nought, 0x80008000; fma.rn.bf16x2 $1, nought; }",
      ),
  );
}

/** A code object whose architecture is called otherwise, in its ELF header and in the notes. */
function underTheName(image: Uint8Array<ArrayBuffer>, of: string, arch: string): Uint8Array<ArrayBuffer> {
  const bytes = image.slice(), from = new TextEncoder().encode(of), to = new TextEncoder().encode(arch);
  bytes[MACH_OFFSET] = TWINS[arch]!.mach;
  for (let at = bytes.indexOf(from[0]!); at >= 0; at = bytes.indexOf(from[0]!, at + 1)) {
    if (from.every((byte, i) => bytes[at + i] === byte)) bytes.set(to, at);
  }
  return bytes;
}

/** The code of a device in words, for `devices` and `--stats`. */
export function codeText({ arch, kind }: Code, own: string): string {
  switch (kind) {
    case "own":
      return own;
    case "later":
      return `PTX of ${arch}, compiled by the driver for ${own}`;
    case "generic":
      return `generic PTX (sm_${GENERIC}), compiled by the driver for ${own}`;
    case "twin":
      return `${arch}'s, whose instructions ${own} has`;
  }
}
