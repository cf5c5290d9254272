/** Where tokens begin in a text, as clients in Python count. */
import { assertEquals } from "../assert.ts";
import { openServing } from "./serving.ts";

Deno.test("text_offset counts characters, of which JavaScript's strings have some as two", async () => {
  await using server = await openServing();
  for (const before of ["", "é", "😀", "a😀é𝄞 b"]) {
    const body = { prompt: `${before} Tom has`, max_tokens: 2, temperature: 0, echo: true, logprobs: 1 };
    const { choices: [{ text, logprobs }] } = await (await server.post("/v1/completions", body)).json();
    const characters = Array.from<string>(text), at = logprobs.tokens.indexOf(" Tom");
    assertEquals(logprobs.text_offset[at], Array.from(before).length);
    assertEquals(characters.slice(logprobs.text_offset[at + 1]).join("").startsWith(" has"), true);
  }
});
