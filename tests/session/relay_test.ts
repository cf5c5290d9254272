import { Relay } from "../../src/session/relay.ts";
import { assertEquals, assertRejects } from "../assert.ts";

Deno.test("take() gives values in order, and put() resolves when the next is wanted", async () => {
  const relay = new Relay<number>(), log: string[] = [];
  const producer = (async () => {
    for (const value of [1, 2]) log.push(`put ${value}: ${await relay.put(value)}`);
    relay.end();
  })();
  log.push(`took ${(await relay.take())?.value}`);
  await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals(log, ["took 1"]);
  log.push(`took ${(await relay.take())?.value}`);
  assertEquals(await relay.take(), null);
  await producer;
  assertEquals(log.toSorted(), ["put 1: true", "put 2: true", "took 1", "took 2"]);
});

Deno.test("leave() answers the put that waits, and every later one, with false", async () => {
  const relay = new Relay<number>(), answer = relay.put(1);
  await relay.take();
  relay.leave();
  assertEquals([await answer, await relay.put(2)], [false, false]);
});

Deno.test("take() throws what fail() was given, after the value that waits", async () => {
  const relay = new Relay<number>();
  relay.put(1);
  relay.fail(new TypeError("lost"));
  assertEquals(await relay.take(), { value: 1 });
  await assertRejects(() => relay.take(), TypeError, "lost");
});
