/** Programs of others that soaks talk to, installed once into the checkout's own cache, at the versions given. */
import { BUILD_FOLDER } from "./build_once.ts";

/**
 * A Python with packages in an environment of its own; null where it cannot be made, for instance without Debian's
 * python3-venv or without a network.
 *
 * @param packages For instance `openai==3.57.0`.
 */
export function pythonWith(packages: readonly string[]): string | null {
  const folder = installed(`python-${nameOf(packages)}`, (folder) => {
    return run("python3", "-m", "venv", folder) &&
      run(`${folder}/bin/python`, "-m", "pip", "install", "--quiet", "--no-cache-dir", ...packages);
  });
  return folder && `${folder}/bin/python`;
}

/**
 * A Python with the packages of a list and no others, as wheels; null where it cannot be made.
 *
 * @param list A file of requirements, relative to this one, all of them pinned: what these ask for is not looked at.
 */
export function pythonOf(list: string): string | null {
  const path = new URL(list, import.meta.url).pathname, [name] = list.match(/[^/]+$/)!;
  const folder = installed(`python-${name}`, (folder) => {
    const options = ["--quiet", "--no-cache-dir", "--no-compile", "--no-deps", "--only-binary=:all:"];
    return run("python3", "-m", "venv", folder) &&
      run(`${folder}/bin/python`, "-m", "pip", "install", ...options, "-r", path);
  });
  return folder && `${folder}/bin/python`;
}

/** A folder with packages for Node.js, where a script finds them; null where they cannot be installed. */
export function nodeWith(packages: readonly string[]): string | null {
  return installed(`node-${nameOf(packages)}`, (folder) => {
    Deno.mkdirSync(folder, { recursive: true });
    Deno.writeTextFileSync(`${folder}/package.json`, '{"private":true}');
    return run("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, ...packages);
  });
}

/** An environment of Python does not work under another name: what is finished is marked instead of renamed. */
function installed(name: string, install: (folder: string) => boolean): string | null {
  const folder = `${BUILD_FOLDER}/${name}`, mark = `${folder}/.installed`;
  Deno.mkdirSync(BUILD_FOLDER, { recursive: true });
  using lock = Deno.openSync(`${folder}.lock`, { create: true, write: true });
  lock.lockSync(true);
  try {
    if (Deno.statSync(mark).isFile) return folder;
  } catch {
    // Not there, or not to its end.
  }
  try {
    Deno.removeSync(folder, { recursive: true });
  } catch {
    // It was not begun.
  }
  if (!install(folder)) return null;
  Deno.writeTextFileSync(mark, "");
  return folder;
}

function run(command: string, ...args: string[]): boolean {
  try {
    const { success, stderr } = new Deno.Command(command, { args, stdout: "null", stderr: "piped" }).outputSync();
    if (!success) console.error(new TextDecoder().decode(stderr));
    return success;
  } catch {
    return false;
  }
}

const nameOf = (packages: readonly string[]) => packages.join("-").replaceAll(/[^\w.-]+/g, "-");
