import { CALL, fixture, message, parse, says, tokenizer } from "./harmony_replies.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { type HarmonyEvent, HarmonyParser } from "../../src/text/harmony.ts";
import { parseReply, ReplyCollector, type ReplyMessage } from "../../src/text/harmony_reply.ts";
import { renderHarmony, segmentsText, type TextMessage } from "../../src/text/harmony_render.ts";
import { int32Tensors, path, problems } from "./goldens.ts";

// ---------------------------------------------------------------- OpenAI's fixtures

/** Tokens of o200k_harmony, as many as the fixtures use; made by openai-harmony 0.0.8 (`decode_utf8` of each id). */
const O200K: Record<string, string> = JSON.parse(Deno.readTextFileSync(path("tests/goldens/text/o200k-pieces.json")));
const o200k = {
  bytes: (id: number) => new TextEncoder().encode(O200K[id]!),
  copyBytes: (id: number, target: Uint8Array, at: number) => {
    const bytes = o200k.bytes(id), end = at + bytes.length;
    if (end <= target.length) target.set(bytes, at);
    return end;
  },
  specialName: (id: number) => id >= 199998 ? O200K[id]! : null,
};
const fixtureIds = (name: string) => fixture(name).split(/\s+/).map(Number);

Deno.test("parseReply() meets test_simple_reasoning_response", () => {
  assertEquals(parseReply(o200k, fixtureIds("test_simple_reasoning_response")).messages, [
    message({
      channel: "analysis",
      content: 'User asks: "What is 2 + 2?" Simple arithmetic. Provide answer.',
      end: "return",
    }),
    message({ channel: "final", content: "2 + 2 = 4.", end: "eof" }),
  ]);
});

Deno.test("parseReply() meets test_simple_tool_call", () => {
  const reply = parseReply(o200k, fixtureIds("test_simple_tool_call"));
  assertEquals(reply.messages, [
    message({
      channel: "analysis",
      content: 'User asks: "What is the weather in Tokyo?" We need to use lookup_weather tool.',
      end: "return",
    }),
    message({
      channel: "analysis",
      recipient: "lookup_weather",
      contentType: "code",
      content: '{"location": "Tokyo"}',
      end: "eof",
    }),
  ]);
  assertEquals(reply.channels().toolCalls, [
    {
      recipient: "lookup_weather",
      arguments: '{"location": "Tokyo"}',
      channel: "analysis",
      contentType: "code",
      end: "eof",
    },
  ]);
});

Deno.test("parseReply() meets test_streamable_parser", () => {
  const { messages } = parse(fixture("test_streamable_parser"));
  assertEquals(
    messages.map(({ role, channel, recipient, contentType, end, malformed }) => ({
      role,
      channel,
      recipient,
      contentType,
      end,
      malformed,
    })),
    [
      { role: "assistant", channel: "analysis", recipient: null, contentType: null, end: "end", malformed: false },
      {
        role: "assistant",
        channel: "commentary",
        recipient: "browser.search",
        contentType: "code",
        end: "call",
        malformed: false,
      },
      {
        role: "browser.search",
        channel: "commentary",
        recipient: "assistant",
        contentType: null,
        end: "end",
        malformed: false,
      },
    ],
  );
  assertEquals(messages[2]!.content, '{"result": "https://openai.com/"}');
});

Deno.test("parseReply() meets test_tool_response_parsing", () =>
  says(fixture("test_tool_response_parsing"), {
    role: "browser.search",
    recipient: "assistant",
    channel: "commentary",
    content: '{"result": "https://openai.com/"}',
    end: "eof",
  }));

Deno.test("parseReply() reads the golden reply of the embedded model", () => {
  const ids = int32Tensors(path("tests/goldens/logits.safetensors")).get("greedy.reply")!;
  const { messages } = parseReply(tokenizer, ids);
  assertEquals(messages.map((m) => [m.channel, m.end, m.malformed]), [["analysis", "end", false], [
    "final",
    "return",
    false,
  ]]);
  const { steps, answer } = problems()[7]!;
  assertEquals(messages.map((m) => m.content), [steps, `#### ${answer}`]);
});

