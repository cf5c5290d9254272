/** Where the Hugging Face cache is: what huggingface_hub makes of the environment (its `constants.py`). */
import { joined } from "../../paths.ts";
import { InputError } from "../../errors.ts";

/** The variables that decide, in the order in which they are asked; `HOME` (on Windows `USERPROFILE`) is `~`. */
export const HUB_VARIABLES = [
  "HF_HUB_CACHE",
  "HUGGINGFACE_HUB_CACHE",
  "HF_HOME",
  "XDG_CACHE_HOME",
  "HOME",
  "USERPROFILE",
] as const;

/** Value of an environment variable, also an empty one; undefined where it is not set. */
export type ReadVariable = (name: string) => string | undefined;

/**
 * The folder that holds `models--org--name`. No variable is asked for that the others make needless.
 *
 * @throws {InputError} where the folder hangs on a home directory that the environment does not name.
 */
export function hubFolder(read: ReadVariable): string {
  const own = read("HF_HUB_CACHE") ?? read("HUGGINGFACE_HUB_CACHE");
  return expanded(own ?? joined(hubHome(read), "hub"), read);
}

function hubHome(read: ReadVariable): string {
  const own = read("HF_HOME");
  if (own !== undefined) return expanded(own, read);
  const cache = read("XDG_CACHE_HOME") ?? joined(withHome("~", read), ".cache");
  return expanded(joined(cache, "huggingface"), read);
}

/** Python's `os.path.expandvars(os.path.expanduser(path))`. */
function expanded(path: string, read: ReadVariable): string {
  return withHome(path, read).replaceAll(
    /\$(?:(\w+)|\{([^}]*)\})/g,
    (written, plain?: string, braced?: string) => {
      try {
        return read(plain ?? braced!) ?? written;
      } catch (thrown) {
        if (!(thrown instanceof Deno.errors.NotCapable)) throw thrown;
        const problem = `${path} names ${written}, which the program may not look at; write out what it stands for`;
        throw InputError.saying("unreadable", { name: "the Hugging Face cache" }, problem);
      }
    },
  );
}

/** Python's `os.path.expanduser`, of which the homes of other users are left out. */
function withHome(path: string, read: ReadVariable): string {
  if (!path.startsWith("~")) return path;
  if (!/^~(?:\/|$)/.test(path)) {
    throw InputError.of(
      "unsupported",
      { name: "the Hugging Face cache" },
      "a path, or one in your own home (~/)",
      path,
    );
  }
  const variable = Deno.build.os === "windows" ? "USERPROFILE" : "HOME", home = read(variable);
  if (home === undefined) {
    throw InputError.of("missing", { name: "the Hugging Face cache" }, `${variable}, HF_HOME or HF_HUB_CACHE`, "none");
  }
  return home.replace(/\/+$/, "") + path.slice(1) || "/";
}
