/**
 * The compiled kernels of an architecture: their files and launch traits. A code object is loaded when one of its
 * kernels is first asked for.
 */
import type { LaunchTraits, Manifest, ManifestArchitecture } from "../../../kernels/manifest.ts";
import type { GpuDevice, Kernel, Module } from "../../../ffi/runtime.ts";
import { createHash } from "node:crypto";
import { asset, FETCHED, STANDALONE } from "../../assets.ts";
import { FailureError, reason } from "../../errors.ts";

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

/**
 * The committed kernels, in kernels/build.
 *
 * @param folder Another folder with a manifest.json, for those who build kernels.
 * @throws {FailureError} where the manifest cannot be read.
 */
export function committedKernels(folder: URL = asset("kernels/build/")): KernelFiles {
  if (FETCHED) throw new FailureError("GPU kernels are not in the package that is fetched by https: use another one");
  const path = new URL("manifest.json", folder);
  let manifest: Manifest;
  try {
    manifest = JSON.parse(Deno.readTextFileSync(path)) as Manifest;
  } catch (thrown) {
    throw new FailureError(`${path.pathname}: the list of GPU kernels cannot be read: ${reason(thrown)}`);
  }
  return {
    architectures: Object.keys(manifest.architectures),
    architecture: (arch) => manifest.architectures[arch],
    read: (arch, file) => {
      try {
        return Deno.readFileSync(new URL(`${arch}/${file}`, folder));
      } catch (thrown) {
        throw new FailureError(`GPU kernels of ${arch}: ${file} cannot be read: ${reason(thrown)}`);
      }
    },
  };
}

/**
 * The architecture whose code objects run on a device, or null. PTX is compiled by the driver, so that for NVIDIA any
 * older architecture will do; AMD's code objects fit one architecture.
 */
export function codeObjectFor(files: KernelFiles, arch: string): string | null {
  if (files.architecture(arch)) return arch;
  const asked = computeCapability(arch);
  if (asked === null) return null;
  const older = files.architectures.map((name) => ({ name, capability: computeCapability(name) }))
    .filter(({ capability }) => capability !== null && capability <= asked)
    .sort((a, b) => b.capability! - a.capability!);
  return older[0]?.name ?? null;
}

/** 90 of "sm_90"; null for what is not of that form. */
function computeCapability(arch: string): number | null {
  const digits = /^sm_(\d+)$/.exec(arch)?.[1];
  return digits === undefined ? null : Number(digits);
}

/** The kernels of one device. */
export class KernelSet implements Disposable {
  /** Architecture of the code objects. */
  readonly arch: string;
  readonly #manifest: ManifestArchitecture;
  readonly #modules = new Map<string, Module>();
  readonly #kernels = new Map<string, LoadedKernel>();

  /** @throws {FailureError} where there are no code objects for the device. */
  constructor(readonly device: GpuDevice, readonly files: KernelFiles) {
    const { arch, name } = device.properties;
    const found = codeObjectFor(files, arch);
    if (found === null) {
      throw new FailureError(
        `${name} is a ${arch}, for which there are no kernels (there are for ${files.architectures.join(", ")}); ` +
          "more are added in kernels/sources.ts",
      );
    }
    this.arch = found;
    this.#manifest = files.architecture(found)!;
  }

  /** SHA-256 over the hashes of the files and the launch traits, hexadecimal: other kernels have another. */
  get hash(): string {
    return createHash("sha256").update(JSON.stringify(this.#manifest)).digest("hex");
  }

  /** Names of all kernels. */
  get entries(): readonly string[] {
    return Object.keys(this.#manifest.entries);
  }

  /** Whether there is such a kernel. */
  has(entry: string): boolean {
    return this.#manifest.entries[entry] !== undefined;
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
      module = this.device.loadModule(this.files.read(this.arch, file), `${this.arch}/${file}`);
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
