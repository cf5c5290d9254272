"""What the official client for Python gets of a server: `python openai_client.py URL`, with `openai` installed."""
import json
import sys
from urllib.request import Request, urlopen

import openai
from openai.types import Completion, responses
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import TypeAdapter, ValidationError

client = openai.OpenAI(base_url=f"{sys.argv[1]}/v1", api_key="none", max_retries=0)
asked = {"model": "tiny-gpt-oss", "prompt": "Tom has 3 apples and buys 4 more.", "max_tokens": 12, "temperature": 0}

models = [model.id for model in client.models.list()]
whole = client.completions.create(**asked, logprobs=1)
pieces, streamed = [], None
for chunk in client.completions.create(**asked, stream=True, stream_options={"include_usage": True}):
    pieces += [choice.text for choice in chunk.choices]
    streamed = chunk.usage or streamed
left = 0
with client.completions.create(**{**asked, "max_tokens": 100}, stream=True) as stream:
    for _ in stream:
        left += 1
        if left == 3:
            break

question = "Sam has 47 marbles and gets 25 more. How many marbles does Sam have?"
chat = {
    "model": "tiny-gpt-oss",
    "messages": [{"role": "user", "content": question}],
    "temperature": 0,
    "max_completion_tokens": 200,
}
answered = client.chat.completions.create(**chat).choices[0]
said = "".join(
    chunk.choices[0].delta.content or ""
    for chunk in client.chat.completions.create(**chat, stream=True)
    if chunk.choices
)
response = client.responses.create(model="tiny-gpt-oss", input=question, temperature=0, max_output_tokens=200)



def complaints(path, types, body):
    """Fields of an answer and of a stream that the client's types do not take; the client itself does not check."""
    found = set()
    for kind, streams in zip(types, (False, True)):
        sent = json.dumps({**body, "stream": streams}).encode()
        request = Request(f"{sys.argv[1]}/v1{path}", sent, {"Content-Type": "application/json"})
        text = urlopen(request, timeout=120).read().decode()
        lines = text.splitlines() if streams else [f"data: {text}"]
        pieces = [line[6:] for line in lines if line.startswith("data: ") and line != "data: [DONE]"]
        assert len(pieces) > 5 or not streams, text
        for piece in pieces:
            try:
                TypeAdapter(kind).validate_json(piece, strict=True)
            except ValidationError as error:
                found |= {".".join(map(str, one["loc"])) + f": {one['input']}" for one in error.errors()}
    return sorted(found)


function = {
    "name": "add",
    "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False},
    "strict": True,
}
stops = {"tool_choice": "required", "parallel_tool_calls": False}
tools = {**chat, **stops, "tools": [{"type": "function", "function": function}]}
items = {"input": question, "temperature": 0, "max_output_tokens": 200}
Event = responses.ResponseStreamEvent
strict = {
    "completions": complaints("/completions", (Completion, Completion), {**asked, "logprobs": 1}),
    "chat": complaints("/chat/completions", (ChatCompletion, ChatCompletionChunk), {**chat, "logprobs": True}),
    "tools": complaints("/chat/completions", (ChatCompletion, ChatCompletionChunk), tools),
    "responses": complaints("/responses", (responses.Response, Event), items),
    "calls": complaints(
        "/responses", (responses.Response, Event), {**items, **stops, "tools": [{"type": "function", **function}]}
    ),
    "inputs": complaints(
        "/responses", (responses.Response, Event), {**items, **stops, "tools": [{"type": "custom", "name": "say"}]}
    ),
}

refused = []
for wrong in [{**asked, "model": "other"}, {**asked, "temperature": -1}]:
    try:
        client.completions.create(**wrong)
    except openai.APIStatusError as error:
        refused.append([type(error).__name__, error.status_code, error.param])

print(json.dumps({
    "models": models,
    "text": whole.choices[0].text,
    "finish": whole.choices[0].finish_reason,
    "logprobs": len(whole.choices[0].logprobs.token_logprobs),
    "usage": [whole.usage.prompt_tokens, whole.usage.completion_tokens],
    "pieces": "".join(pieces),
    "streamed": [streamed.prompt_tokens, streamed.completion_tokens],
    "left": left,
    "answer": answered.message.content,
    "said": said,
    "response": response.output_text,
    "refused": refused,
    "strict": strict,
}))
