/** Seeds of requests that JavaScript has no number for. */
import { CHAT } from "../../src/serve/endpoints/chat.ts";
import { assertEquals } from "../assert.ts";
import { scripted } from "./scripted.ts";

const PATH = "/v1/chat/completions", messages = [{ role: "user", content: "Hi" }];
const server = scripted([CHAT]);

Deno.test("chat: a seed of 64 bits is taken to its last digit, and a larger one refused", async () => {
  // JSON.stringify has no such number.
  const send = async (seed: string) => {
    const headers = { "content-type": "application/json" }, body = `{"messages":${JSON.stringify(messages)},"seed":`;
    const url = `http://localhost${PATH}`;
    const response = await server.app.fetch(new Request(url, { method: "POST", headers, body: `${body}${seed}}` }));
    const { error } = await response.json();
    return error === undefined ? server.jobs.at(-1)!.sampling.seed : [response.status, error.param, error.message];
  };
  for (const seed of ["9007199254740993", "9223372036854775807", "9007199254740991"]) {
    assertEquals(await send(seed), BigInt(seed));
  }
  assertEquals(await send("-9223372036854775808"), 2n ** 63n);
  for (const seed of ["9223372036854775808", "-9223372036854775809", "1e300", "1.5", '"1"']) {
    const message = `seed: expected an integer of up to 64 bits, got ${seed}`;
    assertEquals(await send(seed), [400, "seed", message]);
  }
});
