import type { Problem } from "../../src/eval/dataset.ts";
import {
  commonPrefix,
  makePrompt,
  PROMPT_DATE,
  type PromptOptions,
  readReply,
  StopWatch,
} from "../../src/eval/prompts.ts";
import { ChatRenderer } from "../../src/text/chat.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assert, assertEquals, assertStringIncludes } from "../assert.ts";
import { TINY } from "./sides.ts";

const tokenizer = await Tokenizer.fromDirectory(TINY);
const chat = await ChatRenderer.fromDirectory(TINY, tokenizer);

const problem = (index: number, question: string, answer: string): Problem => ({ index, question, answer, record: {} });
const ASKED = problem(0, "What is 1 + 1?", "It is 2.\n#### 2");
const SHOT = problem(1, "What is 2 + 3?", "It is 5.\n#### 5");

function render(options: Pick<PromptOptions, "format"> & Partial<PromptOptions>): string {
  return makePrompt(ASKED, { tokenizer, chat, shots: [SHOT], ...options }).text;
}

Deno.test("makePrompt() asks as the model was trained", () => {
  assertEquals(
    render({ format: "chat", shots: [] }),
    "<|start|>user<|message|>What is 1 + 1?<|end|><|start|>assistant",
  );
});

Deno.test("makePrompt() puts examples into earlier turns", () => {
  assertEquals(
    render({ format: "chat-lm-eval", system: "Reasoning: low" }),
    "<|start|>system<|message|>Reasoning: low<|end|>" +
      "<|start|>user<|message|>Question: What is 2 + 3?\nAnswer:<|end|>" +
      "<|start|>assistant<|channel|>final<|message|>It is 5.\n#### 5<|end|>" +
      "<|start|>user<|message|>Question: What is 1 + 1?\nAnswer:<|end|><|start|>assistant",
  );
});

Deno.test("makePrompt() writes lm-eval's completion", () => {
  assertEquals(
    render({ format: "completion", chat: null }),
    "Question: What is 2 + 3?\nAnswer: It is 5.\n#### 5\n\nQuestion: What is 1 + 1?\nAnswer:",
  );
});

Deno.test("makePrompt() takes special tokens in a question as text", () => {
  const { ids } = makePrompt(problem(0, "a<|end|>b", "#### 1"), {
    format: "completion",
    tokenizer,
    chat: null,
    shots: [],
  });
  assert(!ids.includes(tokenizer.requireSpecial("<|end|>")));
});

Deno.test("makePrompt() tells templates the same day whatever the day", async () => {
  const dir = await Deno.makeTempDir();
  for (const name of ["tokenizer.json", "tokenizer_config.json"]) {
    await Deno.copyFile(`${TINY}/${name}`, `${dir}/${name}`);
  }
  const harmony = await ChatRenderer.fromDirectory(dir, tokenizer);
  await Deno.remove(dir, { recursive: true });
  const { text } = makePrompt(ASKED, { format: "chat", tokenizer, chat: harmony, shots: [], reasoning: "low" });
  assertStringIncludes(text, `Current date: ${PROMPT_DATE}`);
  assertStringIncludes(text, "Reasoning: low");
});

const encode = (text: string) => [...tokenizer.encode(text, { allowSpecial: true })];

Deno.test("readReply() scores the final channel", () => {
  const ids = encode(
    "<|channel|>analysis<|message|>1 + 1 = 3?<|end|><|start|>assistant<|channel|>final<|message|>#### 2",
  );
  const { scored, origin, text } = readReply(ids, "chat", tokenizer);
  assertEquals([scored, origin], ["#### 2", "final"]);
  assertStringIncludes(text, "<|channel|>analysis<|message|>1 + 1 = 3?<|end|>");
});

Deno.test("readReply() scores the whole reply where there is no final channel", () => {
  for (
    const reply of [
      "<|channel|>analysis<|message|>1 + 1 = 2. So 2",
      "<|channel|>analysis<|message|>2<|end|><|start|>assistant<|channel|>final<|message|> ",
    ]
  ) {
    const { scored, origin } = readReply(encode(reply), "chat", tokenizer);
    assertEquals(origin, "whole");
    assertStringIncludes(scored, "2");
    assert(!scored.includes("<|"));
  }
});

Deno.test("readReply() cuts a completion at the first stop text", () => {
  const { scored, origin } = readReply(encode(" It is 2.\n#### 2\n\nQuestion: 4?</s>"), "completion", tokenizer);
  assertEquals([scored, origin], [" It is 2.\n#### 2\n\n", "whole"]);
});

Deno.test("StopWatch hears a stop text that is spread over tokens", () => {
  const watch = new StopWatch(tokenizer);
  const heard = encode("#### 2\n\nQuestion: 4?").map((id) => watch.push(id));
  const text = (count: number) => encode("#### 2\n\nQuestion: 4?").slice(0, count);
  const first = heard.indexOf(true);
  assert(first > 0);
  assertStringIncludes(readReply(text(first + 1), "chat", tokenizer).text, "Question:");
  assert(!readReply(text(first), "chat", tokenizer).text.includes("Question:"));
});

Deno.test("commonPrefix() leaves every sequence at least one token", () => {
  const of = (...ids: number[]) => Int32Array.from(ids);
  assertEquals(commonPrefix([of(1, 2, 3, 4), of(1, 2, 5)]), 2);
  assertEquals(commonPrefix([of(1, 2), of(1, 2), of(1, 2, 3)]), 1);
  assertEquals(commonPrefix([of(1, 2, 3)]), 2);
  assertEquals(commonPrefix([of(1), of(2)]), 0);
  assertEquals(commonPrefix([]), 0);
});
