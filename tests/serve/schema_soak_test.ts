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
    const gaps: { at: number; gap: number }[] = [];
    const aborted = new AbortController();
    const reading = (async () => {
      const asked = ask({ stream: true, max_tokens: 3900, ignore_eos: true });
      const response = await fetch(chat, { ...asked, signal: aborted.signal });
      let last = performance.now();
      for await (const _ of response.body!) {
        const now = performance.now();
        gaps.push({ at: now, gap: now - last });
        last = now;
      }
    })().catch((thrown) => {
      if (!aborted.signal.aborted) throw thrown;
    });
    while (gaps.length < 20) await new Promise((resolve) => setTimeout(resolve, 10));
    const began = performance.now(), took: number[] = [];
    for (let i = 0; i < 4; i++) {
      const started = performance.now(), format = { name: "a", schema: costly(i) };
      const response = await fetch(
        chat,
        ask({ max_tokens: 1, response_format: { type: "json_schema", json_schema: format } }),
      );
      assertEquals(response.status, 200, await response.text());
      took.push(performance.now() - started);
    }
    const ended = performance.now(), during = gaps.filter(({ at }) => at > began && at < ended);
    const longest = Math.max(...during.map(({ gap }) => gap)), least = Math.min(...took);
    assert(during.length > 50, `${during.length} pieces of the stream came meanwhile`);
    // On one thread the stream stood still for as long as a schema took.
    assert(longest < least / 2, `the stream waited ${longest.toFixed()} ms, a schema took ${least.toFixed()} ms`);
    aborted.abort();
    await reading;
  },
});
