import { canMap, shareRange } from "../../../src/backends/emulate/load.ts";
import { assert, assertEquals } from "../../assert.ts";

const PAGE = 65_536;

Deno.test(
  "shareRange() lets memories share whole pages of a range, and nothing beside it",
  { ignore: !canMap() },
  () => {
    const views = Array.from({ length: 3 }, () => {
      const memory = new WebAssembly.Memory({ initial: 4, maximum: 4, shared: true });
      return new Uint8Array(memory.buffer).fill(7);
    });
    assert(shareRange(views, PAGE + 5, 3 * PAGE + 100));
    const [first, second, third] = views as [Uint8Array, Uint8Array, Uint8Array];
    const from = PAGE + 4096, to = 3 * PAGE;
    second[from] = 1;
    third[to - 1] = 2;
    for (const view of views) assertEquals([view[from], view[from + 1], view[to - 1]], [1, 0, 2]);
    first[from - 1] = 3;
    third[to] = 4;
    assertEquals([second[from - 1], third[from - 1], first[to], second[to]], [7, 7, 7, 7]);
  },
);

Deno.test("shareRange() leaves memories alone where the range has no whole page", () => {
  const view = new Uint8Array(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer).fill(7);
  assertEquals(shareRange([view, view], 4097, 8191), false);
  assert(view.every((byte) => byte === 7));
});