// ---------------------------------------------------------------- headers

Deno.test("parseReply() reads headers as OpenAI's parser does, also token by token", () => {
  // Made by harmony_headers.py; of each message its role, name, channel, recipient, content type and content. Null: it
  // refuses the reply, strict or not.
  type Row = [reply: string, messages: (string | null)[][] | null];
  const rows: Row[] = JSON.parse(Deno.readTextFileSync(path("tests/goldens/harmony/headers.json")));
  assert(rows.filter(([, messages]) => messages !== null).length > 40);
  assert(rows.filter(([, messages]) => messages === null).length > 400);
  for (const [reply, expected] of rows) {
    const parser = new HarmonyParser(), stepped = new ReplyCollector();
    for (const piece of reply.split(/(<\|\w+\|>)/)) {
      if (piece.startsWith("<|")) stepped.add(parser.special(piece));
      else for (const char of piece) stepped.add(parser.text(char));
    }
    stepped.add(parser.finish());
    assertEquals(stepped.messages, parse(reply).messages, reply);
    if (expected === null) {
      assert(stepped.messages.some(({ malformed }) => malformed), reply);
      continue;
    }
    const read = stepped.messages.map((m) => {
      const type = m.constrain ? `<|constrain|>${m.contentType}` : m.contentType;
      return [m.role, m.channelName, m.recipient, type, m.content];
    });
    // The role of a tool is its name, where it has one.
    assertEquals(read, expected.map(([role, name, ...rest]) => [name ?? role, ...rest]), reply);
    assertEquals(stepped.messages.every(({ malformed }) => !malformed), true, reply);
  }
});

Deno.test("parseReply() finds the recipient on both sides of the channel, types with and without <|constrain|>", () => {
  const constrained = { ...CALL, constrain: true };
  says(" to=functions.f<|channel|>commentary <|constrain|>json<|message|>{}<|call|>", constrained);
  says("<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}<|call|>", constrained);
  says("<|channel|>commentary to=functions.f<|constrain|>json<|message|>{}<|call|>", constrained);
  says(" to=functions.f<|channel|>commentary<|constrain|>json<|message|>{}<|call|>", constrained);
  // OpenAI's parser refuses this; a call is a call.
  says("<|channel|>commentary <|constrain|>json to=functions.f<|message|>{}<|call|>", {
    ...constrained,
    malformed: true,
  });
  says("<|channel|>commentary to=functions.f json<|message|>{}<|call|>", CALL);
  says(" to=functions.f<|channel|>commentary json<|message|>{}<|call|>", CALL);
});

Deno.test("parseReply() finds a header malformed whose bytes are no characters, as OpenAI's parser refuses it", () => {
  const { messages } = parse("<|channel|>final\ufffd<|message|>a");
  assertEquals(messages.map(({ channelName, malformed }) => [channelName, malformed]), [["final\ufffd", true]]);
});

Deno.test("parseReply() takes the role from messages after the first", () =>
  says(
    "<|channel|>analysis<|message|>a<|end|><|start|>assistant to=python<|channel|>analysis " +
      "code<|message|>1<|call|><|start|>user<|message|>b",
    { channel: "analysis", content: "a" },
    { channel: "analysis", recipient: "python", contentType: "code", content: "1", end: "call" },
    { role: "user", content: "b", end: "eof" },
  ));

Deno.test("parseReply() knows other channels by name, and messages without one", () => {
  says("<|channel|>musing<|message|>a<|return|>", { channelName: "musing", content: "a", end: "return" });
  says("<|message|>a<|return|>", { content: "a", end: "return" });
});

Deno.test("parseReply() keeps markup that is text as text", () => {
  const ids = [
    ...tokenizer.encode("<|channel|>final<|message|>", { allowSpecial: true }),
    ...tokenizer.encode("a<|end|>b"),
  ];
  assertEquals(parseReply(tokenizer, ids).messages, [message({ channel: "final", content: "a<|end|>b", end: "eof" })]);
});

