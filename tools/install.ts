/**
 * Installs `mxoss`, which runs this checkout, with the permissions that any of its commands can make use of.
 *
 *     deno task install
 */
import { inRepository } from "./package/files.ts";
import { NET_PERMISSION, PERMISSIONS, WRITE_PERMISSION } from "./package/launch.ts";

if (import.meta.main) {
  const permissions = [...PERMISSIONS, WRITE_PERMISSION, NET_PERMISSION];
  const { code } = await new Deno.Command(Deno.execPath(), {
    stdout: "inherit",
    stderr: "inherit",
    args: ["install", "--global", "--force", "--name", "mxoss", "--config", "deno.json", ...permissions, "main.ts"],
    cwd: inRepository("."),
  }).output();
  Deno.exit(code);
}
