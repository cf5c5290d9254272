/** Tokens that ranks choose, on their way to whoever takes them. */
import { Queue } from "../../src/parallel/queue.ts";
import { assertEquals, assertRejects } from "../assert.ts";

Deno.test("Queue gives what came before a failure, and then the failure, however often that is asked", async () => {
  const queue = new Queue<number | null>();
  for (const value of [0, null, 7]) queue.put(value);
  queue.fail(new Error("a rank failed"));
  assertEquals([await queue.take(), await queue.take(), await queue.take()], [0, null, 7]);
  for (let i = 0; i < 2; i++) await assertRejects(() => queue.take(), Error, "a rank failed");
});

Deno.test("Queue gives a value, and a failure, to whoever waits already", async () => {
  const queue = new Queue<number>(), first = queue.take();
  queue.put(0);
  queue.put(1);
  assertEquals([await first, await queue.take()], [0, 1]);
  const failed = assertRejects(() => queue.take(), Error, "a rank failed");
  queue.fail(new Error("a rank failed"));
  await failed;
});
