/**
 * Which matrix kernels agreed with the generic ones in an earlier run on the same device, with the same driver and
 * kernels: kept in a file, so that a start need neither load the generic kernels nor compare. Nothing depends on the
 * file: without it, or where anything about it is doubtful, the kernels are tested. What disagreed is not kept, and
 * tested again by every start.
 */
import { driverVersion } from "../../gpu_driver.ts";
import { keepValue, readKept } from "../../checkpoint/kept_file.ts";
import type { KernelSet } from "./kernels.ts";
import type { KnownKernels } from "./self_test.ts";

const KIND = { schema: "mxoss.self-tests", version: 1 };
/** Grows with every change of the tests, so that what passed older ones is tested again. */
const TESTS = 1;

/** What an outcome is about, in words; null where the driver does not say its version, and nothing may be kept. */
export function keyOf({ device, arch, hash }: KernelSet, driver = driverVersion(device.runtime.kind)): string | null {
  if (driver === null) return null;
  const { runtime: { kind, version, library }, properties: { index, name, arch: own, features, totalBytes } } = device;
  return [
    ...[`${kind} ${index} ${name} ${own}${features} ${totalBytes} bytes`, `driver ${driver}`, `${version} ${library}`],
    ...[`kernels ${arch} ${hash}`, `tests ${TESTS}`],
  ].join(", ");
}

/** The kernels that passed under one key. */
export class KeptSelfTests implements KnownKernels {
  readonly #known: Set<string>;
  #changed = false;

  /** Reads the file, if it is there and can be trusted. */
  constructor(readonly path: string, readonly key: string) {
    this.#known = new Set(names(readKept(path, KIND).get(key)));
  }

  has(entry: string, variant: string): boolean {
    return this.#known.has(`${entry} ${variant}`);
  }

  add(entry: string, variant: string): void {
    this.#known.add(`${entry} ${variant}`);
    this.#changed = true;
  }

  /** Writes what was added beside what others have written meanwhile; where it cannot be written, it is not. */
  save(): void {
    if (!this.#changed) return;
    this.#changed = false;
    keepValue(this.path, KIND, this.key, (before) => [...new Set([...names(before), ...this.#known])].sort());
  }
}

/** What a file holds under a key, if it is a list of kernels. */
function names(kept: unknown): readonly string[] {
  return Array.isArray(kept) && kept.every((name) => typeof name === "string") ? kept : [];
}
