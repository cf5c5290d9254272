/** Programs that tests write and start. */

/**
 * Writes a program. Another one writes the file: from one that this process has open to write, a process that another
 * test starts in the same moment has it open too for a while, and Linux starts no program that somebody has open so.
 */
export function writeExecutable(path: string, content: string | Uint8Array): void {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  Deno.writeFileSync(`${path}.text`, bytes);
  copyExecutable(`${path}.text`, path);
  Deno.removeSync(`${path}.text`);
}

/** Copies a program, likewise. */
export function copyExecutable(from: string, to: string): void {
  const args = ["-c", 'cp "$0" "$1" && chmod 755 "$1"', from, to];
  const { success, stderr } = new Deno.Command("/bin/sh", { args, env: { PATH: "/usr/bin:/bin" } }).outputSync();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}
