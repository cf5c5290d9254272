import { ApiError } from "../../src/serve/api_error.ts";
import { Content } from "../../src/serve/chat/content.ts";
import { parseBody } from "../../src/serve/http/parse_body.ts";
import { refuseLarge } from "../../src/serve/http/refuse_large.ts";
import { assertEquals, assertThrows } from "../assert.ts";

Deno.test("refuseLarge() refuses lists and objects of too many entries, however deep", () => {
  const list = (length: number, entry: unknown) => new Array<unknown>(length).fill(entry);
  refuseLarge({ prompt: [list(1 << 17, 5), list(1 << 14, "a")], other: null });
  refuseLarge(list(1 << 14, -1));
  refuseLarge({ prompt: list(1 << 17, 0) });
  const refused: [body: unknown, message: string][] = [
    [{ prompt: list((1 << 17) + 1, 5) }, "prompt: expected lists of at most 16384, or 131072 token ids, got 131073"],
    [{ a: { b: [[list((1 << 14) + 1, -1)]] } }, "a: expected lists of at most 16384, or 131072 token ids, got 16385"],
    // One entry that is no token id makes them a list like others.
    ...[1.5, "5", null].map((entry): [unknown, string] => [
      { prompt: [...list(1 << 14, 5), entry] },
      "prompt: expected lists of at most 16384, or 131072 token ids, got 16385",
    ]),
    [list((1 << 14) + 1, "x"), "body: expected lists of at most 16384"],
    [
      Object.fromEntries(list((1 << 14) + 1, 0).map((_, i) => [`k${i}`, i])),
      "body: expected at most 16384 keys, got 16385",
    ],
  ];
  for (const [body, message] of refused) {
    assertEquals(assertThrows(() => refuseLarge(body), ApiError, message).status, 400);
  }
});

Deno.test("refuseLarge() refuses what lies too deep in each other, and numbers that JavaScript has not", () => {
  const deep = (levels: number, open: string, close: string) =>
    JSON.parse(`${open.repeat(levels)}1${close.repeat(levels)}`) as unknown;
  for (const [open, close] of [["[", "]"], ['{"a":', "}"], ['[{"a":', "}]"]] as const) {
    const levels = Math.floor(1_000 / (open.length > 5 ? 2 : 1));
    refuseLarge({ tools: deep(levels, open, close) });
    for (const more of [levels + 1, 1_000_000]) {
      assertThrows(
        () => refuseLarge({ model: "x", tools: deep(more, open, close) }),
        ApiError,
        "tools: expected lists and objects nested at most 1000 deep, got more",
      );
    }
  }
  for (const body of ['{"seed": 1e999}', '{"seed": [{"a": -1e999}]}']) {
    assertThrows(() => refuseLarge(JSON.parse(body)), ApiError, "seed: expected numbers below 1.8e308, got ");
  }
});

Deno.test("a body that is wrong in every entry is the client's mistake, not an error of the server", () => {
  const wrong = (length: number) => () => parseBody(Content, JSON.stringify(new Array(length).fill({ type: "x" })));
  assertThrows(wrong(1 << 14), ApiError, "0: is no text");
  assertThrows(wrong(200_000), ApiError, "body: expected lists of at most 16384");
});
