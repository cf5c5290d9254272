"""Uses Open WebUI as its page does, headless: `python open_webui.py`, with the server's address in MXOSS_URL.

A user is made, the models are listed, and questions asked: streamed, with parameters, after a tool, and for the title,
tags, follow-ups, emoji and search queries that its page asks for beside an answer.
"""
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

url = os.environ["MXOSS_URL"]
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
base = f"http://127.0.0.1:{port}"
token = None


def ask(path, body=None):
    """The answer of Open WebUI as text."""
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(base + path, data, headers), timeout=120) as answer:
        return answer.read().decode()


with tempfile.TemporaryDirectory() as data:
    settings = {
        "DATA_DIR": data, "WEBUI_SECRET_KEY": "test", "OFFLINE_MODE": "true", "HF_HUB_OFFLINE": "1",
        "RAG_EMBEDDING_ENGINE": "openai", "BYPASS_EMBEDDING_AND_RETRIEVAL": "true", "ENABLE_OLLAMA_API": "false",
        "OPENAI_API_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "any", "ENABLE_VERSION_UPDATE_CHECK": "false",
    }
    program = os.path.join(os.path.dirname(sys.executable), "open-webui")
    command = [sys.executable, program, "serve", "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, env={**os.environ, **settings})
    try:
        for _ in range(600):
            try:
                ask("/health")
                break
            except (urllib.error.URLError, ConnectionError):
                if server.poll() is not None:
                    sys.exit("open-webui ended")
                time.sleep(0.5)
        user = {"name": "Ann", "email": "ann@example.org", "password": "a long password"}
        token = json.loads(ask("/api/v1/auths/signup", user))["token"]
        models = [model["id"] for model in json.loads(ask("/api/models"))["data"]]
        print(models)
        model = models[0]
        question = {"role": "user", "content": "Tom has 3 apples and buys 4 more. How many?"}
        said = [question, {"role": "assistant", "content": "7"}]
        call = {"id": "call_1", "index": 0, "type": "function",
                "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}
        tool = {"type": "function", "function": {"name": "get_weather", "description": "Weather.", "parameters": {
            "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}
        parameters = {"temperature": 0.8, "top_p": 0.9, "seed": 42, "max_tokens": 64, "stop": ["###"],
                      "frequency_penalty": 0.5, "presence_penalty": 0.25, "min_p": 0.05, "top_k": 40,
                      "logit_bias": "100:-5,200:3", "reasoning_effort": "low"}
        chat = {"model": model, "messages": [question]}
        for body in [
            {**chat, "stream": True},
            {**chat, "stream": False},
            {**chat, "stream": True, "params": parameters},
            {**chat, "stream": True, "messages": [{"role": "system", "content": "Be brief."}, *said, question]},
            {**chat, "stream": True, "messages": [question, {"role": "assistant", "content": "", "tool_calls": [call]},
                                                  {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}],
             "tools": [tool]},
            {**chat, "stream": True, "messages": [{**question, "content": [{"type": "text", "text": "Hello"}]}]},
        ]:
            print(ask("/api/chat/completions", body)[:200])
        for task in ["title", "tags", "follow_up", "emoji", "queries", "auto", "image_prompt"]:
            body = {"model": model, "messages": said, "chat_id": "local", "prompt": question["content"],
                    "type": "web_search" if task == "queries" else "search query"}
            try:
                print(task, ask(f"/api/v1/tasks/{task}/completions", body)[:200])
            except urllib.error.HTTPError as error:
                print(task, error.code, error.read()[:300])
    finally:
        server.terminate()
        server.wait()
