/**
 * The compiled kernels of an architecture: their files and launch traits. A code object is loaded when one of its
 * kernels is first asked for.
 */
import type { LaunchTraits, Manifest, ManifestArchitecture } from "../../../kernels/manifest.ts";
import type { GpuDevice, GpuKind, Kernel, Module } from "../../../ffi/runtime.ts";
import { createHash } from "node:crypto";
import { STANDALONE } from "../../assets.ts";
import { fetchOwn, ownPath } from "../../own_files.ts";
import { readStored } from "../../stored_files.ts";
import { FailureError, reason } from "../../errors.ts";
import { adapted, type Code, codeBeside, codeFor } from "./code.ts";

/** Where the committed kernels lie, in the repository. */
const OWN_KERNELS = "kernels/build";

/** Where compiled kernels come from. */
export interface KernelFiles {
  /** The code objects of an architecture, or undefined where there are none. */
  architecture(arch: string): ManifestArchitecture | undefined;
  /** Architectures that there are code objects for. */
  readonly architectures: readonly string[];
  read(arch: string, file: string): Uint8Array<ArrayBuffer>;
}

/** A kernel that can be launched. */
export interface LoadedKernel {
  readonly kernel: Kernel;
  readonly traits: LaunchTraits;
}

/** Makes the committed kernels ready for {@linkcode committedKernels}: of a program that is fetched by https. */
export function fetchKernels(kind: GpuKind): Promise<void> {
  return fetchOwn("kernels", `kernels_${kind}`);
}

/**
 * The committed kernels, in kernels/build.
 *
 * @param folder Another folder with a manifest.json, for those who build kernels.
 * @throws {FailureError} where the manifest cannot be read.
 */
export function committedKernels(folder: string = ownPath(OWN_KERNELS)): KernelFiles {
  const path = `${folder}/manifest.json`;
  let manifest: Manifest;
  try {
    manifest = JSON.parse(new TextDecoder().decode(readStored(path))) as Manifest;
  } catch (thrown) {
    throw new FailureError(`${path}: the list of GPU kernels cannot be read: ${reason(thrown)}`);
  }
  return {
    architectures: Object.keys(manifest.architectures),
    architecture: (arch) => manifest.architectures[arch],
    read: (arch, file) => {
      try {
        return readStored(`${folder}/${arch}/${file}`);
      } catch (thrown) {
        throw new FailureError(`GPU kernels of ${arch}: ${file} cannot be read: ${reason(thrown)}`);
      }
    },
  };
}

/** What a device has kernels of: those of its code, and those that only its architecture runs. */
export function kernelsWith(
  files: Pick<KernelFiles, "architectures" | "architecture">,
  code: Code,
): ManifestArchitecture {
  const own = files.architecture(code.arch)!, beside = codeBeside(files, code);
  if (beside === null) return own;
  const more = files.architecture(beside)!;
  return { files: { ...own.files, ...more.files }, entries: { ...own.entries, ...more.entries } };
}

/** The kernels of one device. */
export class KernelSet implements Disposable {
  /** Architecture of the code objects. */
  readonly arch: string;
  readonly code: Code;
  readonly #manifest: ManifestArchitecture;
  readonly #beside: { readonly arch: string; readonly manifest: ManifestArchitecture } | null;
  readonly #modules = new Map<string, Module>();
  readonly #kernels = new Map<string, LoadedKernel>();

  /** @throws {FailureError} where there are no code objects for the device. */
  constructor(readonly device: GpuDevice, readonly files: KernelFiles) {
    const { arch, name } = device.properties;
    const found = codeFor(files, arch);
    if (found === null) {
      throw new FailureError(
        `${name} is a ${arch}, for which there are no kernels (there are for ${files.architectures.join(", ")}); ` +
          "more are added in kernels/sources.ts",
      );
    }
    this.code = found;
    this.arch = found.arch;
    this.#manifest = kernelsWith(files, found);
    const beside = codeBeside(files, found);
    this.#beside = beside === null ? null : { arch: beside, manifest: files.architecture(beside)! };
  }

  /** SHA-256 over the hashes of the files and the launch traits, hexadecimal: other kernels have another. */
  get hash(): string {
    return createHash("sha256").update(JSON.stringify(this.#manifest)).digest("hex");
  }

  /** Names of all kernels. */
  get entries(): readonly string[] {
    return Object.keys(this.#manifest.entries);
  }

  /** Whether there is such a kernel, and the device has the shared memory that it needs whatever its input is. */
  has(entry: string): boolean {
    const traits = this.#manifest.entries[entry];
    return traits !== undefined && traits.ldsFixed <= this.device.properties.sharedBytesPerBlock;
  }

  /** Launch traits without loading anything. */
  traits(entry: string): LaunchTraits {
    const traits = this.#manifest.entries[entry];
    if (!traits) {
      // Who runs a binary has no sources to build.
      const remedy = STANDALONE ? "this build lacks it" : "run deno task kernels:build";
      throw new FailureError(`GPU kernels of ${this.arch}: there is no ${entry}; ${remedy}`);
    }
    return traits;
  }

  /**
   * A kernel, loaded now if it was not.
   *
   * @throws {FailureError} if there is none of that name, or the device refuses it.
   */
  get(entry: string): LoadedKernel {
    const known = this.#kernels.get(entry);
    if (known) return known;
    const traits = this.traits(entry);
    const { file } = this.#manifest.entries[entry]!;
    let module = this.#modules.get(file);
    if (!module) {
      const { arch } = this.#beside?.manifest.files[file] === undefined ? this : this.#beside;
      const image = adapted(this.files.read(arch, file), this.code, this.device.properties.arch);
      module = this.device.loadModule(image, `${arch}/${file}`);
      this.#modules.set(file, module);
    }
    const loaded = { kernel: module.kernel(entry), traits };
    this.#kernels.set(entry, loaded);
    return loaded;
  }

  [Symbol.dispose](): void {
    for (const module of this.#modules.values()) module[Symbol.dispose]();
  }
}
