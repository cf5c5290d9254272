import { Breath } from "../src/breath.ts";
import { assert, assertEquals } from "./assert.ts";

Deno.test("Breath is due once the event loop was kept waiting, and lets a timer run", async () => {
  const breath = new Breath();
  let ran = false;
  setTimeout(() => ran = true, 0);
  for (const end = performance.now() + 45; performance.now() < end;);
  assertEquals([breath.due, ran], [true, false]);
  await breath.take();
  assertEquals([breath.due, ran], [false, true]);
});

Deno.test("Breath lets connections go on, and takes less than the shortest timer", async () => {
  const breath = new Breath(), times: number[] = [];
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let done = false;
  const echoed = (async () => {
    const { hostname, port } = listener.addr;
    const [here, there] = await Promise.all([Deno.connect({ hostname, port }), listener.accept()]);
    await here.write(Uint8Array.of(7));
    await there.read(new Uint8Array(1));
    here.close();
    there.close();
    done = true;
  })();
  while (!done || times.length < 9) {
    const began = performance.now();
    await breath.take();
    times.push(performance.now() - began);
  }
  await echoed;
  // It takes 116 of one turn each.
  assert(times.length < 20, `${times.length} breaths`);
  assert(Math.min(...times) < 1, `${times}`);
});