// ---------------------------------------------------------------- streaming

Deno.test("push() streams content as it comes, and a reply without format too", () => {
  const parser = new HarmonyParser(tokenizer);
  const texts = (events: HarmonyEvent[]) => events.map((e) => e.raw).join("|");
  const step = (text: string) =>
    [...tokenizer.encode(text, { allowSpecial: true })].map((id) => texts(parser.push(id))).join("");
  assertEquals(step("<|channel|>final"), "");
  assertEquals(step("<|message|>"), "<|channel|>final<|message|>");
  assertEquals(step("Hello"), "Hello");
  assertEquals(step("<|end|>"), "<|end|>");
  assertEquals(step("Well"), "|Well");
});

Deno.test("push() holds back a character until it is whole; a special token cuts it off", () => {
  const [first, second, third] = tokenizer.encode("語");
  const head = [...tokenizer.encode("<|channel|>final<|message|>", { allowSpecial: true })];
  const end = tokenizer.requireSpecial("<|end|>");
  assertEquals(parseReply(tokenizer, [...head, first!, second!, third!, end]).channels().final, "語");
  assertEquals(parseReply(tokenizer, [...head, first!, second!, end, third!]).messages.map((m) => m.content), [
    "\ufffd",
    "\ufffd",
  ]);
  assertEquals(parseReply(tokenizer, [...head, first!]).channels().final, "\ufffd");
});

Deno.test("push() needs a tokenizer", () => {
  assertThrows(() => new HarmonyParser().push(1), TypeError, "needs a tokenizer");
});

Deno.test("text() and special() parse pieces without a tokenizer, however text is cut", () => {
  const parser = new HarmonyParser();
  const collector = new ReplyCollector();
  collector.add(parser.special("<|channel|>"));
  for (const char of "commentary to=functions.f json") collector.add(parser.text(char));
  collector.add(parser.special("<|message|>"));
  for (const char of "{}") collector.add(parser.text(char));
  collector.add(parser.special("<|call|>"));
  collector.add(parser.finish());
  assertEquals(collector.messages, [message(CALL)]);
});

Deno.test("channels() sorts by channel and keeps tool calls apart", () => {
  const reply = parse(
    "<|channel|>analysis<|message|>one<|end|><|start|>assistant<|channel|>commentary<|message|>plan<|end|>" +
      "<|start|>assistant<|channel|>analysis<|message|><|end|>" +
      "<|start|>assistant<|channel|>analysis<|message|>two<|end|>" +
      "<|start|>assistant to=functions.f<|channel|>commentary json<|message|>{}<|call|>",
  );
  assertEquals(reply.channels(), {
    analysis: "one\ntwo",
    commentary: "plan",
    final: "",
    other: "",
    toolCalls: [{ recipient: "functions.f", arguments: "{}", channel: "commentary", contentType: "json", end: "call" }],
  });
});

/** The messages of a reply as part of a conversation: rendered, `<|return|>` becomes `<|end|>`. */
function toHistory(messages: readonly ReplyMessage[]): TextMessage[] {
  return messages.map(({ role, channelName, recipient, contentType, constrain, content }) => ({
    ...(role === "assistant" || role === "user" ? { role } : { role: "tool", name: role }),
    channel: channelName,
    recipient,
    contentType,
    constrain,
    content,
  }));
}

Deno.test("messages of a reply render back to it, <|return|> as <|end|>", () => {
  const history = (reply: string) =>
    segmentsText(renderHarmony(toHistory(parse(reply).messages), { purpose: "history" }));
  const reply = "<|channel|>analysis<|message|>t<|end|><|start|>assistant to=functions.f<|channel|>commentary " +
    "<|constrain|>json<|message|>{}<|call|>";
  assertEquals(history(reply), "<|start|>assistant" + reply);
  const answer = "<|channel|>final<|message|>4";
  assertEquals(history(answer + "<|return|>"), "<|start|>assistant" + answer + "<|end|>");
  const tool = fixture("test_tool_response_parsing");
  assertEquals(history(tool), tool + "<|end|>");
});
