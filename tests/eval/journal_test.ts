import { isOther, Journal, readJournal } from "../../src/eval/journal.ts";
import { InputError } from "../../src/errors.ts";
import { reading } from "../../src/validate.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { movedLines, turnedBits } from "./damages.ts";
import { sealedJournal, unsealedJournal } from "./reseal.ts";
import * as z from "zod";

interface Entry {
  readonly index: number;
  readonly text: string;
}

function readEntry(value: unknown): Entry {
  const entry = value as Entry;
  if (typeof entry.index !== "number" || typeof entry.text !== "string") throw new Error("no index or text");
  return entry;
}

const HEADER = { kind: "test", settings: { scheme: "w_mxfp4", tokens: 256 } };
const ENTRIES: Entry[] = [{ index: 3, text: "drei" }, { index: 0, text: "nüll\n" }, { index: 1, text: "eins" }];

function withJournal(use: (path: string, open: (header?: unknown) => Journal<Entry>) => void): void {
  const dir = Deno.makeTempDirSync();
  const path = `${dir}/answers.jsonl`;
  try {
    use(path, (header = HEADER) => Journal.open(path, header, readEntry));
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

function fill(path: string): Uint8Array<ArrayBuffer> {
  using journal = Journal.open(path, HEADER, readEntry);
  for (const entry of ENTRIES) journal.append(entry);
  return Deno.readFileSync(path);
}

Deno.test("Journal gives back what was appended", () => {
  withJournal((path, open) => {
    fill(path);
    using journal = open();
    assertEquals([...journal.entries.values()], ENTRIES);
    assertThrows(() => journal.append(ENTRIES[0]!), RangeError);
  });
});

Deno.test("Journal cut off at any byte loses the torn line only, and grows back to the same file", () => {
  withJournal((path, open) => {
    const whole = fill(path);
    for (let length = 0; length <= whole.length; length++) {
      Deno.writeFileSync(path, whole.subarray(0, length));
      const kept = whole.subarray(0, length).filter((b) => b === 0x0a).length - 1;
      {
        using journal = open();
        assertEquals([...journal.entries.values()], ENTRIES.slice(0, Math.max(0, kept)), `${length} bytes`);
        for (const entry of ENTRIES) if (!journal.entries.has(entry.index)) journal.append(entry);
      }
      assertEquals(Deno.readFileSync(path), whole, `${length} bytes`);
    }
  });
});

Deno.test("Journal refuses results of other settings and says which setting differs", () => {
  withJournal((path, open) => {
    fill(path);
    assertThrows(
      () => open({ kind: "test", settings: { scheme: "w_mxfp4", tokens: 512 } }),
      InputError,
      "settings.tokens was 256, is 512",
    );
    assertEquals(Deno.readTextFileSync(path).split("\n").length, 5);
  });
});

Deno.test("Journal starts anew where results of other settings are to be replaced", () => {
  withJournal((path, open) => {
    fill(path);
    const header = { kind: "test", settings: { scheme: "w_mxfp4", tokens: 512 } };
    {
      using journal = Journal.open(path, header, readEntry, "replace");
      assertEquals(journal.entries.size, 0);
      journal.append(ENTRIES[1]!);
    }
    assertEquals(
      Deno.readTextFileSync(path),
      sealedJournal([header, ENTRIES[1]].map((value) => `${JSON.stringify(value)}\n`).join("")),
    );
    using again = Journal.open(path, header, readEntry, "replace");
    assertEquals([...again.entries.values()], [ENTRIES[1]!]);
    assertThrows(() => open(), InputError);
  });
});

Deno.test("Journal refuses a garbled line before the last one, by file and line", () => {
  withJournal((path, open) => {
    const text = new TextDecoder().decode(fill(path)).split("\n");
    text[2] = text[2]!.slice(0, 9);
    Deno.writeTextFileSync(path, text.join("\n"));
    const { message } = assertThrows(() => open(), InputError);
    assert(message.startsWith(`${path}:3: `), message);
  });
});

Deno.test("Journal is written by one run at a time", () => {
  withJournal((_path, open) => {
    using first = open();
    assertThrows(() => open(), InputError, "expected no other run");
    first.append(ENTRIES[0]!);
  });
});

Deno.test("Journal refuses a path that cannot be written", () => {
  assertThrows(() => Journal.open("/nowhere/answers.jsonl", HEADER, readEntry), InputError, "cannot be written");
});

Deno.test("Journal refuses a file that is larger than any of its own", () => {
  withJournal((path, open) => {
    fill(path);
    Deno.truncateSync(path, 2 ** 40);
    assertThrows(() => open(), InputError, `${path}: expected at most 1073741824 bytes of results, got 1099511627776`);
  });
});

Deno.test("Journal says in words which field of a line is not a result's", () => {
  withJournal((path) => {
    const lines = ['{"index": 1, "text": "a"}', '{"index": 2, "text": ["x"]}', '{"index": 3, "text": "c", "more": 1}'];
    const read = reading(z.strictObject({ index: z.int(), text: z.string() }));
    const refused = (...lines: string[]) => {
      Deno.writeTextFileSync(path, [JSON.stringify(HEADER), ...lines, ""].join("\n"));
      return assertThrows(() => Journal.open(path, HEADER, read), InputError).message;
    };
    const not = "not a result that this program wrote: ";
    assertEquals(refused(lines[0]!, lines[1]!), `${path}:3: ${not}text: expected a text, got an array of 1`);
    assertEquals(refused(lines[2]!), `${path}:2: ${not}expected no key "more", got an object`);
    assertEquals(refused("{}"), `${path}:2: ${not}index: expected an integer, got nothing`);
  });
});

/** Results of a damaged journal, once what it lacks is appended; the line where it is refused. */
function goneOn(path: string, open: () => Journal<Entry>, damaged: Uint8Array<ArrayBuffer>): Entry[] | string {
  Deno.writeFileSync(path, damaged);
  try {
    using journal = open();
    for (const entry of ENTRIES) if (!journal.entries.has(entry.index)) journal.append(entry);
    return [...journal.entries.values()].sort((a, b) => a.index - b.index);
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown;
    return thrown.message;
  }
}

Deno.test("Journal that is damaged in any way gives the same results, or is refused by file and line", () => {
  withJournal((path, open) => {
    const whole = fill(path), undamaged = ENTRIES.toSorted((a, b) => a.index - b.index);
    let refused = 0, redone = 0;
    for (const [what, make] of [...turnedBits(whole), ...movedLines(whole)]) {
      const damaged = make(), found = goneOn(path, open, damaged);
      if (typeof found === "string") {
        refused++;
        const named = found.startsWith(`${path}:`) || found.startsWith(`${path}: was written with other settings (`);
        assert(named && !found.includes("\n"), `${what}: ${found}`);
        assertEquals(Deno.readFileSync(path), damaged, `${what}: it was changed`);
      } else {
        redone++;
        assertEquals(found, undamaged, what);
      }
    }
    // Redone: the last line without its break, by eight bits and by cuts; with something after it that has none.
    assert(refused > 8 * (whole.length - 1) && redone >= 8, `${refused} refused, ${redone} redone`);
  });
});

Deno.test("Journal of a first line alone is refused by its line where its checksum is none", () => {
  withJournal((path, open) => {
    open()[Symbol.dispose]();
    const whole = Deno.readFileSync(path), field = whole.length - ',"crc32":"01234567"}\n'.length;
    let damages = 0;
    for (const [what, make] of turnedBits(whole)) {
      const damaged = make(), at = damaged.findIndex((byte, i) => byte !== whole[i]);
      if (at < field || at === whole.length - 1) continue;
      damages++;
      for (
        const use of [
          () => open(),
          () => Journal.open(path, HEADER, readEntry, "replace"),
          () => isOther(readJournal(path, HEADER, readEntry)),
        ]
      ) {
        Deno.writeFileSync(path, damaged);
        const { message } = assertThrows(use, InputError, `${path}:1: `, what);
        assert(message.endsWith("delete this line and all below it, and the run makes them again"), message);
      }
    }
    assertEquals(damages, 8 * 20);
  });
});

Deno.test("Journal says which line is damaged, and that the run makes the rest again once it is gone", () => {
  withJournal((path, open) => {
    const whole = fill(path), lines = new TextDecoder().decode(whole).split("\n");
    Deno.writeTextFileSync(path, lines.with(2, lines[2]!.replace("nüll", "nuell")).join("\n"));
    const { message } = assertThrows(() => open(), InputError);
    const [, own] = /"crc32":"(.*)"\}$/.exec(lines[2]!)!;
    const rest = "; delete this line and all below it, and the run makes them again";
    const expected = `${path}:3: expected checksum ${own} of all lines up to it, got `;
    assert(message.startsWith(expected) && message.endsWith(rest), message);
    Deno.writeTextFileSync(path, lines.slice(0, 2).map((line) => `${line}\n`).join(""));
    {
      using journal = open();
      assertEquals([...journal.entries.values()], [ENTRIES[0]!]);
      for (const entry of ENTRIES.slice(1)) journal.append(entry);
    }
    assertEquals(Deno.readFileSync(path), whole);
  });
});

Deno.test("Journal of a version without checksums goes on, and what stands in it is covered from then on", () => {
  withJournal((path, open) => {
    const old = unsealedJournal(new TextDecoder().decode(fill(path))).split(/(?<=\n)/),
      earlier = old.slice(0, 3).join("");
    Deno.writeTextFileSync(path, earlier);
    {
      using journal = open();
      assertEquals([...journal.entries.values()], ENTRIES.slice(0, 2));
      journal.append(ENTRIES[2]!);
    }
    const grown = Deno.readTextFileSync(path);
    assert(grown.startsWith(earlier) && /"text":"eins","crc32":"[0-9a-f]{8}"\}\n$/.test(grown), grown);
    {
      using journal = open();
      assertEquals([...journal.entries.values()], ENTRIES);
    }
    Deno.writeTextFileSync(path, grown.replace("drei", "frei"));
    // Which of the four it is, nothing tells.
    const above = "it, or a line above, was changed: delete this file, and the run makes it again";
    for (const [from, to] of [["drei", "frei"], ["eins", "keins"]] as const) {
      assert(grown.includes(from));
      Deno.writeTextFileSync(path, grown.replace(from, to));
      const { message } = assertThrows(() => open(), InputError, `${path}:4: expected checksum`);
      assert(message.endsWith(above), message);
    }
    Deno.writeTextFileSync(path, grown + old[1]!);
    assertThrows(() => open(), InputError, `${path}:5: expected a checksum at its end, got none`);
    Deno.writeTextFileSync(path, earlier + old[1]!);
    assertThrows(() => open(), InputError, `${path}:4: expected a result that no line above has, got result 3; delete`);
  });
});

Deno.test("the checksum of a line is the CRC-32 of the file up to it without these fields", async () => {
  const text = sealedJournal('{"a":1}\n{"index":0}\n'), [first, second] = text.split("\n");
  // As gzip has it, eight bytes before its end.
  const gzipped = async (plain: string) => {
    const stream = new Blob([plain]).stream().pipeThrough(new CompressionStream("gzip"));
    const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
    return bytes.subarray(-8, -4).toReversed().toHex();
  };
  assertEquals(first, `{"a":1,"crc32":"${await gzipped('{"a":1}\n')}"}`);
  assertEquals(second, `{"index":0,"crc32":"${await gzipped('{"a":1}\n{"index":0}\n')}"}`);
});
