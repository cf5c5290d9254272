/** Questions to ranks as words, and messages between processes as bytes: they come as they were sent. */
import type { RankCommand } from "../../src/parallel/messages.ts";
import { packed, unpacked } from "../../src/parallel/packed.ts";
import type { Downward, Upward } from "../../src/parallel/process_messages.ts";
import { isQuestion, mostWordsOf, type Question, readQuestion, writeQuestion } from "../../src/parallel/question.ts";
import { assert, assertEquals } from "../assert.ts";

const NONE = new Int32Array(0);

/** Arrays that are listed, that are alike, that count, and that nearly do. */
const ARRAYS = [
  Int32Array.of(7, 2, 200_000, 0),
  Int32Array.of(3, 3, 3, 3),
  Int32Array.of(9, 10, 11, 12),
  Int32Array.of(9, 10, 11, 13),
  Int32Array.of(3, 3, 3, 4),
  Int32Array.of(9, 10, 7, 12),
  Int32Array.of(3, 3, 4, 3),
  Int32Array.of(0, -1, -2, -3),
  Int32Array.of(2 ** 31 - 2, 2 ** 31 - 1, -(2 ** 31), 1 - 2 ** 31),
];

function* questions(): Generator<Question> {
  for (const rows of [NONE, Int32Array.of(3), ...ARRAYS]) yield { kind: "logits", rows };
  for (const ids of ARRAYS) {
    for (const slots of ARRAYS) {
      for (const positions of ARRAYS) {
        const batch = { ids, slots, positions };
        yield { kind: "pick", batch, rows: Int32Array.of(3) };
        yield {
          kind: "compute",
          batch: { ...batch, pages: { copies: NONE, entries: ids } },
          rows: NONE,
          tapped: false,
        };
        yield { kind: "pick", batch: { ...batch, pages: { copies: slots, entries: NONE } }, rows: positions };
      }
    }
  }
}

/** The same bytes behind others, as what comes over a network may lie. */
function within(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(8 + bytes.length).fill(255, 0, 8);
  all.set(bytes, 8);
  return all.subarray(8);
}

Deno.test("questions come as they were asked, in memory that held others and in bytes", () => {
  const memory = new Int32Array(100).fill(-1);
  let count = 0;
  for (const question of questions()) {
    assert(writeQuestion(question, memory) <= mostWordsOf(question));
    assertEquals(readQuestion(memory), question);
    const down: Downward = { kind: "rank", session: 2, rank: 5, message: question };
    assertEquals(unpacked(within(packed(down))), down);
    count++;
  }
  assertEquals(count, 2 + ARRAYS.length + 3 * ARRAYS.length ** 3);
});

Deno.test("a prompt's question takes little more than its tokens", () => {
  const ids = Int32Array.from({ length: 2048 }, (_, i) => (7919 * i) % 200_000), slots = new Int32Array(2048).fill(4);
  const batch = { ids, slots, positions: ids.map((_, i) => i) };
  const bytes = packed({
    kind: "rank",
    session: 0,
    rank: 1,
    message: { kind: "pick", batch, rows: Int32Array.of(2047) },
  });
  assert(bytes.length < 4 * 2048 + 100, `${bytes.length} bytes`);
});

Deno.test("other messages between processes come as they were sent", () => {
  const batch = { ids: ARRAYS[0]!, slots: ARRAYS[1]!, positions: ARRAYS[2]! };
  const commands: RankCommand[] = [
    { kind: "compute", batch, rows: NONE, tapped: true },
    {
      kind: "decode",
      batch,
      steps: 4,
      sampling: [],
    },
    { kind: "close", parted: true },
  ];
  assert(!commands.some(isQuestion));
  const all: (Downward | Upward)[] = [
    ...commands.map((message): Downward => ({ kind: "rank", session: 0, rank: 1, message })),
    { kind: "pace", session: 1, until: 3, closed: false },
    { kind: "alive" },
    { kind: "rank", session: 0, rank: 1, said: { kind: "done" }, columns: null },
  ];
  for (const message of all) assertEquals(unpacked(packed(message)), message);
});
