import { Slots } from "../../src/session/slots.ts";
import { assertEquals } from "../assert.ts";

/** Appends tokens to a slot's sequence, as a session does after a batch. */
function append(slots: Slots, slot: number, ...tokens: number[]): void {
  const from = slots.length(slot);
  slots.keep({
    ids: Int32Array.from(tokens),
    slots: new Int32Array(tokens.length).fill(slot),
    positions: Int32Array.from(tokens, (_, i) => from + i),
  });
  slots.grow(slot, tokens.length);
}

Deno.test("Slots takes a sequence back to what it has in common, but leaves the last token to be computed", () => {
  const slots = new Slots(1),
    rewound = (...tokens: number[]) => {
      slots.reset(0);
      append(slots, 0, 1, 2, 3, 4);
      slots.rewind(0, tokens, 4);
      return slots.length(0);
    };
  assertEquals(rewound(1, 2, 3, 4), 3, "the same tokens: the last is for its logits");
  assertEquals(rewound(1, 2, 3, 4, 5), 4, "a continuation");
  assertEquals(rewound(1, 2), 1);
  assertEquals(rewound(1, 2, 9, 4), 2);
  assertEquals([rewound(9), rewound(1), rewound()], [0, 0, 0]);
});

Deno.test("Slots takes back exactly as many positions as may be, and one more altogether", () => {
  for (const [most, left] of [[3, 2], [2, 0], [0, 0]] as const) {
    const slots = new Slots(1);
    append(slots, 0, 1, 2, 3, 4, 5);
    assertEquals(slots.shared(0, [1, 2, 7], most), left);
    slots.rewind(0, [1, 2, 7], most);
    assertEquals(slots.length(0), left, `by ${most}`);
  }
});

Deno.test("Slots counts from the furthest that was written, also after it was taken back, and in copies", () => {
  // Sliding layers of 5 positions forgot what lies before, whatever the length is now.
  const slots = new Slots(2);
  append(slots, 0, 1, 2, 3, 4, 5);
  slots.rewind(0, [1, 2, 3, 7], 2);
  assertEquals([slots.length(0), slots.shared(0, [1, 2, 8], 2), slots.shared(0, [1, 2, 8], 3)], [3, 0, 2]);
  slots.fork(0, 1);
  assertEquals([slots.first(1, 3), slots.shared(1, [1, 2, 8], 2), slots.shared(1, [1, 2, 8], 3)], [[1, 2, 3], 0, 2]);
  // What is appended to one is not the other's.
  append(slots, 1, 6);
  assertEquals([slots.first(0, 3), slots.length(0), slots.first(1, 4)], [[1, 2, 3], 3, [1, 2, 3, 6]]);
  slots.reset(0);
  append(slots, 0, 1, 2, 3);
  assertEquals(slots.shared(0, [1, 8], 2), 1, "a new sequence begins anew");
  slots.rewind(0, [9], 0);
  append(slots, 0, 4, 5);
  assertEquals(slots.shared(0, [4, 8], 1), 1, "and so does one that was taken back altogether");
});
