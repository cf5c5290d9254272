/** Costly schemas beside the stream of somebody else, whose tokens must not wait for them. */
import { assert, assertEquals } from "../assert.ts";
import { ONLY_SOAKED, SOAK } from "../soak.ts";
import { startServer } from "./server_process.ts";

/** Schemas that take a good part of a second to prepare, all different. */
const costly = (i: number) => ({ type: "string", pattern: `^(\\p{L}\\p{N}\\p{L}){30}${i}$` });
const ask = (more: object) => ({
  method: "POST",
  body: JSON.stringify({ messages: [{ role: "user", content: "Tom has 3 apples." }], temperature: 0, ...more }),
});

Deno.test({
  name: `a stream goes on while schemas of others are prepared${ONLY_SOAKED}`,
  ignore: !SOAK,
  fn: async () => {
    await using server = await startServer(["--context", "4096"]);
    const chat = `${server.url}/v1/chat/completions`;
    let events = 0;
    const aborted = new AbortController();
    const reading = (async () => {
      const asked = ask({ stream: true, max_tokens: 3900, ignore_eos: true });
      const response = await fetch(chat, { ...asked, signal: aborted.signal });
      for await (const piece of response.body!.pipeThrough(new TextDecoderStream())) {
        events += piece.split("data: ").length - 1;
      }
    })().catch((thrown) => {
      if (!aborted.signal.aborted) throw thrown;
    });
    while (events < 20) await new Promise((resolve) => setTimeout(resolve, 10));
    /** Pieces of the stream that come during a request of another's. */
    const during = async (more: object) => {
      const before = events, response = await fetch(chat, ask({ max_tokens: 1, ...more }));
      assertEquals(response.status, 200, await response.text());
      return events - before;
    };
    const constrained = (i: number) => ({
      response_format: { type: "json_schema", json_schema: { name: "a", schema: costly(i) } },
    });
    let free = 0, costing = 0;
    for (let i = 0; i < 4; i++) {
      free += await during({});
      costing += await during(constrained(i));
    }
    // Some hundred beside each schema and a few beside what costs nothing. On one thread the stream stood still for as
    // long as a schema took, so that both were a few.
    assert(costing > 100 && costing > 5 * free, `${costing} pieces beside schemas, ${free} without`);
    aborted.abort();
    await reading;
  },
});
