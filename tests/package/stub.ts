/** The script of the self-extracting binary, around a program that only says how it was started. */
import { wrap } from "../../tools/package/self_extracting.ts";
import { assertEquals, assertMatch } from "../assert.ts";
import { writeExecutable } from "../executable.ts";
import { type Finished, inDirectory, works } from "./process.ts";

/** Shells that the script must run in. */
const SHELLS: readonly (readonly string[])[] = [["sh"], ["dash"], ["bash", "--posix"], ["busybox", "sh"]];
const found = await Promise.all(SHELLS.map((shell) => works([...shell, "-c", ":"])));
/** Those that are here. */
export const shells: readonly (readonly string[])[] = SHELLS.filter((_, i) => found[i]);

/** Stands in for Deno: prints its arguments, one a line, then what the script told it by the environment. */
const RUNTIME = `#!/bin/sh
if [ "$1" = --version ]; then [ -z "$SLOW" ] || exec sleep "$SLOW"; exit 0; fi
printf '%s\\n' "$@" "DENO_DIR=$DENO_DIR" "LC_ALL=\${LC_ALL-unset}" "PATH=\${PATH-unset}"
exit 7
`;
/** UTF-8. */
export const encode = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

/** Bytes that gzip cannot make small: a disk can be too full for them. */
export const FILLING: Uint8Array<ArrayBuffer> = new Uint8Array(400_000);
for (let at = 0; at < FILLING.length; at += 50_000) crypto.getRandomValues(FILLING.subarray(at, at + 50_000));

/** A whole one. */
export const BINARY: Uint8Array<ArrayBuffer> = await wrap([
  { path: "deno", bytes: encode(RUNTIME), executable: true },
  { path: "main.js", bytes: encode("// nothing\n") },
  { path: "models/tiny/weights", bytes: FILLING },
]);

/** A directory with the binary, for one test. */
export async function withBinary(use: (dir: string, binary: string) => Promise<void>, bytes = BINARY): Promise<void> {
  await inDirectory(async (dir) => {
    writeExecutable(`${dir}/mxoss`, bytes);
    await use(dir, `${dir}/mxoss`);
  });
}

/** Where the program was started from, by what it printed. */
export function startedFrom({ stdout }: Finished): string {
  return /^DENO_DIR=(.*)\/state$/m.exec(stdout)![1]!;
}

/** The one program that is unpacked in a place. */
export function unpacked(place: string): string {
  const names = [...Deno.readDirSync(place)].map(({ name }) => name);
  assertEquals(names.length, 1, names.join(" "));
  assertMatch(names[0]!, /^\d+\.\d+\.\d+-[0-9a-f]{16}$/);
  assertEquals(Deno.readTextFileSync(`${place}/${names[0]}/complete`), `${names[0]}\n`);
  return `${place}/${names[0]}`;
}

/** Expects the one line of an error, exit code 1 and nothing else. */
export function refused({ code, stdout, stderr }: Finished, reason: RegExp): void {
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, /^error: [^\n]+\n$/);
  assertMatch(stderr, reason);
}

/** Waits for something to come true; minutes of a machine that does much else, and not for ever. */
export async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 9000; i++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("waited in vain");
}
