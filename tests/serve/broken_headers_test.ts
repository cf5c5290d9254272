/**
 * Replies whose headers are broken, as those of a model that lost much to its quantization: what is shown of them has
 * its log probabilities and its place in the usage, as what stands in harmony has.
 */
import { CHAT } from "../../src/serve/endpoints/chat.ts";
import { ReplyItems, type TokenItems } from "../../src/serve/chat/items.ts";
import { responseEndpoints } from "../../src/serve/endpoints/responses.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assert, assertEquals } from "../assert.ts";
import { TINY } from "../text/goldens.ts";
import { ANSWER, assemble, messages, THOUGHT } from "./chats.ts";
import { type Json, scripted } from "./scripted.ts";

const server = scripted([CHAT, ...responseEndpoints()]);
const tokenizer = await Tokenizer.fromDirectory(TINY);

/** Replies, what is shown of them and is scored, and what is reasoning. */
const BROKEN: readonly (readonly [reply: string, content: string, reasoning: string])[] = [
  ["to the end of it caf\u00e9<|return|>", "to the end of it caf\u00e9", ""],
  ["assist me \u{1f31e}<|return|>", "assist me \u{1f31e}", ""],
  ["<|channel|>final Four of them.<|return|>", "Four of them.", ""],
  ["<|channel|>final Four of them.", "Four of them.", ""],
  // " How" is one token.
  ["<|channel|>final How many?<|return|>", "How many?", ""],
  ["<|channel|>final \u{1f31e}\u00e9 is\n\nhere<|return|>", "\u{1f31e}\u00e9 is\n\nhere", ""],
  ["<|channel|>analysis Let me see.<|end|><|start|>assistant<|channel|>final Four.<|return|>", "Four.", "Let me see."],
  [`${THOUGHT}<|channel|>final Four.<|return|>`, "Four.", "Let me see."],
  ["<|start|>assistant Four.<|start|>assistant", "Four.", ""],
];

/** The text of scored tokens. */
const textOf = (scores: Json) => new TextDecoder().decode(Uint8Array.from(scores.flatMap(({ bytes }: Json) => bytes)));

/** Tokens that a text has by itself, where that is how it was replied. */
const countOf = (text: string) => tokenizer.encode(text).length;

Deno.test("chat: what is shown of a broken reply is scored and counted, whole and streamed", async () => {
  for (const [reply, content, reasoning] of BROKEN) {
    server.script(reply, reply);
    const asked = { messages, logprobs: true, top_logprobs: 1 };
    const { json: { choices: [{ message, logprobs }], usage } } = await server.post("/v1/chat/completions", asked);
    assertEquals([message.content, message.reasoning ?? ""], [content, reasoning], reply);
    // A blank after a header can be of the token of what follows.
    assertEquals(textOf(logprobs.content).trimStart(), content, reply);
    const { reasoning_tokens } = usage.completion_tokens_details;
    assert(
      Math.abs(reasoning_tokens - countOf(reasoning)) <= 1 && (reasoning_tokens > 0) === (reasoning !== ""),
      reply,
    );
    const events = await server.stream("/v1/chat/completions", {
      ...asked,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = events.slice(0, -1).map(({ data }) => data);
    assertEquals(assemble(events).content, content, reply);
    assertEquals(chunks.flatMap(({ choices: [choice] }) => choice?.logprobs?.content ?? []), logprobs.content, reply);
    assertEquals(chunks.at(-1).usage, usage, reply);
  }
});

Deno.test("responses: what is shown of a broken reply is scored and counted", async () => {
  for (const [reply, content, reasoning] of BROKEN) {
    server.script(reply);
    const asked = { input: "Weather?", include: ["message.output_text.logprobs"] };
    const { json: { output, usage } } = await server.post("/v1/responses", asked);
    const [{ text, logprobs }] = output.at(-1).content;
    assertEquals([text, textOf(logprobs).trimStart()], [content, content], reply);
    assertEquals(usage.output_tokens_details.reasoning_tokens > 0, reasoning !== "", reply);
  }
});

Deno.test("a token of a blank after a broken header and of a part of a character is the character's", () => {
  const special = ["<|channel|>", "<|return|>"], bytes = (text: string) => [...new TextEncoder().encode(text)];
  for (const [text, ...cuts] of [[" \u{1f31e}!", 3, 4], [" \u00e9", 2], [" \u20ac.", 2, 3], ["  \u20ac", 4]] as const) {
    const all = bytes(text), ends = [...cuts, all.length];
    const tokens = [...special.map(bytes), bytes("final"), ...ends.map((end, i) => all.slice(ends[i - 1] ?? 0, end))];
    const fake = {
      bytes: (id: number) => Uint8Array.from(tokens[id]!),
      copyBytes: () => 0,
      specialName: (id: number) => special[id] ?? null,
    };
    const items = new ReplyItems(fake, { stops: [], stopIds: new Set() });
    const said: string[] = [], kinds: unknown[] = [];
    const read = (taken: TokenItems) => {
      kinds.push(...taken.kinds);
      said.push(...taken.events.flatMap((event) => event.type === "text" ? [event.text] : []));
    };
    for (const id of [0, 2, ...ends.keys().map((i) => 3 + i), 1]) {
      items.watch(id);
      read(items.take());
    }
    read(items.finish());
    assertEquals(said.join(""), text.trimStart());
    assertEquals(kinds, [null, null, ...ends.map(() => "message"), null], text);
  }
});

Deno.test("chat: headers that are whole are neither scored nor counted, wherever the reply is cut", async () => {
  const reply = THOUGHT + ANSWER, count = tokenizer.encode(reply, { allowSpecial: true }).length;
  for (let max_tokens = 1; max_tokens <= count; max_tokens++) {
    server.script(reply);
    const { json: { choices: [{ message, logprobs }], usage } } = await server.post("/v1/chat/completions", {
      messages,
      logprobs: true,
      max_tokens,
    });
    assertEquals(textOf(logprobs.content), message.content, `${max_tokens} tokens`);
    const { reasoning_tokens } = usage.completion_tokens_details;
    assertEquals(reasoning_tokens > 0, message.reasoning !== null, `${max_tokens} tokens`);
    assert(reasoning_tokens + logprobs.content.length < usage.completion_tokens);
  }
});
