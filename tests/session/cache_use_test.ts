/** What `--stats` says of the cache is what a backend sets aside. */
import { cacheGeometry } from "../../src/backends/emulate/cache.ts";
import { planWorkspace } from "../../src/backends/gpu/workspace.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { cacheSize, cacheUse, cacheUseJson, cacheUseText } from "../../src/session/cache_use.ts";
import { requestOf } from "../../src/session/request.ts";
import { Session } from "../../src/session/session.ts";
import { DEFAULTS, planSetting } from "../../src/session/setting.ts";
import { assertAlmostEquals, assertEquals } from "../assert.ts";
import { TINY } from "../serve/serving.ts";
import { openPaged, PagedEngine } from "./paged_engine.ts";

const checkpoint = openCheckpoint(TINY);
const on = (backend: "cuda" | "emulate") => planSetting({ ...DEFAULTS, checkpoint, backend });

Deno.test("cacheSize() is what a GPU allocates, with pages of their own and with shared ones", async () => {
  const setting = on("cuda");
  for (const room of [{ slots: 1, context: 700 }, { slots: 9, context: 333, chunk: 64, rewind: 40 }]) {
    for (const pages of [undefined, 50]) {
      const { bytes, pages: said } = cacheSize(setting, { ...room, pages });
      const request = await requestOf(setting, { ...room, pages });
      // Regions begin at multiples of 256 bytes.
      assertAlmostEquals(planWorkspace(request).cacheBytes, bytes, 256 * 64);
      assertEquals(said, pages ?? (room.slots === 1 ? 11 + 5 : 9 * (6 + 5)));
    }
  }
});

Deno.test("cacheSize() is what emulate allocates, with room for what is to be taken back", async () => {
  const setting = on("emulate");
  for (const room of [{ slots: 1, context: 700 }, { slots: 9, context: 333, chunk: 64, rewind: 40 }]) {
    const request = await requestOf(setting, room);
    const bytes = setting.checkpoint.config.sliding.map((_, layer) => 2 * cacheGeometry(request, layer).halfBytes);
    assertEquals(cacheSize(setting, room), {
      ...{ sequences: room.slots, context: room.context, pages: null },
      bytes: bytes.reduce((sum, layer) => sum + layer, 0),
    });
  }
});

Deno.test("cacheUse() says positions everywhere, and pages where there are some", async () => {
  const { session } = openPaged({ slots: 2, context: 640, maxTokens: 64, pages: 40 });
  await session.feed({ slot: 1, tokens: new Int32Array(130).fill(3), logits: "none" });
  const shared = cacheUse(on("cuda"), session);
  assertEquals([shared.positions, shared.pages, shared.pagesUsed], [130, 40, session.paging.use!.used]);
  // Each with a cache of its own; the embedded model's window is 128.
  const limits = { slots: 2, context: 640, maxTokens: 64, vocab: 97 };
  const own = new Session(new PagedEngine({ ...limits, pages: 40 }, false), { ...limits, pages: undefined });
  own.length = (slot) => slot === 0 ? 0 : 500;
  const cuda = cacheUse(on("cuda"), own);
  assertEquals([cuda.positions, cuda.pages, cuda.pagesUsed], [500, 2 * (10 + 4), 8 + 4]);
  assertEquals(cacheUseText(cuda), "cache 500 of 2 x 640 positions, 12 of 28 pages of 64, 1.84 MB");
  const emulate = cacheUse(on("emulate"), own);
  assertEquals(cacheUseText(emulate), "cache 500 of 2 x 640 positions, 1.7 MB");
  assertEquals(cacheUseJson(emulate), {
    ...{ sequences: 2, context: 640, bytes: 2 * 2 * (640 + 192) * 512, pages: null, page_positions: null },
    ...{ positions_used: 500, pages_used: null },
  });
});
