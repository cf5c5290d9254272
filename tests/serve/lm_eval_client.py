"""lm-eval's own client and tasks against a server: `python lm_eval_client.py URL GSM8K.jsonl CHOICES.jsonl`.

Prints what was asked and answered as JSON: word problems by generation, a multiple-choice task by loglikelihood with
prompts of token ids, and the word problems as a chat.
"""
import json
import os
import pathlib
import sys

import lm_eval
import lm_eval.tasks
import yaml

url, problems, choices = sys.argv[1:]
gsm8k = next(pathlib.Path(lm_eval.tasks.__file__).parent.glob("gsm8k/gsm8k.yaml"))
data = {"dataset_path": "json", "dataset_name": None}
word_problems = {
    **yaml.full_load(gsm8k.read_text()),
    **data,
    "task": "word_problems",
    "tag": None,
    "dataset_kwargs": {"data_files": {"train": problems, "test": problems}},
    "num_fewshot": 0,
}
multiple_choice = {
    **data,
    "task": "choices",
    "dataset_kwargs": {"data_files": {"test": choices}},
    "output_type": "multiple_choice",
    "test_split": "test",
    "doc_to_text": "Question: {{question}}\nAnswer:",
    "doc_to_choice": "{{choices}}",
    "doc_to_target": "gold",
    "metric_list": [{"metric": "acc"}],
}


def samples(model, path, tasks, limit, **more):
    """The samples of tasks, by the task's name."""
    arguments = {"model": "tiny-gpt-oss", "base_url": f"{url}{path}", "num_concurrent": 4, **more}
    found = lm_eval.simple_evaluate(model=model, model_args=arguments, tasks=tasks, limit=limit, bootstrap_iters=0,
                                    apply_chat_template="chat" in model)
    return found["samples"]


completions = samples("local-completions", "/v1/completions", [word_problems, multiple_choice], 10)
chat = samples("local-chat-completions", "/v1/chat/completions", [{**word_problems, "task": "chat"}], 3)
print(json.dumps({
    "generated": [
        {"id": sample["doc_id"], "text": sample["resps"][0][0], "filter": sample["filter"],
         "extracted": sample["filtered_resps"][0], "correct": sample["exact_match"]}
        for sample in completions["word_problems"]
    ],
    "scored": [
        {"arguments": [list(sample["arguments"][f"gen_args_{i}"].values()) if isinstance(sample["arguments"], dict)
                       else list(arguments) for i, arguments in enumerate(sample["arguments"])],
         "responses": [response[0] for response in sample["resps"]], "correct": sample["acc"]}
        for sample in completions["choices"]
    ],
    "chat": [sample["resps"][0][0] for sample in chat["chat"]],
}))
