import { canMap, letGo, mapRuns } from "../../../src/backends/emulate/load.ts";
import { assertEquals } from "../../assert.ts";
import { TemporaryDirectory } from "../../checkpoint/container.ts";

const PAGE = 4096;

Deno.test(
  "letGo() gives back the pages of mapped runs, which come from the file again, and no others",
  { ignore: !canMap() },
  async () => {
    using dir = new TemporaryDirectory();
    const path = `${dir.path}/weights`, bytes = new Uint8Array(4 * PAGE).fill(1);
    Deno.writeFileSync(path, bytes);
    const memory = new WebAssembly.Memory({ initial: 2, maximum: 2, shared: true }),
      view = new Uint8Array(memory.buffer);
    const runs = [{ file: 0, offset: PAGE, address: 2 * PAGE, bytes: 2 * PAGE }];
    mapRuns([{ path, bytes: bytes.length }], [{ view, runs }]);
    const places = [PAGE, 2 * PAGE, 4 * PAGE - 1, 4 * PAGE], seen = () => places.map((place) => view[place]);
    assertEquals(seen(), [0, 1, 1, 0]);
    // Mapped privately: what is written here the file does not get.
    for (const place of places) view[place] = 2;
    await letGo([{ view, runs }], 2);
    assertEquals(seen(), [2, 1, 1, 2]);
  },
);
