import { CALL, parse, says, tokenizer } from "./harmony_replies.ts";
import { assert, assertEquals } from "../assert.ts";
import { HarmonyParser } from "../../src/text/harmony.ts";
import { parseReply, ReplyCollector } from "../../src/text/harmony_reply.ts";
import { decode } from "../../src/text/stream_decoder.ts";
import { lehmer } from "./goldens.ts";

Deno.test("parseReply() reads a reply without any format", () => {
  const broken = { malformed: true };
  says("Paris.<|return|>", { ...broken, content: "Paris.", end: "return" });
  says("The answer\n\nis 4.", { ...broken, content: "The answer\n\nis 4.", end: "eof" });
  says("    indented", { ...broken, content: "    indented", end: "eof" });
  says("a<|end|>b<|end|>", { ...broken, content: "a" }, { ...broken, content: "b" });
  assertEquals(parse("Paris.").channels().other, "Paris.");
  says("<|return|>", { ...broken, end: "return" });
  says("");
});

Deno.test("parseReply() reads a message without <|message|>", () => {
  const final = { channel: "final", malformed: true, end: "return" } as const;
  says("<|channel|>final Four.<|return|>", { ...final, content: "Four." });
  says("<|channel|>final\n\nFour.\nOr 4.<|return|>", { ...final, content: "Four.\nOr 4." });
  says("<|channel|>commentary to=functions.f {}<|call|>", {
    channel: "commentary",
    recipient: "functions.f",
    content: "{}",
    malformed: true,
    end: "call",
  });
  says("<|channel|>final<|return|>", final);
  says("<|channel|>analysis<|message|>a<|end|><|start|>assistant", { channel: "analysis", content: "a" }, {
    malformed: true,
    end: "eof",
  });
  // A constraint is a single word, and what follows it content.
  const call = { ...CALL, constrain: true, malformed: true } as const;
  says('<|channel|>commentary to=functions.f <|constrain|>json {"a":1}<|call|>', { ...call, content: '{"a":1}' });
  says(
    "<|channel|>final<|message|>a<|end|><|start|>assistant to=f <|channel|>commentary<|constrain|>json\n{}<|call|>",
    {
      ...{ channel: "final", content: "a" },
    },
    { ...call, recipient: "f" },
  );
  // What follows is content with what does not belong there.
  says("<|channel|>final Four.<|constrain|>json<|return|>", { ...final, content: "Four.json" });
  const long = "word ".repeat(80);
  says(`<|channel|>final ${long}<|return|>`, { ...final, content: long });
});

Deno.test("parseReply() reads messages that lack their start or their end", () => {
  const thought = { channel: "analysis", content: "a" } as const;
  const answer = { channel: "final", content: "4", end: "return" } as const;
  says("<|channel|>analysis<|message|>a<|start|>assistant<|channel|>final<|message|>4<|return|>", {
    ...thought,
    end: "none",
  }, answer);
  says("<|channel|>analysis<|message|>a<|channel|>final<|message|>4<|return|>", { ...thought, end: "none" }, {
    ...answer,
    malformed: true,
  });
  says("<|channel|>analysis<|message|>a<|end|>assistant<|channel|>final<|message|>4<|return|>", thought, {
    ...answer,
    malformed: true,
  });
  says(
    "<|channel|>analysis<|message|>a<|end|>\n<|start|>assistant<|channel|>final<|message|>4<|return|>",
    thought,
    answer,
  );
  says("<|channel|>analysis<|message|>a<|end|><|end|><|channel|>final<|message|>4<|return|><|endoftext|>", thought, {
    ...answer,
    malformed: true,
  });
});

Deno.test("parseReply() skips special tokens that do not belong into content", () => {
  says("<|channel|>final<|message|>a<|message|>b<|constrain|>c<|startoftext|>d<|endoftext|>", {
    channel: "final",
    content: "abcd",
    end: "eof",
  });
});

