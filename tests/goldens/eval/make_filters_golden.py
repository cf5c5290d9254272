"""Writes filters.json: what lm-eval's own filters and metric make of replies.

    python3 -m pip install lm_eval==0.4.13 pyyaml
    python3 make_filters_golden.py > filters.json

Replies are hand-written traps and seeded random strings of the characters that the filters look at.
"""
import importlib.resources
import json
import random

import yaml
from lm_eval.api.instance import Instance
from lm_eval.api.metrics import exact_match_fn
from lm_eval.filters import build_filter_ensemble

TRAPS = [
    ("#### 42", "So.\n#### 42"), ("The answer is 42.", "#### 42"), ("The total is $1,234.50.", "#### 1234.50"),
    ("7", "#### 7"), ("", "#### 7"), ("no number", "#### 7"), ("..", "#### 7"), ("wait ,, what", "#### 7"),
    ("answer: 18 (see step 3)", "#### 18"), ("18.0", "#### 18"), ("#### 18.0", "#### 18"), ("#### 18.", "#### 18"),
    ("#### 18.\n", "#### 18"), ("#### -5", "#### -5"), ("#### $5", "#### 5"), ("it is $5", "#### 5"), ("it is $55", "#### 55"),
    ("#### 1,000", "#### 1000"), ("#### 1000", "#### 1,000"), ("#### 3 #### 4", "#### 3"), ("#### 3 #### 4", "#### 4"),
    ("####5", "#### 5"), ("###### 5", "#### 5"), ("#### five 5", "#### 5"), ("-", "#### -"), ("- 3", "#### -3"), ("--3", "#### -3"),
    ("10-3", "#### 7"), ("10 - 3 = 7", "#### 7"), ("3.5.2", "#### 3.5.2"), ("1.", "#### 1"), ("1. ", "#### 1"), ("1.\n", "#### 1"),
    ("x\n#### 12\nQuestion: 4", "#### 12"), ("\u0663\u0664", "#### 34"), ("\uff11\uff12", "#### 12"), ("42\u00a0", "#### 42"),
    ("[invalid]", "#### 5"), ("#### 5\r\n", "#### 5"), ("a#### 7b", "#### 7"), ("1e5", "#### 5"), ("50%", "#### 50"),
    ("$", "#### $"), ("$$", "#### $$"), ("$.", "#### 5"), ("#### ,", "#### 5"), ("#### .", "#### ."), ("18 \U0001f600", "#### 18"),
    ("#### 2\u2028#### 3", "#### 3"), ("9\u20e3", "#### 9"), ("#### 18", "text with #### 17 and #### 18"),
]


def main():
    rng = random.Random(5)
    alphabet = ["#### ", "####", "#", " ", "-", "$", ".", ",", "\n", "1", "2", "30", "x", "Answer"]
    cases = list(TRAPS)
    for _ in range(400):
        reply = "".join(rng.choice(alphabet) for _ in range(rng.randrange(1, 12)))
        gold = "step\n#### " + rng.choice(["1", "2", "30", "1,230", "-2", "12.", "$30"])
        cases.append((reply, gold))
    task = yaml.safe_load((importlib.resources.files("lm_eval.tasks") / "gsm8k" / "gsm8k.yaml").read_text())
    metric = {k: v for k, v in task["metric_list"][0].items() if k not in ("metric", "aggregation", "higher_is_better")}
    instances = [Instance("generate_until", {}, ("",), i, resps=[reply]) for i, (reply, _) in enumerate(cases)]
    for f in task["filter_list"]:
        steps = [[s["function"], {k: v for k, v in s.items() if k != "function"}] for s in f["filter"]]
        build_filter_ensemble(f["name"], steps).apply(instances)
    out = []
    for (reply, gold), instance in zip(cases, instances):
        row = {"reply": reply, "gold": gold}
        for name, extracted in instance.filtered_resps.items():
            score = exact_match_fn(predictions=[extracted], references=[gold], **metric)["exact_match"]
            row[name] = {"extracted": extracted, "correct": bool(score)}
        out.append(row)
    print("[\n" + ",\n".join(json.dumps(row) for row in out) + "\n]")


main()
