import { randomCheckpoint } from "../../src/checkpoint/random/checkpoint.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { serveRoom } from "../../src/serve/engine/room.ts";
import { cacheShare } from "../../src/session/device_memory.ts";
import { DEFAULTS, planSetting } from "../../src/session/setting.ts";
import { assertEquals } from "../assert.ts";

Deno.test("serveRoom() fills 2 GiB of the processor, and half of what weights leave on a device", () => {
  const checkpoint = randomCheckpoint({ shape: SHAPES["gpt-oss-20b"], layout: "hf_mxfp4" });
  const contexts = (gigabytes: number | null, models = 1) => {
    const setting = planSetting({ ...DEFAULTS, checkpoint, backend: gigabytes === null ? "emulate" : "cuda" });
    const bytes = gigabytes === null ? null : cacheShare(gigabytes * 1e9, Array(models).fill(setting));
    return [1, 16, 64].map((slots) => serveRoom(setting, slots, undefined, bytes).context);
  };
  assertEquals(contexts(null), [32_768, 2048, 1024]);
  assertEquals(contexts(85), [32_768, 32_768, 16_384]);
  assertEquals(contexts(85, 3), [32_768, 8192, 2048]);
  assertEquals(contexts(24), [32_768, 8192, 1024]);
  assertEquals(contexts(12), [1024, 1024, 1024]);
});
