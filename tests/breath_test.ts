import { Breath } from "../src/breath.ts";
import { assertEquals } from "./assert.ts";

Deno.test("Breath is due once the event loop was kept waiting, and lets a timer run", async () => {
  const breath = new Breath();
  let ran = false;
  setTimeout(() => ran = true, 0);
  for (const end = performance.now() + 45; performance.now() < end;);
  assertEquals([breath.due, ran], [true, false]);
  await breath.take();
  assertEquals([breath.due, ran], [false, true]);
});
