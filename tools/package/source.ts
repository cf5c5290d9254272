/** What a package is built from. */
import { revision } from "../../src/cli/version.ts";
import { ROOT } from "./files.ts";

/** The revision of the source, with `-dirty` where git says that files have changed since. */
export function source(): string {
  return `${revision()}${changed() ? "-dirty" : ""}`;
}

function changed(): boolean {
  try {
    const { success, stdout } = new Deno.Command("git", {
      args: ["--no-optional-locks", "status", "--porcelain", "--untracked-files=no"],
      cwd: ROOT,
      stderr: "null",
    }).outputSync();
    return success && stdout.length > 0;
  } catch {
    return false;
  }
}
