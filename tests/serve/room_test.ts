import { randomCheckpoint } from "../../src/checkpoint/random/checkpoint.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { sharedPositions } from "../../src/model/pages.ts";
import { serveRoom } from "../../src/serve/engine/room.ts";
import { cacheSize } from "../../src/session/cache_use.ts";
import { cacheShare } from "../../src/session/device_memory.ts";
import { DEFAULTS, planSetting } from "../../src/session/setting.ts";
import { assert, assertEquals } from "../assert.ts";

Deno.test("serveRoom() fills 2 GiB of the processor, and half of what weights leave on a device, with pages", () => {
  const checkpoint = randomCheckpoint({ shape: SHAPES["gpt-oss-20b"], layout: "hf_mxfp4" });
  const rooms = (gigabytes: number | null, models = 1) => {
    const setting = planSetting({ ...DEFAULTS, checkpoint, backend: gigabytes === null ? "emulate" : "cuda" });
    const bytes = gigabytes === null ? null : cacheShare(gigabytes * 1e9, Array(models).fill(setting));
    return [1, 16, 64].map((slots) => serveRoom(setting, slots, undefined, bytes));
  };
  const contexts = (...args: Parameters<typeof rooms>) => rooms(...args).map(({ context }) => context);
  assertEquals(contexts(null), [32_768, 2048, 1024]);
  // What one sequence could have alone, however many share the pages.
  assertEquals(contexts(85), [32_768, 32_768, 32_768]);
  assertEquals(contexts(85, 3), [32_768, 32_768, 32_768]);
  assertEquals(contexts(24), [32_768, 32_768, 32_768]);
  assertEquals(contexts(12), [1024, 1024, 1024]);
  assertEquals(rooms(null).map(({ pages }) => pages), [undefined, undefined, undefined]);
  // Of 1.5 MiB; one sequence needs no more than 512 and those that sliding layers go back to.
  assertEquals(rooms(85).map(({ pages }) => pages), [555, 8880, 22_645]);
  assertEquals(rooms(12).map(({ pages }) => pages), [31, 31, 31]);
});

Deno.test("serveRoom() keeps to the memory that is asked for, on a device as on the processor", () => {
  const checkpoint = randomCheckpoint({ shape: SHAPES["gpt-oss-20b"], layout: "hf_mxfp4" }), { config } = checkpoint;
  const room = (backend: "emulate" | "cuda", slots: number, asked: number) => {
    const setting = planSetting({ ...DEFAULTS, checkpoint, backend });
    const room = serveRoom(setting, slots, undefined, backend === "cuda" ? 4e10 : null, asked);
    assert(slots === 16 || cacheSize(setting, room).bytes <= asked);
    return room;
  };
  assertEquals([1, 16].map((slots) => room("emulate", slots, 2 ** 29).context), [16_384, 1024]);
  const { context, pages } = room("cuda", 128, 1e9), page = 64 * 12 * 2 * 8 * 64 * 2;
  assertEquals([context, pages], [32_768, Math.floor(1e9 / page) - 1], "a page is nobody's");
  // They are too few for all to have their windows at once: one may have its context.
  assertEquals(sharedPositions(config, pages!, 200, context), 32_768);
  assertEquals(sharedPositions(config, 22_646, 64, context), (22_646 - 64 * 3) * 64);
  // Windows of two pages and a part of a third, where there are any; without layers that see all there is nothing else.
  const shared = (sliding: boolean[], pages: number) =>
    sharedPositions({ sliding, slidingWindow: 128 }, pages, 5, 1000);
  assertEquals([shared([false, false], 100), shared([false, false], 10)], [100 * 64, 1000]);
  assertEquals([shared([false, true], 100), shared([true, true], 100)], [(100 - 5 * 3) * 64, 5 * 128]);
});
