"""Scores exported samples with lm-eval's own filters, metric and hashes: prints one JSON object per file.

    python3 lm_eval_scores.py samples.jsonl ...
"""
import importlib.resources
import json
import sys

import yaml
from lm_eval.api.instance import Instance
from lm_eval.api.metrics import exact_match_fn
from lm_eval.filters import build_filter_ensemble
from lm_eval.utils import hash_string

task = yaml.safe_load((importlib.resources.files("lm_eval.tasks") / "gsm8k" / "gsm8k.yaml").read_text())
metric = {k: v for k, v in task["metric_list"][0].items() if k not in ("metric", "aggregation", "higher_is_better")}

for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as lines:
        samples = [json.loads(line) for line in lines]
    accuracy, mistakes = {}, []
    for f in task["filter_list"]:
        own = [s for s in samples if s["filter"] == f["name"]]
        instances = [
            Instance("generate_until", s["doc"], (s["arguments"]["gen_args_0"]["arg_0"],), 0, resps=s["resps"][0])
            for s in own
        ]
        steps = [[s["function"], {k: v for k, v in s.items() if k != "function"}] for s in f["filter"]]
        build_filter_ensemble(f["name"], steps).apply(instances)
        scores = []
        for sample, instance in zip(own, instances):
            extracted = instance.filtered_resps[f["name"]]
            score = exact_match_fn(predictions=[extracted], references=[sample["target"]], **metric)["exact_match"]
            scores.append(score)
            expected = {
                "filtered_resps": [extracted],
                "exact_match": score,
                "doc_hash": hash_string(json.dumps(sample["doc"], indent=2, ensure_ascii=False)),
                "prompt_hash": hash_string(sample["arguments"]["gen_args_0"]["arg_0"]),
                "target_hash": hash_string(sample["target"]),
            }
            mistakes += [f"{sample['doc_id']} {k}: {sample[k]!r} != {v!r}"
                         for k, v in expected.items() if sample[k] != v]
        accuracy[f["name"]] = sum(scores) / len(scores)
    print(json.dumps({"samples": len(samples), "accuracy": accuracy, "mistakes": mistakes}))
