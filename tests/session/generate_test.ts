/** Where a generation ends; what it draws is held by tests/model. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { type Finish, generate } from "../../src/session/generate.ts";
import { Sampler } from "../../src/session/sampler.ts";
import { assertEquals } from "../assert.ts";
import { TINY } from "../model/tiny.ts";
import { openSession } from "./open_session.ts";

const PROMPT = [17, 40, 23, 99];

Deno.test("generate() fills the context to its last position, and says why it ended", async () => {
  const checkpoint = openCheckpoint(TINY), shape = { dtype: "bf16", kvCacheDtype: "auto" } as const;
  const run = async (context: number, maxTokens: number, stops?: (ids: number[]) => number[]) => {
    const session = await openSession(checkpoint, { ...shape, backend: "emulate", threads: 1, context });
    try {
      const ids: number[] = [], stopIds = new Set<number>(stops?.(expected));
      const picker = new Sampler();
      const run = generate({ session, slot: 0, prompt: PROMPT, picker, stopIds, maxTokens });
      let next = await run.next();
      for (; !next.done; next = await run.next()) ids.push(next.value);
      const { reason, timings }: Finish = next.value;
      assertEquals([timings.promptTokens, timings.generatedTokens], [PROMPT.length, ids.length]);
      return { ids, reason, cached: session.length(0) };
    } finally {
      await session.close();
    }
  };
  let expected: number[] = [];
  const long = await run(64, 6);
  expected = long.ids;
  assertEquals([long.ids.length, long.reason, long.cached], [6, "length", PROMPT.length + 5]);
  for (const most of [0, 1]) {
    const { ids, reason, cached } = await run(64, most);
    assertEquals([ids, reason, cached], [expected.slice(0, most), "length", PROMPT.length], `${most}`);
  }
  // The last token needs no position of its own.
  for (const room of [0, 1, 3]) {
    const { ids, reason, cached } = await run(PROMPT.length + room, 100);
    assertEquals([ids, reason, cached], [expected.slice(0, room + 1), "context", PROMPT.length + room]);
  }
  const first = (ids: number[]) => ids.findIndex((id, i) => i > 0 && !ids.slice(0, i).includes(id));
  const stopped = await run(64, 6, (ids) => [ids[first(ids)]!]);
  assertEquals([stopped.ids, stopped.reason], [expected.slice(0, first(expected) + 1), "stop"]);
  // A stop token that is also the last that is allowed, or that the context holds, is a stop.
  assertEquals((await run(64, first(expected) + 1, (ids) => [ids[first(ids)]!])).reason, "stop");
  assertEquals((await run(PROMPT.length + first(expected), 6, (ids) => [ids[first(ids)]!])).reason, "stop");
  assertEquals((await run(PROMPT.length + 2, 3)).reason, "length");
});
