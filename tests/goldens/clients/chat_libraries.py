"""Asks by libraries that programs are written with: `python chat_libraries.py LIBRARY`, the server in MXOSS_URL.

LIBRARY is litellm, langchain or llm. Each answers once at a time and as a stream, with a tool and in a schema, where it
has such.
"""
import os
import sys

url = f"{os.environ['MXOSS_URL']}/v1"
library = sys.argv[1]
messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Tom has 3 apples. How many?"}]
schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
tool = {"type": "function", "function": {"name": "count", "description": "Counts.", "parameters": schema}}

if library == "litellm":
    import litellm
    litellm.telemetry = False
    ask = dict(model="openai/tiny-gpt-oss", api_base=url, api_key="any", messages=messages, max_tokens=40)
    print(litellm.completion(**ask))
    print([chunk for chunk in litellm.completion(**ask, stream=True, stream_options={"include_usage": True})][-1])
    print(litellm.completion(**ask, tools=[tool], tool_choice="auto", temperature=0.5, presence_penalty=0.5))
    print(litellm.completion(**ask, logprobs=True, top_logprobs=2, seed=3, logit_bias={"5": -5}))
    ask["max_tokens"] = 200
    print(litellm.completion(**ask, response_format={
        "type": "json_schema", "json_schema": {"name": "count", "schema": schema, "strict": True}}))
    print(litellm.text_completion(model="text-completion-openai/tiny-gpt-oss", api_base=url, api_key="any",
                                  prompt="Tom has", max_tokens=5))
    print(litellm.responses(model="openai/tiny-gpt-oss", api_base=url, api_key="any", input="Tom?",
                            max_output_tokens=40))
elif library == "langchain":
    from langchain_core.messages import HumanMessage, SystemMessage
    from langchain_core.tools import tool as as_tool
    from langchain_openai import ChatOpenAI, OpenAI
    from pydantic import BaseModel

    class Count(BaseModel):
        """A number."""
        n: int

    @as_tool
    def count(n: int) -> int:
        """Counts."""
        return n

    said = [SystemMessage("Be brief."), HumanMessage("Tom has 3 apples. How many?")]
    common = dict(model="tiny-gpt-oss", base_url=url, api_key="any", max_tokens=200)
    model = ChatOpenAI(**common)
    print(model.invoke(said))
    print(list(model.stream(said))[-1])
    print(model.bind_tools([count]).invoke(said))
    print(model.bind_tools([count], tool_choice="count").invoke(said))
    print(model.with_structured_output(Count).invoke(said))
    print(model.with_structured_output(Count, method="json_mode", include_raw=True).invoke(said))
    print(ChatOpenAI(**common, use_responses_api=True).invoke(said))
    print(ChatOpenAI(**common, n=2, temperature=0.7, frequency_penalty=0.3, top_p=0.9, seed=1).invoke(said))
    print(OpenAI(**{**common, "max_tokens": 5}).invoke("Tom has"))
elif library == "llm":
    import pathlib
    import subprocess
    import tempfile
    program = os.path.join(os.path.dirname(sys.executable), "llm")
    with tempfile.TemporaryDirectory() as home:
        pathlib.Path(home, "extra-openai-models.yaml").write_text(
            f"- model_id: tiny\n  model_name: tiny-gpt-oss\n  api_base: {url}\n  supports_schema: true\n"
            "  supports_tools: true\n")
        env = {**os.environ, "LLM_USER_PATH": home, "OPENAI_API_KEY": "any"}
        for words in [["Tom has 3 apples."], ["--no-stream", "Tom has 3 apples."], ["-s", "Be brief.", "Tom?"],
                      ["--schema", "n int", "Tom has 3 apples."], ["-c", "And now?"],
                      ["-o", "temperature", "0.5", "-o", "max_tokens", "20", "-o", "seed", "1", "Tom?"]]:
            subprocess.run([sys.executable, program, "prompt", "-m", "tiny", *words], env=env, check=True)
