/** How a standalone binary starts the program: the flags that are fixed when it is built. */
import { ADDRESSES, VARIABLES } from "../../src/cli/permissions.ts";

/**
 * Permissions that every command line gets; the program gives up those that it has no use for (src/cli/permissions.ts).
 * Without `--no-prompt` Deno would ask at the terminal for what is missing.
 */
export const PERMISSIONS: readonly string[] = [
  "--no-prompt",
  "--allow-read",
  "--allow-ffi",
  `--allow-env=${VARIABLES.join(",")}`,
];

/**
 * Permission that only command lines with `--out` get where the launcher can tell. Unlike `--allow-write` it can be
 * narrowed.
 */
export const WRITE_PERMISSION = "--allow-write=/";

/** Permission that only `mxoss serve` gets where the launcher can tell; it narrows it to the address it listens on. */
export const NET_PERMISSION = `--allow-net=${ADDRESSES.join(",")}`;

/** Keep Deno from looking at files and hosts outside the bundle. */
export const SEALED: readonly string[] = [
  "--no-config",
  "--no-lock",
  "--no-npm",
  "--no-remote",
  "--node-modules-dir=none",
];
