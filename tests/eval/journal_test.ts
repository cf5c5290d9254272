import { Journal } from "../../src/eval/journal.ts";
import { InputError } from "../../src/errors.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
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
      [header, ENTRIES[1]].map((value) => `${JSON.stringify(value)}\n`).join(""),
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
    const read = (value: unknown) => z.strictObject({ index: z.int(), text: z.string() }).parse(value);
    const refused = (...lines: string[]) => {
      Deno.writeTextFileSync(path, [JSON.stringify(HEADER), ...lines, ""].join("\n"));
      return assertThrows(() => Journal.open(path, HEADER, read), InputError).message;
    };
    const not = "not a result that this program wrote: ";
    assertEquals(refused(lines[0]!, lines[1]!), `${path}:3: ${not}text: expected string, got an array of 1`);
    assertEquals(refused(lines[2]!), `${path}:2: ${not}expected no key "more", got an object`);
    assertEquals(refused("{}"), `${path}:2: ${not}index: expected number, got nothing`);
  });
});
