"""Writes what OpenAI's harmony renderer makes of random function schemas, for tests/text/harmony_tools_test.ts.

    TIKTOKEN_ENCODINGS_BASE=DIR python3 make_tool_types_golden.py

with openai-harmony==0.0.8 installed and o200k_base.tiktoken (sha256 446a9538...) in DIR; writes tool-types.json beside itself:
a list of {"tool": name, description, JSON schema of the parameters, "text": the developer message's content}.
The last rows have schemas that few write: keywords of the wrong type, lists of several, texts that JSON would escape.
Numbers are integers: JSON.parse, by which the test reads the file, knows no 1.0; no key is a number, which JavaScript puts first.
"""
import json
import random
from pathlib import Path

from openai_harmony import (Conversation, DeveloperContent, HarmonyEncodingName, Message, Role, ToolDescription,
                            load_harmony_encoding)

rng = random.Random(3)
WORDS = ["city", "unit", "count", "name", "dose", "path", "when", "rate", "nested", "kind"]
NOTES = ["a note", "with \"quotes\" and `ticks`", "several\nlines", "naïve 語", "ends with // slashes"]


def maybe(schema, p, **fields):
    for key, make in fields.items():
        if rng.random() < p:
            schema[key] = make()
    return schema


def scalar():
    kind = rng.choice(["string", "enum", "number", "integer", "boolean", "several", "unknown", "untyped"])
    if kind == "enum":
        names = rng.sample(WORDS, 3)
        return maybe({"type": "string", "enum": names}, .5, default=lambda: rng.choice(names))
    if kind == "several":
        return {"type": rng.sample(["string", "integer", "null", "boolean"], 2)}
    if kind in ("unknown", "untyped"):
        return {"type": "null"} if kind == "unknown" else {}
    values = {"string": lambda: rng.choice(WORDS), "number": lambda: rng.randrange(-5, 50),
              "integer": lambda: rng.randrange(9), "boolean": lambda: rng.random() < .5}
    return maybe({"type": kind}, .3, default=values[kind], nullable=lambda: rng.random() < .7)


def schema(depth):
    r = rng.random()
    if depth > 0 and r < .2:
        out = object_schema(depth - 1)
    elif depth > 0 and r < .35:
        out = maybe({"type": "array"}, .8, items=lambda: schema(depth - 1))
    elif depth > 0 and r < .55:
        variants = [maybe(schema(depth - 1), .4, description=lambda: rng.choice(NOTES[:2])) for _ in range(rng.randint(1, 3))]
        out = maybe({"oneOf": variants}, .3, default=lambda: rng.choice([3, "x", None, [1, "a"], {"b": True}]))
    else:
        out = scalar()
    return maybe(out, .3, description=lambda: rng.choice(NOTES), title=lambda: rng.choice(WORDS).upper(),
                 examples=lambda: rng.choice([[], ["e1", "e2"], [1, "e3"]]))


def object_schema(depth):
    names = rng.sample(WORDS, rng.randint(0, 4))
    out = {"type": "object", "properties": {n: schema(depth) for n in names}}
    return maybe(out, .5, required=lambda: names[::2], description=lambda: rng.choice(NOTES))


ODD_NOTES = NOTES + ["", "trail\n", "crlf\r\nline", "lone\rcr", " lead", "<|end|> inside", "u2028\u2028x"]
ODD_VALUES = [3, -1, "x", "", "two\nlines", "q\"q", None, True, [1, "a"], {"b": True, "a": [1, {}]}, [], {}, 10**15, "a"]


def odd(depth):
    r = rng.random()
    if depth > 0 and r < .22:
        out = odd_object(depth - 1)
    elif depth > 0 and r < .36:
        out = maybe({"type": "array"}, .8, items=lambda: rng.choice([odd(depth - 1), odd(depth - 1), [odd(0)], True]))
    elif depth > 0 and r < .5:
        out = {"oneOf": [odd(depth - 1) for _ in range(rng.randint(0, 3))]}
    elif depth > 0 and r < .58:
        out = {rng.choice(["anyOf", "allOf"]): [odd(depth - 1) for _ in range(rng.randint(1, 3))]}
    elif r < .66:
        out = rng.choice([{"const": "c"}, {"$ref": "#/$defs/x"}])
    else:
        out = {"type": rng.choice(["string", "string", "number", "integer", "boolean", "null", "any", "object", "array", "Weird",
                                   ["string", "integer", "null"][:rng.randint(0, 3)], ["array"]])}
        if rng.random() < .2:
            del out["type"]
        maybe(out, .35, enum=lambda: [rng.choice(["a", "c d", "q\"", "two\nl", 1, None]) for _ in range(rng.randint(0, 3))])
    return maybe(out, .25, description=lambda: rng.choice(ODD_NOTES), title=lambda: rng.choice(ODD_NOTES),
                 examples=lambda: rng.choice([[], ["e1", "e2"], [1, "e3"], ["two\nlines"]]), default=lambda: rng.choice(ODD_VALUES),
                 nullable=lambda: rng.choice([True, False, "true", None]), additionalProperties=lambda: False)


def odd_object(depth):
    names = rng.sample(WORDS + ["my-key", "weird key", "", "a.b", "q\"q"], rng.randint(0, 4))
    out = maybe({"type": "object"}, .9, properties=lambda: {n: odd(depth) for n in names})
    return maybe(out, .4, required=lambda: rng.choice([names[::2], names, ["other"]]), description=lambda: rng.choice(ODD_NOTES),
                 title=lambda: rng.choice(ODD_NOTES), nullable=lambda: True)


def main():
    encoding = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
    rows = []
    for i in range(240):
        tool = {"name": f"tool_{i}", "description": rng.choice(NOTES + ["", "ends in a newline\n"]),
                "parameters": None if i % 20 == 0 else object_schema(3) if i < 120 else odd_object(3)}
        developer = DeveloperContent.new().with_function_tools([ToolDescription.new(**tool)])
        message = Message.from_role_and_content(Role.DEVELOPER, developer)
        text = encoding.decode_utf8(encoding.render_conversation(Conversation.from_messages([message])))
        head, tail = "<|start|>developer<|message|>", "<|end|>"
        assert text.startswith(head) and text.endswith(tail)
        rows.append({"tool": tool, "text": text[len(head):-len(tail)]})
    path = Path(__file__).parent / "tool-types.json"
    path.write_text("[\n" + ",\n".join(json.dumps(r, ensure_ascii=False, separators=(",", ":")) for r in rows) + "\n]\n")


main()
