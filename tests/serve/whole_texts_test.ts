import { z } from "zod";
import { ApiError } from "../../src/serve/api_error.ts";
import { parseBody } from "../../src/serve/http/parse_body.ts";
import { assertEquals, assertThrows } from "../assert.ts";

const read = (body: string) => parseBody(z.unknown(), body);

Deno.test("a body with half of a character is refused, wherever it is, by the name of its field", () => {
  const refused: readonly (readonly [body: string, field: string])[] = [
    [String.raw`{"prompt": "a\ud83d"}`, "prompt"],
    [String.raw`{"prompt": "\uDE00\uD83D"}`, "prompt"],
    [String.raw`{"messages": [{}, {"content": [{"text": "\udbff!"}]}]}`, "messages.1.content.0.text"],
    [String.raw`{"tools": [{"\ud800": 1}]}`, "tools.0"],
    [String.raw`{"\ud800": 1}`, "body"],
    [String.raw`"\ud800"`, "body"],
  ];
  for (const [body, field] of refused) {
    const error = assertThrows(() => read(body), ApiError, `${field}: expected a text of whole characters, got `);
    assertEquals([error.status, error.param], [400, field]);
  }
});

Deno.test("both halves, and escapes that are spelled out, are characters like others", () => {
  const texts = [String.raw`\ud83d\ude00`, String.raw`\\ud83d`, String.raw`\uD7FF\uE000\ufffd`];
  for (const text of texts) assertEquals(read(`["${text}"]`), [JSON.parse(`"${text}"`)]);
});
