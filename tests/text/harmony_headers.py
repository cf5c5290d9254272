"""Replies in the harmony format, and what openai-harmony 0.0.8 reads out of them: tests/goldens/harmony/headers.json.

    python3 tests/text/harmony_headers.py >tests/goldens/harmony/headers.json

It asks for o200k_base.tiktoken, which openai-harmony fetches where TIKTOKEN_ENCODINGS_BASE names no directory with it.
"""
import itertools
import json

from openai_harmony import HarmonyEncodingName, Role, load_harmony_encoding

ENCODING = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
CHANNELS = ["analysis", "commentary", "final", "musing"]
TO = " to=functions.f-1"
TYPES = ["", " code", "<|constrain|>json", " <|constrain|>json"]


def headers():
    """Headers of a first message, which lacks its role: each part that the format knows, there or not."""
    yield ""
    yield TO
    yield TO + " code"
    for place, kind in itertools.product(["none", "role", "channel"], TYPES):
        for channel in CHANNELS if kind == "" else CHANNELS[1:2]:
            # OpenAI's parser takes a lone word after the channel for the recipient; this project does not.
            if place == "none" and kind:
                continue
            before, inside = (TO if place == at else "" for at in ("role", "channel"))
            yield f"{before}<|channel|>{channel}{inside}{kind}"


def replies():
    ends = itertools.cycle(["end", "call", "return"])
    roles = itertools.cycle(["assistant", "user", "tool", "system", "developer", "functions.g"])
    for header, end in zip(headers(), ends):
        first = f"{header}<|message|>one\n two<|{end}|>"
        yield first
        # A role that no other names needs a recipient or a channel beside it.
        role = next(roles)
        second = header if role != "functions.g" else TO + "<|channel|>commentary"
        yield f"{first}<|start|>{role}{second}<|message|>{{}}"


def read(reply):
    tokens = ENCODING.encode(reply, allowed_special="all")
    for message in ENCODING.parse_messages_from_completion_tokens(tokens, Role.ASSISTANT):
        fields = message.to_dict()
        text = "".join(part["text"] for part in fields["content"])
        names = [fields.get(name) for name in ("role", "name", "channel", "recipient", "content_type")]
        yield [*names, text]


rows = [json.dumps([reply, list(read(reply))]) for reply in replies()]
print("[\n" + ",\n".join(rows) + "\n]")
