/** What Deno says where it denies something, in words for those who run the sources and those who run a binary. */
import { STANDALONE } from "../assets.ts";
import { reason } from "../errors.ts";

/** What a permission allows. */
const DOING: Readonly<Record<string, string>> = {
  env: "look at this variable",
  ffi: "call this library",
  read: "read it",
  write: "write it",
};

/**
 * What is said where Deno wants all permissions, which no command keeps: for whatever lies under the folders of the
 * system, models in shared memory among them.
 */
const SYSTEM =
  "the program is not permitted to open what lies under /dev, /proc and /sys; expected another path, for " +
  "instance one where the directory is mounted once more (mount --bind)";

/**
 * One line about something that was denied. Whoever runs the sources can give permissions, by the flag that Deno names;
 * a standalone binary takes no such flags, and asking for all permissions would not help either, since every command
 * gives up what it has no use for.
 *
 * @param thrown What Deno threw.
 * @param standalone Whether the program is a standalone binary.
 */
export function denied(thrown: Deno.errors.NotCapable, standalone: boolean = STANDALONE): string {
  const message = reason(thrown);
  const [, kind, target] = /^Requires (\w+) access(?: to (".*"))?/.exec(message) ?? [];
  if (kind !== "all" && !standalone) return `deno was started without a permission: ${message}`;
  if (kind === undefined) return "the program is not permitted to do this";
  const subject = target === undefined ? "" : `${target}: `;
  if (kind === "all") return `${subject}${SYSTEM}`;
  return `${subject}the program is not permitted to ${DOING[kind] ?? `do this (${kind})`}`;
}
