"""
What `vllm bench serve` asks, by its own module for requests: the rest of vLLM is not needed for that.

    python vllm_bench.py vllm/benchmarks/lib/endpoint_request_func.py   # URL of the server in MXOSS_URL
"""

import asyncio
import importlib.util
import json
import os
import sys

import aiohttp

spec = importlib.util.spec_from_file_location("endpoint_request_func", sys.argv[1])
requests = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = requests
spec.loader.exec_module(requests)

URL = os.environ["MXOSS_URL"]
PATHS = {"openai": "/v1/completions", "openai-chat": "/v1/chat/completions", "openai-responses": "/v1/responses"}


async def ask(session, backend, prompt, **more):
    asked = requests.RequestFuncInput(
        prompt=prompt,
        api_url=URL + PATHS[backend],
        prompt_len=5,
        output_len=16,
        model="tiny-gpt-oss",
        extra_body={"temperature": 0.0},
        request_id="benchmark-0",
        **more,
    )
    got = await requests.ASYNC_REQUEST_FUNCS[backend](asked, session)
    assert got.success, got.error
    assert got.output_tokens == 16 and got.ttft > 0, got
    return [backend, got.prompt_len, got.generated_text]


async def main():
    async with aiohttp.ClientSession() as session:
        # serve.py asks for the model where none is named.
        async with session.get(f"{URL}/v1/models") as response:
            assert (await response.json())["data"][0]["id"] == "tiny-gpt-oss"
        for backend in PATHS:
            prompts = ["Tom has 3 apples."] + ([[20, 30, 40]] if backend == "openai" else [])
            for prompt in prompts:
                # Responses take no logprobs from it.
                for logprobs in [None] if backend == "openai-responses" else [None, 2]:
                    print(json.dumps(await ask(session, backend, prompt, logprobs=logprobs, ignore_eos=True)))


asyncio.run(main())
