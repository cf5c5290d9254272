/** Questions that reach a rank's thread by memory: what they hold, and what has to be posted in place of them. */
import { Mailbox } from "../../src/parallel/mailbox.ts";
import type { RankCommand } from "../../src/parallel/messages.ts";
import { assert, assertEquals } from "../assert.ts";

const batch = { ids: Int32Array.of(5, 6), slots: Int32Array.of(1, 1), positions: Int32Array.of(0, 1) };
const rows = Int32Array.of(1);
const pages = { copies: Int32Array.of(3, 4), entries: new Int32Array(0) };
const QUESTIONS: readonly RankCommand[] = [
  { kind: "compute", batch, rows, tapped: false },
  { kind: "compute", batch: { ...batch, pages }, rows: new Int32Array(0), tapped: false },
  { kind: "pick", batch: { ...batch, pages: { copies: new Int32Array(0), entries: Int32Array.of(7, 8) } }, rows },
  { kind: "logits", rows },
];

Deno.test("a question that is left where a rank listens comes as it was asked, each at its turn", () => {
  const asking = Mailbox.create(2), rank = new Mailbox(asking.shared);
  for (const question of QUESTIONS) {
    assert(!asking.leave(question), "nobody listens yet");
    rank.listen(0);
    assert(asking.leave(question));
    assert(!asking.leave(question), "the one before has not been taken");
    assertEquals(rank.take(), question);
  }
});

Deno.test("what a mailbox does not take is posted, and so is what follows until the rank has heard it", () => {
  const asking = Mailbox.create(2), rank = new Mailbox(asking.shared);
  const long = { kind: "compute", batch, rows: new Int32Array(100_000), tapped: false } as const;
  const others: RankCommand[] = [
    { kind: "copySlot", from: 0, to: 1, length: 2 },
    { kind: "compute", batch, rows, tapped: true },
    { kind: "close", parted: false },
    long,
  ];
  let heard = 0;
  for (const message of others) {
    rank.listen(heard);
    assert(!asking.leave(message));
    // The message that is on its way calls the rank away.
    asking.announce();
    assertEquals(rank.take(), null);
    assert(!asking.leave(QUESTIONS[0]!));
    // A rank that has not heard of it listens to nothing else before.
    rank.listen(heard);
    assert(!asking.leave(QUESTIONS[0]!));
    assertEquals(rank.take(), null);
    rank.listen(++heard);
    assert(asking.leave(QUESTIONS[0]!));
    assertEquals(rank.take(), QUESTIONS[0]);
  }
});

Deno.test("a rank that sleeps while nobody asks wakes for a question, and for a message", async () => {
  const asking = Mailbox.create(2);
  const source = `
    import { Mailbox } from ${JSON.stringify(new URL("../../src/parallel/mailbox.ts", import.meta.url))};
    self.onmessage = ({ data }) => {
      const rank = new Mailbox(data);
      for (;;) {
        rank.listen(0);
        self.postMessage("listens");
        const question = rank.take();
        self.postMessage(question);
        if (question === null) return;
      }
    };`;
  const worker = new Worker(`data:application/typescript,${encodeURIComponent(source)}`, { type: "module" });
  const heard: unknown[] = [];
  let onHeard = () => {};
  worker.onmessage = ({ data }) => void (heard.push(data), onHeard());
  const until = async (count: number) => {
    while (heard.length < count) await new Promise<void>((resolve) => onHeard = resolve);
  };
  worker.postMessage(asking.shared);
  await until(1);
  assert(asking.leave(QUESTIONS[0]!));
  await until(3);
  asking.announce();
  await until(4);
  assertEquals(heard, ["listens", QUESTIONS[0], "listens", null]);
  worker.terminate();
});
