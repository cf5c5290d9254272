/** A cheap name for what a checkpoint is, for reports. */
import { openStored } from "../stored_files.ts";
import { readable, readExactly } from "../read.ts";

/** What {@linkcode fingerprint} covers, in words for reports: not the weights themselves, which may be 65 GB. */
export const FINGERPRINT_COVERS = "SHA-256 of config.json and the safetensors headers";

/**
 * SHA-256, in hexadecimal, over config.json and the headers of the safetensors files, each with its length before it.
 * Checkpoints that differ in weights only have the same one.
 *
 * @param files Paths in order, and how many bytes of each are covered.
 * @throws {InputError} when a file cannot be read any more.
 */
export async function fingerprint(
  files: readonly { readonly path: string; readonly bytes: number }[],
): Promise<string> {
  const whole = new Uint8Array(files.reduce((sum, { bytes }) => sum + 8 + bytes, 0));
  let at = 0;
  for (const { path, bytes } of files) {
    new DataView(whole.buffer).setBigUint64(at, BigInt(bytes), true);
    readable(path, () => {
      using file = openStored(path);
      whole.set(readExactly(file, path, 0, bytes), at + 8);
    });
    at += 8 + bytes;
  }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", whole)).toHex();
}
