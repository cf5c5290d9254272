import { InputError } from "../../../src/errors.ts";
import { adopting, attempts, Gathered, shardDirectory, shardsIn } from "../../../src/eval/shards/attempts.ts";
import type { OpenStore } from "../../../src/eval/stores.ts";
import { assert, assertEquals, assertThrows } from "../../assert.ts";
import { TemporaryDirectory } from "../../checkpoint/container.ts";

interface Entry {
  readonly index: number;
  readonly text: string;
}

const HEADER = { kind: "test" };
const read = (value: unknown) => value as Entry;
const open = (store: OpenStore, header: unknown = HEADER, others: "refuse" | "replace" = "refuse") =>
  store("answers.a", header, read, others);

/** Writes as another process would: under the name of another attempt. */
function another(dir: string, attempt: string, entries: readonly Entry[], header: unknown = HEADER): string {
  const path = `${dir}/answers.a.${attempt.repeat(16)}.jsonl`;
  Deno.mkdirSync(dir, { recursive: true });
  Deno.writeTextFileSync(path, [header, ...entries].map((line) => `${JSON.stringify(line)}\n`).join(""));
  return path;
}

const one = { index: 1, text: "one" }, two = { index: 2, text: "two" }, three = { index: 3, text: "three" };

Deno.test("an attempt reads what others have whole, and writes a file that is its own", () => {
  using temporary = new TemporaryDirectory();
  const dir = temporary.path, path = another(dir, "a", [one, two]), whole = Deno.readFileSync(path);
  for (let length = 0; length <= whole.length; length++) {
    Deno.writeFileSync(path, whole.subarray(0, length));
    using store = open(attempts(dir));
    const lines = whole.subarray(0, length).filter((byte) => byte === 0x0a).length;
    assertEquals([...store.entries.keys()], [1, 2].slice(0, Math.max(0, lines - 1)), `${length} bytes`);
  }
  assertEquals([...Deno.readDirSync(dir)].length, 1);
  {
    using store = open(attempts(dir));
    store.append(three);
    // Another attempt goes on meanwhile, and its file is left alone.
    another(dir, "b", [three]);
  }
  assertEquals(Deno.readFileSync(path), whole);
  using store = open(attempts(dir));
  assertEquals([...store.entries.values()].sort((a, b) => a.index - b.index), [one, two, three]);
  assertEquals([...Deno.readDirSync(dir)].length, 3);
});

Deno.test("results of other settings are refused or left alone, and attempts that disagree are refused", () => {
  using temporary = new TemporaryDirectory();
  const dir = temporary.path;
  another(dir, "a", [one], { kind: "other" });
  const { message } = assertThrows(() => open(attempts(dir)), InputError);
  assert(
    message.endsWith('was written with other settings (kind was "other", is "test"); choose another out'),
    message,
  );
  using store = open(attempts(dir), HEADER, "replace");
  assertEquals(store.entries.size, 0);
  another(dir, "b", [one]);
  another(dir, "c", [{ index: 1, text: "eins" }]);
  assertThrows(() => open(attempts(dir), HEADER, "replace"), InputError, "has another result 1 than an attempt before");
});

Deno.test("attempts that disagree in what is not kept of a result are refused, too", () => {
  using temporary = new TemporaryDirectory();
  const dir = temporary.path, lean = (entry: Entry) => ({ ...entry, text: "" });
  const gathered = () => {
    const found = new Gathered<Entry>(lean);
    found.addShard(dir, "answers.a", HEADER, read, "refuse");
    return [...found.entries.values()];
  };
  another(dir, "a", [one, two]);
  another(dir, "b", [two, three]);
  assertEquals(gathered(), [one, two, three].map(lean));
  // As long as the other one.
  const path = another(dir, "c", [{ index: 3, text: "thee!" }]);
  assertEquals(
    assertThrows(gathered, InputError).message,
    `${path}: has another result 3 than an attempt before; remove that of the machine that is wrong`,
  );
});

Deno.test("results that come up once are read once, and compared with nothing", () => {
  using temporary = new TemporaryDirectory();
  const dir = temporary.path, seen: string[] = [];
  const noting = (value: unknown): Entry => {
    const entry = value as Entry;
    seen.push(`read ${entry.index}`);
    return { ...entry, ...{ toJSON: () => seen.push(`text ${entry.index}`) && entry } };
  };
  const gathered = (lean: ((entry: Entry) => Entry) | null) => {
    const found = new Gathered<Entry>(lean);
    found.addShard(dir, "answers.a", HEADER, noting, "refuse");
    return seen.splice(0);
  };
  another(dir, "a", [one, two]);
  another(dir, "b", [three]);
  for (const lean of [null, (entry: Entry) => entry]) assertEquals(gathered(lean), ["read 1", "read 2", "read 3"]);
  another(dir, "c", [three]);
  const again = ["read 1", "read 2", "read 3", "read 3"], texts = ["text 3", "text 3"];
  assertEquals(gathered(null), [...again, ...texts]);
  // Nothing is whole of what was kept: both files with the result are read again, and no other one.
  assertEquals(gathered((entry) => entry), [...again, "read 3", "read 3", ...texts]);
});

Deno.test("a file whose results several files have is compared with each", () => {
  using temporary = new TemporaryDirectory();
  const dir = temporary.path, lean = (entry: Entry) => ({ ...entry, text: "" });
  another(dir, "a", [one]);
  another(dir, "b", [two, three]);
  const path = another(dir, "c", [three, one, { index: 2, text: "zwei" }]);
  for (const kept of [null, lean]) {
    const { message } = assertThrows(() => {
      new Gathered<Entry>(kept).addShard(dir, "answers.a", HEADER, read, "refuse");
    }, InputError);
    assertEquals(
      message,
      `${path}: has another result 2 than an attempt before; remove that of the machine that is wrong`,
    );
  }
});

Deno.test("a run takes from shards what it asks for itself", () => {
  using temporary = new TemporaryDirectory();
  const out = temporary.path, shard = (number: number, of: number) => shardDirectory(out, { number, of });
  another(shard(1, 2), "a", [one, two]);
  another(shard(2, 2), "a", [three]);
  another(shard(10, 12), "a", [{ index: 9, text: "other settings" }], { kind: "other" });
  Deno.mkdirSync(`${out}/shards/no-shard`);
  assertEquals(shardsIn(out).map(({ shard: { number, of } }) => `${number}/${of}`), ["1/2", "2/2", "10/12"]);
  assertEquals(shardsIn(`${out}/nowhere`), []);
  Deno.mkdirSync(shard(1, 3));
  {
    const wants = (_name: string, index: number) => index !== 3;
    using store = open(adopting(attempts(shard(1, 3)), shardsIn(out), null, wants));
    assertEquals([...store.entries.values()], [one, two]);
  }
  const own = new Gathered<Entry>();
  own.addShard(shard(1, 3), "answers.a", HEADER, read, "refuse");
  assertEquals([...own.entries.values()], [one, two]);
});
