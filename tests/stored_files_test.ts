/** Files that are held in memory, beside those of the disk. */
import { openCheckpoint } from "../src/checkpoint/checkpoint.ts";
import { InputError } from "../src/errors.ts";
import { entriesStored, hold, isHeld, openStored, statStored } from "../src/stored_files.ts";
import { readExactly, readWhole } from "../src/read.ts";
import { assertEquals, assertThrows } from "./assert.ts";
import { TINY } from "./cli/program.ts";

const PLACE = "https://example.org/package/models/tiny";
const bytes = new TextEncoder().encode("0123456789");

Deno.test("a held file is read like one of the disk, and what is not held beside it is not there", () => {
  hold(`${PLACE}-text/a/text`, bytes);
  hold(`${PLACE}-text/empty`, new Uint8Array(0));
  assertEquals(entriesStored(`${PLACE}-text`), [
    { name: "a", isDirectory: true },
    { name: "empty", isDirectory: false },
  ]);
  assertEquals([isHeld(`${PLACE}-text/a/text`), isHeld(`${PLACE}-text/a`), isHeld(TINY)], [true, false, false]);
  assertEquals(statStored(`${PLACE}-text/a`).isDirectory, true);
  assertEquals(readWhole(`${PLACE}-text/a/text`, 10), bytes);
  assertThrows(() => readWhole(`${PLACE}-text/a/text`, 9), InputError, "at most 9 bytes");
  assertThrows(() => readWhole(`${PLACE}-text/none`, 9), InputError, "no such file");
  using file = openStored(`${PLACE}-text/a/text`);
  assertEquals(readExactly(file, "text", 7, 3), bytes.slice(7));
  assertEquals([file.readSync(new Uint8Array(1)), file.statSync().size], [null, 10]);
  assertThrows(() => readExactly(file, "text", 7, 4), InputError, "ends at byte 10");
});

Deno.test("a checkpoint in memory is opened as the same on the disk", async () => {
  for (const { name, isFile } of Deno.readDirSync(TINY)) {
    if (isFile) hold(`${PLACE}/${name}`, Deno.readFileSync(`${TINY}/${name}`));
  }
  const held = openCheckpoint(PLACE), stored = openCheckpoint(TINY);
  assertEquals([held.config, held.layout, held.warnings], [stored.config, stored.layout, stored.warnings]);
  assertEquals([await held.fingerprint(), held.weightsSha256()], [await stored.fingerprint(), stored.weightsSha256()]);
});
