/**
 * Installs `mxoss`, which runs this checkout, with the permissions that any of its commands can make use of, and with
 * the packages of npm that deno.lock names.
 *
 *     deno task install
 *
 * `deno install --global` takes no lock: it copies deno.json into a folder of the command's own, and resolves packages
 * anew for it. The lock is therefore put into that folder afterwards, and the copy of deno.json says that nothing but
 * the lock counts; before the command is run for the first time, its packages are fetched and their hashes compared.
 *
 * Where the command is a shell script, it refuses a stdout that was closed, which the program cannot see.
 *
 * The command is a script that looks for `deno` on the PATH: where the task itself is run by npx, there may be none.
 */
import { delimiter, dirname, join } from "node:path";
import { reason } from "../src/errors.ts";
import { withOpenStdout } from "./package/closed_stdout.ts";
import { inRepository } from "./package/files.ts";
import { NET_PERMISSION, PERMISSIONS, WRITE_PERMISSION } from "./package/launch.ts";

/** Runs Deno; ends the process where it fails. */
async function deno(...args: readonly string[]): Promise<void> {
  const { code } = await new Deno.Command(Deno.execPath(), {
    stdout: "inherit",
    stderr: "inherit",
    args: [...args],
    cwd: inRepository("."),
  }).output();
  if (code !== 0) Deno.exit(code);
}

/** Where Deno puts commands that it installs. */
function commands(): string {
  const root = Deno.env.get("DENO_INSTALL_ROOT") ?? `${Deno.env.get("HOME") ?? Deno.env.get("USERPROFILE")}/.deno`;
  return `${root}/bin`;
}

/** Whether the command will find `deno`: in its own folder, or on the PATH without what npx puts there for a while. */
function findsDeno(): boolean {
  const lasting = (Deno.env.get("PATH") ?? "").split(delimiter).filter((dir) =>
    !/[/\\]node_modules[/\\]/.test(`${dir}/`)
  );
  return [commands(), ...lasting].some((dir) => dir !== "" && hasDeno(dir));
}

/** Whether a directory of the PATH has a `deno`. What npm puts there on Windows is a script. */
export function hasDeno(dir: string, os: typeof Deno.build.os = Deno.build.os): boolean {
  const names = os === "windows" ? ["deno.exe", "deno.cmd", "deno.bat"] : ["deno"];
  return names.some((name) => {
    try {
      return Deno.statSync(join(dir, name)).isFile;
    } catch {
      return false;
    }
  });
}

/** Makes what was installed run with the packages of the checkout's lock and no others. */
async function pin(folder: string): Promise<void> {
  const config = `${folder}/deno.json`, lock = { path: "deno.lock", frozen: true };
  // Deno's own copy also links to the checkout, which is nothing that the lock knows.
  const given = JSON.parse(Deno.readTextFileSync(inRepository("deno.json"))) as Record<string, unknown>;
  Deno.writeTextFileSync(config, `${JSON.stringify({ ...given, lock }, null, 2)}\n`);
  Deno.copyFileSync(inRepository("deno.lock"), `${folder}/deno.lock`);
  const modules = [...Deno.readDirSync(folder)].filter(({ name }) => name === "node_modules");
  for (const { name } of modules) Deno.removeSync(`${folder}/${name}`, { recursive: true });
  await deno("cache", "--quiet", "--config", config, "main.ts");
}

if (import.meta.main) {
  // Options of `deno install`, such as --root, would be passed over in silence.
  if (Deno.args.length > 0) {
    console.error("usage: deno task install, without arguments; DENO_INSTALL_ROOT says where to");
    Deno.exit(2);
  }
  if (!findsDeno()) {
    console.error(
      "error: PATH: expected deno, which the installed command is run by, got none; npm install --global deno puts " +
        "it there, and a package for npm needs none (docs/install.md)",
    );
    Deno.exit(2);
  }
  const permissions = [...PERMISSIONS, WRITE_PERMISSION, NET_PERMISSION];
  await deno(
    ...["install", "--global", "--force", "--name", "mxoss", "--config", "deno.json", ...permissions, "main.ts"],
  );
  const folder = `${commands()}/.mxoss`, script = `${dirname(folder)}/mxoss`;
  if (Deno.build.os !== "windows") Deno.writeTextFileSync(script, withOpenStdout(Deno.readTextFileSync(script)));
  try {
    await pin(folder);
  } catch (thrown) {
    console.error(`error: ${folder}: mxoss is installed, but not with the packages of deno.lock: ${reason(thrown)}`);
    Deno.exit(1);
  }
}
