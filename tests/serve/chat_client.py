"""What the official client for Python makes of chats, tools, formats and responses: `python chat_client.py URL`, with
`openai` installed. It prints what chat_client.mjs prints."""
import json
import sys
from typing import Literal

import openai
from pydantic import BaseModel, Field

client = openai.OpenAI(base_url=f"{sys.argv[1]}/v1", api_key="none", max_retries=0)
model = "tiny-gpt-oss"
content = "Sam has 47 marbles. Then Sam gets 25 more from a friend. How many marbles does Sam have now?"
messages = [{"role": "user", "content": content}]
asked = {"model": model, "messages": messages, "temperature": 0, "max_completion_tokens": 400}


class Count(BaseModel):
    count: int = Field(ge=0, le=500)
    unit: Literal["marbles", "boxes"]


class open_box(BaseModel):
    """Opens a box."""

    size: Literal["small", "large"]
    marbles: int = Field(ge=1, le=99)


tools = [openai.pydantic_function_tool(open_box)]
named = {"type": "function", "function": {"name": "open_box"}}

parsed = client.chat.completions.parse(**asked, response_format=Count)
with client.chat.completions.stream(**asked, response_format=Count) as stream:
    counted = stream.get_final_completion()
choice = client.chat.completions.parse(**asked, tools=tools, tool_choice=named).choices[0]
with client.chat.completions.stream(**asked, tools=tools, tool_choice=named) as stream:
    streamed = stream.get_final_completion()
call = choice.message.tool_calls[0]
following = client.chat.completions.create(**{
    **asked,
    "tools": tools,
    "tool_choice": "none",
    "max_completion_tokens": 60,
    "messages": [*messages, choice.message, {"role": "tool", "tool_call_id": call.id, "content": "72"}],
})
types = set()
with client.responses.stream(model=model, input=content, temperature=0, max_output_tokens=400) as stream:
    for event in stream:
        types.add(event.type)
    first = stream.get_final_response()
second = client.responses.parse(
    model=model,
    input=content,
    previous_response_id=first.id,
    temperature=0,
    max_output_tokens=400,
    text_format=Count,
)
client.responses.delete(first.id)
gone = None
try:
    client.responses.retrieve(first.id)
except openai.APIStatusError as error:
    gone = error.status_code

print(json.dumps({
    "parsed": parsed.choices[0].message.parsed.model_dump(),
    "streamed": counted.choices[0].message.parsed.model_dump(),
    "call": [call.function.name, call.function.parsed_arguments.model_dump(), choice.finish_reason],
    "streamedCall": streamed.choices[0].message.tool_calls[0].function.arguments == call.function.arguments,
    "none": following.choices[0].message.tool_calls,
    "response": first.output_text,
    "kinds": [item.type for item in first.output],
    "types": sorted(types),
    "second": second.output_parsed.model_dump(),
    "gone": gone,
}))
