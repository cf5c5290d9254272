import { Breath } from "../src/breath.ts";
import { assert, assertEquals } from "./assert.ts";
import { SetClock } from "./timers.ts";

/** Keeps the event loop waiting for some milliseconds, while the system goes on. */
const block = (milliseconds: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);

Deno.test("Breath is due once the event loop was kept waiting, and lets a timer run", async () => {
  using clock = new SetClock();
  const breath = new Breath();
  let ran = false;
  setTimeout(() => ran = true, 0);
  block(5);
  clock.milliseconds += 39.9;
  assertEquals(breath.due, false);
  clock.milliseconds += 0.1;
  assertEquals([breath.due, ran], [true, false]);
  await breath.take();
  assertEquals([breath.due, ran], [false, true]);
});

Deno.test("Breath lets connections go on, and takes turns of the event loop only, no timer's time", async () => {
  const breath = new Breath(), { setTimeout, setImmediate } = globalThis;
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let done = false, breaths = 0, turns = 0, timers = 0;
  const echoed = (async () => {
    const { hostname, port } = listener.addr;
    const [here, there] = await Promise.all([Deno.connect({ hostname, port }), listener.accept()]);
    await here.write(Uint8Array.of(7));
    await there.read(new Uint8Array(1));
    here.close();
    there.close();
    done = true;
  })();
  Object.assign(globalThis, {
    setTimeout: (...all: Parameters<typeof setTimeout>) => (timers++, setTimeout(...all)),
    setImmediate: (...all: Parameters<typeof setImmediate>) => (turns++, setImmediate(...all)),
  });
  try {
    for (; !done && breaths < 100; breaths++) {
      // What the system has to do for a connection is done meanwhile.
      block(5);
      await breath.take();
    }
  } finally {
    Object.assign(globalThis, { setTimeout, setImmediate });
  }
  await echoed;
  // It takes 3 or so; of one turn each it takes 116, as connections are looked at in every 61st.
  assert(done && breaths < 60, `${breaths} breaths`);
  assert(turns < 100 * breaths, `${turns} turns in ${breaths} breaths`);
  assertEquals(timers, 0);
});