Deno.test("parseReply() calls headers malformed that repeat themselves or leave names out", () => {
  const broken = { content: "a", malformed: true, end: "return" } as const;
  says("<|channel|><|message|>a<|return|>", broken);
  says("<|channel|>analysis<|channel|>final<|message|>a<|return|>", { ...broken, channel: "final" });
  says("<|channel|>final to=<|message|>a<|return|>", { ...broken, channel: "final" });
  says("<|channel|>final to=a to=b<|message|>a<|return|>", { ...broken, channel: "final", recipient: "a" });
  // No special token stands in a header but those of its parts, and no recipient after a type.
  says("<|channel|>final<|startoftext|><|message|>a<|return|>", { ...broken, channel: "final" });
  says("<|channel|>final<|constrain|>to=b<|message|>a<|return|>", { ...broken, channel: "final", recipient: "b" });
  says("<|channel|>final x y<|message|>a<|return|>", { ...broken, channel: "final", contentType: "x" });
  says("<|end|><|start|><|channel|>final<|message|>a<|return|>", { malformed: true }, { ...broken, channel: "final" });
});

Deno.test("parseReply() calls no tool for what follows a message without <|start|>", () => {
  // OpenAI's parser refuses it: a header begins with <|start|>. Right after the prompt, which ends in one, it is one.
  says("<|channel|><|end|> to=f", { malformed: true }, { malformed: true, content: " to=f", end: "eof" });
  says("<|channel|>final<|message|>a<|end|> to=f", { channel: "final", content: "a" }, {
    malformed: true,
    content: " to=f",
    end: "eof",
  });
  says(" to=f", { malformed: true, recipient: "f", end: "eof" });
});

Deno.test("parseReply() ends a header where the next message starts, and takes two starts for one", () => {
  const final = { channel: "final", content: "a", end: "return" } as const;
  says(" to=f<|start|>assistant<|channel|>final<|message|>a<|return|>", {
    ...{ recipient: "f", malformed: true, end: "none" },
  }, final);
  says("<|start|><|start|>assistant<|channel|>final<|message|>a<|return|>", { ...final, malformed: true });
});

Deno.test("parseReply() takes the assistant's name once more, where the prompt has ended in it", () => {
  const call = { channel: "commentary", recipient: "functions.f", content: "{}", end: "call" } as const;
  says("assistant to=functions.f<|channel|>commentary<|message|>{}<|call|>", call);
});

Deno.test("parseReply() takes no word for a role where no <|start|> stands before it", () => {
  // OpenAI's parser refuses it. Who is not named is the assistant, whose reply it is.
  says("<|channel|>final<|message|>a<|end|><|startoftext|>user<|message|>b<|return|>", {
    channel: "final",
    content: "a",
  }, { malformed: true, role: "assistant", contentType: "user", content: "b", end: "return" });
});

Deno.test("parseReply() waits for a header of 256 UTF-16 units and no longer, in each message", () => {
  const long = (length: number) => "final ".padEnd(length, "a"), type = "a".repeat(250);
  const sound = { channel: "final", contentType: type, content: "c", end: "end" } as const;
  const header = `<|channel|>${long(256)}<|message|>c`;
  says(`${header}<|end|><|start|>${header}<|end|>`, sound, { ...sound, malformed: true });
  // A unit more, and the header ends where the name of the channel does; what is read of it goes on.
  const parser = new HarmonyParser(), raw = (events: readonly { raw: string }[]) => events.map((event) => event.raw);
  assertEquals(raw(parser.special("<|channel|>")), []);
  assertEquals(raw(parser.text(long(256))), []);
  assertEquals(raw(parser.text("b")), ["<|channel|>final ", `${type}b`]);
  assertEquals(parser.special("<|message|>"), [{ type: "stray", raw: "<|message|>" }]);
  assertEquals(raw(parser.text("c")), ["c"]);
});

/** Ids of a random reply: words of headers, special tokens, bytes, ids without a name. */
function soup(next: (n: number) => number): number[] {
  const words = [
    " to=functions.f",
    "to=",
    " to=",
    "assistant",
    "analysis",
    "commentary",
    "final",
    " json",
    " ",
    "\n",
    "\n\n",
    "a",
    " word",
    "system",
    "語",
    "<|end|>",
    "x".repeat(300),
  ];
  const specials = [...tokenizer.specials.values(), 5000];
  const ids: number[] = [];
  for (let n = next(25); n > 0; n--) {
    const kind = next(10);
    if (kind < 5) ids.push(specials[next(specials.length)]!);
    else if (kind < 9) ids.push(...tokenizer.encode(words[next(words.length)]!));
    else ids.push(next(1015));
  }
  return ids;
}

