/**
 * Which matrix kernels agreed with the generic ones in an earlier run on the same device, with the same driver and
 * kernels: kept in a file, so that a start need neither load the generic kernels nor compare. Nothing depends on the
 * file: without it, or where anything about it is doubtful, the kernels are tested. What disagreed is not kept, and
 * tested again by every start.
 */
import { dirname } from "node:path";
import { driverVersion } from "../../gpu_driver.ts";
import { writeWhole } from "../../checkpoint/atomic.ts";
import type { KernelSet } from "./kernels.ts";
import type { KnownKernels } from "./self_test.ts";

const SCHEMA = "mxoss.self-tests", VERSION = 1;
/** Grows with every change of the tests, so that what passed older ones is tested again. */
const TESTS = 1;
/** Devices, drivers and kernels that are remembered; of more the oldest are dropped. */
const MOST_KEYS = 32;
/** A file that is larger is not ours. */
const MOST_BYTES = 1 << 18;
/** Only the user may read and write it: who could add to it could have wrong kernels used. */
const FILE_MODE = 0o600, FOLDER_MODE = 0o700, OTHERS_WRITE = 0o022;

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
    this.#known = new Set(read(path).get(key));
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
    try {
      Deno.mkdirSync(dirname(this.path), { recursive: true, mode: FOLDER_MODE });
      const all = read(this.path), own = new Set([...all.get(this.key) ?? [], ...this.#known]);
      all.delete(this.key);
      all.set(this.key, [...own].sort());
      const kept = Object.fromEntries([...all].slice(-MOST_KEYS));
      const text = JSON.stringify({ schema: SCHEMA, version: VERSION, kept }, null, 1);
      writeWhole(this.path, `${text}\n`, FILE_MODE);
    } catch {
      // The next start tests again.
    }
  }
}

/** Kernels by key; none where the file is not there, is not ours, or may be written by others. */
function read(path: string): Map<string, readonly string[]> {
  try {
    const file = Deno.lstatSync(path), folder = Deno.lstatSync(dirname(path));
    if (!file.isFile || !folder.isDirectory || file.size > MOST_BYTES) return new Map();
    if ([file, folder].some(({ mode }) => ((mode ?? 0) & OTHERS_WRITE) !== 0)) return new Map();
    const { schema, version, kept } = JSON.parse(Deno.readTextFileSync(path));
    if (schema !== SCHEMA || version !== VERSION) return new Map();
    return new Map(
      Object.entries(kept).filter((entry): entry is [string, string[]] =>
        Array.isArray(entry[1]) && entry[1].every((name) => typeof name === "string")
      ),
    );
  } catch {
    return new Map();
  }
}
