"""Replies in the harmony format, and what openai-harmony 0.0.8 reads out of them: tests/goldens/harmony/headers.json.

    python3 tests/text/harmony_headers.py >tests/goldens/harmony/headers.json

It asks for o200k_base.tiktoken, which openai-harmony fetches where TIKTOKEN_ENCODINGS_BASE names no directory with it.
"""
import itertools
import json

from openai_harmony import HarmonyEncodingName, HarmonyError, Role, load_harmony_encoding

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


def soups():
    """Replies whose last header is made of up to three parts in any order."""
    parts = ["<|channel|>", "<|channel|>final", " ", "\n", TO, " json", "<|constrain|>json", "<|constrain|>"]
    starts = ["", *(f"<|channel|>final<|message|>a<|end|><|start|>{role}" for role in ("assistant", "functions.g"))]
    for start, count in itertools.product(starts, (0, 1, 2, 3)):
        for header in itertools.product(parts, repeat=count):
            yield f"{start}{''.join(header)}<|message|>x"


def blanks():
    """Replies whose words are parted by what is a blank to Unicode or to JavaScript, or that have a `<` within."""
    odd = [*map(chr, (9, 11, 12, 13, 0x1c, 0x85, 0xa0, 0x1680, 0x180e, 0x200b, 0x2028, 0x3000, 0xfeff)), "<", "<|"]
    first = "<|channel|>final<|message|>a<|end|><|start|>"
    channel = "assistant<|channel|>"
    forms = ["assistant{}to=f", channel + "final{}to=f", channel + "commentary{}code", "functions.f{}to=assistant"]
    forms += ["assistant{}<|channel|>final", channel + "fi{}nal", "tool{}json"]
    forms += ["assistant to=f<|channel|>commentary{}json"]
    for form, blank in itertools.product(forms, odd):
        yield f"{first}{form.format(blank)}<|message|>x"


def read(reply, strict):
    """What a reply says; None: refused."""
    tokens = ENCODING.encode(reply, allowed_special="all")
    try:
        messages = ENCODING.parse_messages_from_completion_tokens(tokens, Role.ASSISTANT, strict=strict)
    except HarmonyError:
        return None
    rows = []
    for message in messages:
        fields = message.to_dict()
        text = "".join(part["text"] for part in fields["content"])
        rows.append([*(fields.get(name) for name in ("role", "name", "channel", "recipient", "content_type")), text])
    return rows


def rows():
    for reply in replies():
        yield [reply, read(reply, True)]
    # Of these only what is refused: what is taken beside it, this project may read in another way, and then calls
    # malformed.
    for reply in itertools.chain(soups(), blanks()):
        said = read(reply, True)
        assert said == read(reply, False), reply
        if said is None:
            yield [reply, None]


print("[\n" + ",\n".join(map(json.dumps, rows())) + "\n]")