Deno.test("events of random token soups re-serialise to the reply, and pair starts with ends", () => {
  const next = lehmer(2024);
  const seen = new Set<string>();
  for (let round = 0; round < 2000; round++) {
    const ids = soup(next);
    const parser = new HarmonyParser(tokenizer);
    const events = [...ids.flatMap((id) => parser.push(id)), ...parser.finish()];
    const shown = decode(tokenizer, ids, "keep");
    assertEquals(events.map((e) => e.raw).join(""), shown);
    let open: string | null = null;
    for (const event of events) {
      seen.add(event.type === "end" ? event.end : event.type);
      if (event.type === "start") {
        assert(open === null, shown);
        open = event.header.channel;
      } else if (event.type === "text") {
        assertEquals(event.channel, open, shown);
        assertEquals(event.text, event.raw);
      } else if (event.type === "end") {
        assert(open !== null, shown);
        open = null;
      } else if (open === null) {
        assert(/^(?:\s+|<\|.*\|>)$/.test(event.raw), shown);
      }
    }
    assert(open === null, shown);
    const collector = new ReplyCollector();
    collector.add(events);
    const texts = events.map((e) => e.type === "text" ? e.text : "").join("");
    assertEquals(collector.messages.map((m) => m.content).join(""), texts);
    assert(collector.messages.every((m) => m.end !== null), shown);
    assertEquals(parser.finish(), []);
    // No special token becomes content, of which one is spelled by words; and all that was read is counted.
    assertEquals([texts.match(/<\|(?!end\|)\w+\|>/), parser.length], [null, shown.length], shown);
  }
  assertEquals([...seen].sort(), ["call", "end", "eof", "none", "return", "start", "stray", "text"]);
});

Deno.test("sound replies survive a random token lost, doubled or replaced without losing text", () => {
  const next = lehmer(7);
  const sound = [
    ...tokenizer.encode(
      "<|channel|>analysis<|message|>Think.<|end|><|start|>assistant to=functions.f<|channel|>commentary " +
        "<|constrain|>json<|message|>{}<|call|><|start|>assistant<|channel|>final<|message|>Done.<|return|>",
      { allowSpecial: true },
    ),
  ];
  for (let round = 0; round < 3000; round++) {
    const ids = [...sound];
    const at = next(ids.length);
    const kind = next(3);
    if (kind === 0) ids.splice(at, 1);
    else if (kind === 1) ids.splice(at, 0, ids[at]!);
    else ids[at] = next(1024);
    const parser = new HarmonyParser(tokenizer);
    const events = [...ids.flatMap((id) => parser.push(id)), ...parser.finish()];
    assertEquals(events.map((e) => e.raw).join(""), decode(tokenizer, ids, "keep"));
  }
});

Deno.test("parseReply() gives what the parser gives token by token, whatever the tokens are", () => {
  const next = lehmer(29);
  const specials = ["start", "channel", "message", "end", "return", "call"].map((name) =>
    tokenizer.requireSpecial(`<|${name}|>`)
  );
  const words = ["assistant", "final", "analysis", "commentary to=functions.f", "é", "x", "\n\n"].map((word) => [
    ...tokenizer.encode(word),
  ]);
  for (let round = 0; round < 300; round++) {
    const ids = Array.from({ length: next(30) }, () => {
      const kind = next(3);
      // Single tokens as well: they end inside characters.
      return kind === 0 ? [specials[next(specials.length)]!] : kind === 1 ? words[next(words.length)]! : [next(1015)];
    }).flat();
    const parser = new HarmonyParser(tokenizer), collector = new ReplyCollector();
    for (const id of ids) collector.add(parser.push(id));
    collector.add(parser.finish());
    assertEquals(parseReply(tokenizer, ids).messages, collector.messages, ids.join(" "));
  }
});
