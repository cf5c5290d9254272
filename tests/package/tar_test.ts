import { tar } from "../../tools/package/tar.ts";
import { assertEquals, assertThrows } from "../assert.ts";

const encode = (text: string) => new TextEncoder().encode(text);

/** What the system's tar does with an archive on its stdin. */
async function systemTar(archive: Uint8Array, args: readonly string[]): Promise<string> {
  const child = new Deno.Command("tar", {
    args: [...args],
    stdin: "piped",
    stdout: "piped",
    env: { LC_ALL: "C", TZ: "UTC" },
  })
    .spawn();
  const output = child.output();
  const writer = child.stdin.getWriter();
  await writer.write(archive);
  await writer.close();
  return new TextDecoder().decode((await output).stdout);
}

const FILES = [
  { path: "run", bytes: encode("#!/bin/sh\n"), executable: true },
  { path: "a/b/empty", bytes: new Uint8Array(0) },
  { path: "a/b/block", bytes: new Uint8Array(512).fill(65) },
  { path: "a/c", bytes: encode("third") },
];

Deno.test("tar() is read by the system's tar: names, sizes, modes, owner, time", async () => {
  const listing = await systemTar(tar(FILES), ["--numeric-owner", "-tvf", "-"]);
  assertEquals(listing.trimEnd().split("\n").map((line) => line.replace(/ +/g, " ")), [
    "-rwxr-xr-x 0/0 10 1970-01-01 00:00 run",
    "drwxr-xr-x 0/0 0 1970-01-01 00:00 a/",
    "drwxr-xr-x 0/0 0 1970-01-01 00:00 a/b/",
    "-rw-r--r-- 0/0 0 1970-01-01 00:00 a/b/empty",
    "-rw-r--r-- 0/0 512 1970-01-01 00:00 a/b/block",
    "-rw-r--r-- 0/0 5 1970-01-01 00:00 a/c",
  ]);
});

Deno.test("tar() keeps contents", async () => {
  assertEquals(await systemTar(tar(FILES), ["-xOf", "-", "a/b/block"]), "A".repeat(512));
  assertEquals(await systemTar(tar(FILES), ["-xOf", "-", "a/c"]), "third");
});

Deno.test("tar() refuses names that the format has no room for", () => {
  for (const path of ["", "a b", "ä", `${"a".repeat(101)}`]) {
    assertThrows(() => tar([{ path, bytes: new Uint8Array(0) }]), RangeError);
  }
});
