/** Replies in the harmony format, and what parsing them should give. */
import { assertEquals } from "../assert.ts";
import { parseReply, type ReplyCollector, type ReplyMessage } from "../../src/text/harmony_reply.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { path, TINY } from "./goldens.ts";

export const tokenizer = await Tokenizer.fromDirectory(TINY);
export const fixture = (name: string) => Deno.readTextFileSync(path(`tests/goldens/harmony/${name}.txt`)).trimEnd();

/** Parses a reply that is written as text with markers. */
export function parse(reply: string): ReplyCollector {
  return parseReply(tokenizer, tokenizer.encode(reply, { allowSpecial: true }));
}

/** The parts of a message that tests name; the others are as in a sound message of the assistant. */
export function message(fields: Partial<ReplyMessage>): ReplyMessage {
  const channel = fields.channel ?? "other";
  return {
    channel,
    channelName: channel === "other" ? null : channel,
    role: "assistant",
    recipient: null,
    contentType: null,
    constrain: false,
    malformed: false,
    content: "",
    end: "end",
    ...fields,
  };
}

export const says = (reply: string, ...messages: Partial<ReplyMessage>[]) =>
  assertEquals(parse(reply).messages, messages.map(message), reply);

export const CALL = {
  channel: "commentary",
  recipient: "functions.f",
  contentType: "json",
  content: "{}",
  end: "call",
} as const;
