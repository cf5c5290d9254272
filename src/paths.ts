/** Paths as messages and files have them: nothing in them is resolved, so that a user finds again what he wrote. */

/** Path of a name in a directory, as Python's `os.path.join` of two makes it: `/` takes no second slash. */
export function joined(dir: string, name: string): string {
  return dir === "" || dir.endsWith("/") ? `${dir}${name}` : `${dir}/${name}`;
}
