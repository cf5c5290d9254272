/** The version of the kernel's GPU driver, which libraries do not tell: where the system has it in a file. */
import { withSystemFiles } from "./system_files.ts";

/** Files of drivers, and where in them the version is. */
const SOURCES = {
  cuda: [["/proc/driver/nvidia/version", /Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s/]],
  // A driver that came with the kernel has the kernel's version.
  hip: [["/sys/module/amdgpu/version", /^(\S+)/], ["/proc/sys/kernel/osrelease", /^(\S+)/]],
} as const;

/** For instance "580.159.04"; null where the system does not say. */
export function driverVersion(kind: keyof typeof SOURCES): string | null {
  let version: string | null = null;
  withSystemFiles((read) => {
    for (const [path, pattern] of SOURCES[kind]) version ??= pattern.exec(read(path) ?? "")?.[1] ?? null;
  });
  return version;
}
