/** Memories of WebAssembly that hold a model. */
import { allocateMemories } from "../../../src/backends/emulate/memories.ts";
import { FailureError } from "../../../src/errors.ts";
import { assert, assertEquals, assertRejects } from "../../assert.ts";

const PAGE = 65_536, SIZES = [PAGE, 3000 * PAGE, 2000 * PAGE];

/** Kilobytes beside its heap that V8 counts as if garbage were in them, after a collection in the main thread. */
async function countedByV8(bytes: number, many: number): Promise<number> {
  const script = new URL("./count_memories.ts", import.meta.url).pathname;
  const flags = ["run", "--no-prompt", "--allow-read", "--v8-flags=--expose-gc,--trace-gc-verbose"];
  const command = new Deno.Command(Deno.execPath(), { args: [...flags, script, `${bytes}`, `${many}`] });
  const { success, stdout } = await command.output();
  assert(success);
  const lines = new TextDecoder().decode(stdout).matchAll(/External memory reported: +(\d+) KB/g);
  return Number([...lines].at(-1)![1]);
}

for (const [what, many] of [["by another thread", 1], ["by this thread", Infinity]] as const) {
  Deno.test(`memories of WebAssembly, made ${what}, are as large as asked for and cannot grow`, async () => {
    const memories = await allocateMemories(SIZES, many);
    assertEquals(memories.map(({ buffer }) => buffer.byteLength), SIZES);
    for (const memory of memories) {
      assert(memory.buffer instanceof SharedArrayBuffer);
      assertEquals(new Uint8Array(memory.buffer).at(-1), 0);
      let grew = true;
      try {
        memory.grow(1);
      } catch {
        grew = false;
      }
      assertEquals(grew, false);
    }
  });
}

Deno.test("V8 does not count memories that another thread made larger as garbage that it could free", async () => {
  const bytes = 100 * 2 ** 20;
  // Were these not counted, there would be nothing to spare.
  assert(await countedByV8(bytes, Infinity) >= bytes / 1024);
  const spared = await countedByV8(bytes, bytes);
  assert(spared < 4096, `${spared}`);
});

Deno.test("a memory that cannot be had is a failure of one line, whichever thread makes it", async () => {
  for (const many of [1, Infinity]) {
    const error = await assertRejects(() => allocateMemories([PAGE, 70_000 * PAGE], many), FailureError);
    assert(/^a WASM memory of 4587520000 bytes could not be had: .+$/.test(error.message), error.message);
  }
});

Deno.test("a thread that is no main one has its memories made by another, too", async () => {
  const worker = new Worker(new URL("./memories_worker.ts", import.meta.url), { type: "module" });
  const sizes = await new Promise<number[]>((resolve) => {
    worker.onmessage = ({ data }: MessageEvent<number[]>) => resolve(data);
    worker.postMessage(SIZES);
  });
  worker.terminate();
  assertEquals(sizes, SIZES);
});
