"""Writes what Jinja2 makes of chat/chat_template.jinja, for tests/text/chat_test.ts.

    python3 make_chat_golden.py        with jinja2==3.1.6 installed; writes chat.json beside itself

The environment is set up as Hugging Face's transformers sets it up: sandboxed, trim_blocks, lstrip_blocks, loop controls, `tojson` as
json.dumps without escapes, `raise_exception` and `strftime_now` (here fixed at 2025-06-28 13:05:09).
Each case: messages, variables, rendered text. No message holds a special token: there the renderers differ on purpose.
"""
import datetime
import json
from pathlib import Path

import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = Path(__file__).parent
NOW = datetime.datetime(2025, 6, 28, 13, 5, 9)

environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])
environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
environment.globals["strftime_now"] = NOW.strftime
template = environment.from_string((HERE / "chat/chat_template.jinja").read_text())


def user(content):
    return {"role": "user", "content": content}


def assistant(content, thinking=None, call=None):
    message = {"role": "assistant", "content": content}
    if thinking is not None:
        message["thinking"] = thinking
    if call is not None:
        message["tool_calls"] = [{"type": "function", "function": {"name": call[0], "arguments": call[1]}}]
    return message


def tool(content):
    return {"role": "tool", "content": content}


TOOLS = [{"type": "function", "function": f} for f in (
    {"name": "weather", "description": "Weather <here> | \"there\"", "parameters": {
        "type": "object", "required": ["city"], "properties": {
            "city": {"type": "string"}, "unit": {"type": "string", "enum": ["c", "f"], "default": "c"},
            "days": {"type": "integer", "default": 3}}}},
    {"name": "now", "description": ""})]

CASES = [
    ([user("hi")], {}),
    ([{"role": "system", "content": "  Be brief.\n"}, user("hi")], {"reasoning_effort": "high"}),
    ([{"role": "developer", "content": "Be brief."}, user("hi"), assistant("yo", "hm"), user("2 < 3 |> 1 <| x")], {}),
    ([user("w?"), assistant("", "need it", ("weather", {"city": "Zürich <1>", "days": [1, 2.5, None, True]})),
      tool("{\"t\": \"20 <|°|>\"}\n語👍")], {"tools": TOOLS, "builtin_tools": ["python", "browser"]}),
    ([{"role": "system", "content": "S"}, user("w?"), assistant("", None, ("now", {})), tool("noon"), assistant("Noon."),
      user("thx")], {"tools": TOOLS, "reasoning_effort": "low"}),
    ([user("q"), assistant("text", "thought")], {"add_generation_prompt": False}),
    ([user("  blanks \t\n"), assistant("\n\na\n"), user("\ue000\uf8ff private")], {}),
]


def main():
    rows = []
    for messages, variables in CASES:
        variables = {"add_generation_prompt": True, "bos_token": "<|startoftext|>", "eos_token": "<|return|>"} | variables
        rows.append({"messages": messages, "variables": variables, "text": template.render(messages=messages, **variables)})
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (HERE / "chat.json").write_text(f"[\n{lines}\n]\n")


main()
