/** How a reply of several messages stands on a terminal, where stdout and stderr share lines. */
import { ChatReply, type Display } from "../../src/cli/reply.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { assertEquals } from "../assert.ts";
import { TINY } from "../model/tiny.ts";
import { replaced } from "./in_process.ts";

const tokenizer = await Tokenizer.fromDirectory(TINY);

/** A message of a reply after its role. */
const message = (header: string, text: string, end = "<|end|><|start|>assistant") =>
  `<|channel|>${header}<|message|>${text}${end}`;
const THOUGHT = message("analysis", "hm"), REMARK = message("commentary", "wait");
const CALL = message("commentary to=functions.f", "{}"), ANSWER = message("final", "7", "<|return|>");

/** What both outputs show in the order in which it was written, and the text. */
async function shown(display: Display, ...messages: readonly string[]): Promise<{ screen: string; text: string }> {
  let screen = "";
  const decoder = new TextDecoder();
  const write = (bytes: Uint8Array) => {
    screen += decoder.decode(bytes);
    return bytes.length;
  };
  using _outputs = replaced(
    [Deno.stdout, { write: (bytes: Uint8Array) => Promise.resolve(write(bytes)), isTerminal: () => false }],
    [Deno.stderr, { writeSync: write, isTerminal: () => false }],
  );
  const reply = new ChatReply(tokenizer, display);
  for (const id of tokenizer.encode(messages.join(""), { allowSpecial: true })) await reply.push(id);
  await reply.finish();
  return { screen, text: reply.text };
}

const CASES: readonly (readonly [messages: readonly string[], screen: string, answer: string])[] = [
  [[THOUGHT, ANSWER], "hm\n7\n", "7"],
  [[REMARK, THOUGHT, CALL], "wait\nhm\n{}\n", "wait"],
  [[REMARK, THOUGHT, ANSWER], "wait\nhm\n7\n", "wait\n7"],
  [[REMARK, REMARK, ANSWER], "wait\nwait\n7\n", "wait\nwait\n7"],
  [[THOUGHT, REMARK, THOUGHT, REMARK, CALL], "hm\nwait\nhm\nwait\n{}\n", "wait\nwait"],
];

Deno.test("messages of a reply stand on lines of their own, whichever output they go to", async () => {
  for (const [messages, screen, text] of CASES) {
    assertEquals(await shown({ answer: true, analysis: true }, ...messages), { screen, text });
  }
});

Deno.test("stdout alone gets the same text, whether reasoning is shown or not", async () => {
  for (const [messages, , text] of CASES) {
    assertEquals(await shown({ answer: true, analysis: false }, ...messages), { screen: `${text}\n`, text });
    assertEquals(await shown({ answer: false, analysis: false }, ...messages), { screen: "", text });
  }
});
