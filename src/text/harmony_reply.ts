/** A model's reply in harmony, sorted by channel, from the events of {@linkcode HarmonyParser}. */
import { type HarmonyEvent, HarmonyParser, type MessageEnd } from "./harmony.ts";
import type { ChannelKind, Header } from "./harmony_header.ts";
import type { TokenBytes } from "./stream_decoder.ts";

/** A message of the reply. */
export interface ReplyMessage extends Header {
  content: string;
  /** null while the message goes on. */
  end: MessageEnd | null;
}

/** A reply, sorted by channel. */
export interface Channels {
  /** Contents of the channel's messages that are not tool calls, joined by line breaks. */
  readonly analysis: string;
  /** Likewise: remarks to the user before a call. */
  readonly commentary: string;
  /** Likewise: the answer. */
  readonly final: string;
  /** Text without a channel, or on one that the format does not know. */
  readonly other: string;
  /** Messages to tools, in order. */
  readonly toolCalls: readonly ToolCall[];
}

/** A call to a tool. */
export interface ToolCall {
  /** For example `functions.get_weather`. */
  readonly recipient: string;
  /** What the model wrote: JSON for functions, if all went well. */
  readonly arguments: string;
  /** Channel of the message. */
  readonly channel: ChannelKind;
  /** Format that the model named, for example `json`; null: none. */
  readonly contentType: string | null;
  /** How the message ended; only `call` means that the model finished the call. */
  readonly end: MessageEnd | null;
}

/** Collects a reply from the parser's events. */
export class ReplyCollector {
  readonly messages: ReplyMessage[] = [];

  /** Takes events in order. */
  add(events: Iterable<HarmonyEvent>): void {
    for (const event of events) {
      if (event.type === "start") this.messages.push({ ...event.header, content: "", end: null });
      // A text or an end event always follows a start event.
      if (event.type === "text") this.messages.at(-1)!.content += event.text;
      if (event.type === "end") this.messages.at(-1)!.end = event.end;
    }
  }

  /** What was said so far. */
  channels(): Channels {
    const joined = (kind: ChannelKind) =>
      this.messages.filter((m) => m.channel === kind && m.recipient === null && m.content !== "").map((m) => m.content)
        .join("\n");
    const toolCalls = this.messages.flatMap((m) =>
      m.recipient === null
        ? []
        : [{ recipient: m.recipient, arguments: m.content, channel: m.channel, contentType: m.contentType, end: m.end }]
    );
    return {
      analysis: joined("analysis"),
      commentary: joined("commentary"),
      final: joined("final"),
      other: joined("other"),
      toolCalls,
    };
  }
}

/** Reads a whole reply. */
export function parseReply(tokenizer: TokenBytes, ids: Iterable<number>): ReplyCollector {
  const collector = new ReplyCollector();
  collector.add(new HarmonyParser(tokenizer).read(Array.from(ids)));
  return collector;
}
