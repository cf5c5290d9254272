import { randomCheckpoint } from "../../src/checkpoint/random/checkpoint.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { chosenChunk, chosenDeviceChunk } from "../../src/session/chunk.ts";
import { requestOf } from "../../src/session/request.ts";
import { DEFAULTS, planSetting } from "../../src/session/setting.ts";
import { assertEquals } from "../assert.ts";

const shape = { ...SHAPES["gpt-oss-20b"], layers: 4 };
const checkpoint = randomCheckpoint({ shape, layout: "hf_mxfp4" });
const GIB = 2 ** 30;

Deno.test("chosenChunk() grows with the memory that can be had, and shrinks with ranks", () => {
  const { planned: { source } } = planSetting({ ...DEFAULTS, checkpoint });
  const chunks = [32 * GIB, 2 * GIB, GIB, null].map((available) =>
    chosenChunk(checkpoint.config, source, 1, available)
  );
  assertEquals(chunks, [512, 256, 128, 512]);
  assertEquals(chosenChunk(checkpoint.config, source, 8, 32 * GIB), 128);
});

Deno.test("chosenDeviceChunk() is large where weights are, and shrinks with ranks and the model", () => {
  const chunkOf = (layers: number, ranks: number, shared = false) => {
    const own = randomCheckpoint({ shape: { ...shape, layers }, layout: "hf_mxfp4" });
    const { planned: { source } } = planSetting({ ...DEFAULTS, checkpoint: own });
    return chosenDeviceChunk(own.config, source, ranks, shared);
  };
  assertEquals([1, 2, 4, 8].map((ranks) => chunkOf(24, ranks)), [2048, 2048, 1024, 512]);
  assertEquals([chunkOf(1, 1), chunkOf(1, 64)], [512, 128]);
  assertEquals([chunkOf(24, 1, true), chunkOf(1, 64, true)], [512, 128]);
});

Deno.test("a GPU's prompt has the chunk of the model and its ranks, or the one that is asked for", () => {
  const large = randomCheckpoint({ shape: SHAPES["gpt-oss-120b"], layout: "hf_mxfp4" });
  const chunkOf = (tp: number, ep: number, chunk?: number) => {
    const setting = planSetting({ ...DEFAULTS, checkpoint: large, backend: "cuda", tp, ep, chunk });
    return [setting.promptChunk, setting.chunk];
  };
  assertEquals([chunkOf(1, 1), chunkOf(4, 1), chunkOf(2, 2)], [[2048, 512], [2048, 512], [2048, 512]]);
  assertEquals([chunkOf(8, 1), chunkOf(2, 4)], [[2048, 512], [2048, 512]]);
  assertEquals(chunkOf(1, 1, 1024), [1024, 1024]);
});

Deno.test("one sequence has the chosen chunk, several have 128, and either has what is asked for", async () => {
  const chunk = async (asked: number | undefined, slots: number, backend: "emulate" | "reference" = "emulate") => {
    const setting = planSetting({ ...DEFAULTS, chunk: asked, backend, checkpoint });
    const { maxTokens } = await requestOf(setting, { slots, context: 4096 });
    return [maxTokens, setting.promptChunk];
  };
  const { promptChunk } = planSetting({ ...DEFAULTS, checkpoint });
  assertEquals(await chunk(undefined, 1), [promptChunk, promptChunk]);
  assertEquals(await chunk(undefined, 2), [128, promptChunk]);
  assertEquals(await chunk(undefined, 1, "reference"), [128, 128]);
  assertEquals([await chunk(64, 1), await chunk(64, 2)], [[64, 64], [64, 64]]);
});
