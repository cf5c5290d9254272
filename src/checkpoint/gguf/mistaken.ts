/** What is given in place of a GGUF file, and what to give instead. */
import { printable } from "../../describe.ts";
import { InputError } from "../../errors.ts";
import { foreignDirectory } from "../../foreign.ts";
import { readable } from "../../read.ts";
import { entriesStored, statStored } from "../../stored_files.ts";
import { repositoryName } from "../hub/repository.ts";

const EXPECTED = "a GGUF file";
/** Folders that are looked into: a repository of the cache has its files in snapshots/<commit>. */
const DEPTH = 3;
/** An address on the web, `org/name` or `org/name:Q8_0`, as llama.cpp and people name models. */
const ADDRESS = /^(?:https?:\/\/[^/]+\/|hf:\/\/)(?:models\/)?([^/]+\/[^/?#@]+)(?:\/(?:resolve|blob)\/[^/]+\/([^?#]+))?/;
const NAME = /^([^/]+\/[^/:@]+)(?:[:@][^/]*)?$/;

/**
 * Refuses what is no file by the name of one.
 *
 * @throws {InputError} naming a GGUF file in a directory, or the command that downloads one of a repository.
 */
export function refuseMistaken(path: string): void {
  const kind = kindOf(path);
  if (kind === "file") return;
  if (kind === "nothing") {
    throw InputError.saying("missing", { file: path }, absent(path));
  }
  if (kind === "other") throw InputError.of("wrong_value", { file: path }, EXPECTED, "a device or a pipe");
  const found = firstIn(path, DEPTH);
  const expected = found === null ? EXPECTED : `${EXPECTED}, such as ${printable(found)}`;
  throw InputError.of("wrong_value", { file: path }, expected, `a directory${found === null ? ofWhat(path) : ""}`);
}

function kindOf(path: string): "file" | "directory" | "other" | "nothing" {
  return readable(path, () => {
    try {
      const { isFile, isDirectory } = statStored(path);
      return isFile ? "file" : isDirectory ? "directory" : "other";
    } catch (thrown) {
      if (thrown instanceof Deno.errors.NotFound || thrown instanceof Deno.errors.NotADirectory) return "nothing";
      throw thrown;
    }
  });
}

/** What is said of a path of which there is nothing. */
function absent(path: string): string {
  const [, address, file = "FILE.gguf"] = ADDRESS.exec(path) ?? [];
  const command = (name: string, file: string) => `hf download ${printable(name)} ${printable(file)}`;
  if (address !== undefined && repositoryName(address) !== null) {
    return `an address, and nothing is downloaded here; name the file that this downloads: ${command(address, file)}`;
  }
  const name = /\.gguf$/i.test(path) ? undefined : NAME.exec(path)?.[1];
  if (name === undefined || repositoryName(name) === null) return "no such file";
  return `no such file; of a repository, name the file that this downloads: ${command(name, "FILE.gguf")}`;
}

/** The first GGUF file by its path, in the directory itself before those below it. */
function firstIn(dir: string, depth: number): string | null {
  let entries: ReturnType<typeof entriesStored>;
  try {
    entries = entriesStored(dir).toSorted((a, b) => a.name < b.name ? -1 : 1);
  } catch {
    return null;
  }
  const base = dir.replace(/(?<=.)[/\\]+$/, "");
  const own = entries.find(({ name, isDirectory }) => !isDirectory && /\.gguf$/i.test(name));
  if (own !== undefined) return `${base}/${own.name}`;
  if (depth === 0) return null;
  for (const { name, isDirectory } of entries) {
    const found = isDirectory ? firstIn(`${base}/${name}`, depth - 1) : null;
    if (found !== null) return found;
  }
  return null;
}

function ofWhat(dir: string): string {
  try {
    if (entriesStored(dir).some(({ name }) => name.endsWith(".safetensors"))) {
      return " of safetensors, which needs no conversion";
    }
  } catch {
    return "";
  }
  const is = foreignDirectory(dir);
  return is === null ? " without one" : `: ${is}`;
}
