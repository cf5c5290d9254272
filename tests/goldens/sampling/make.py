"""Makes adjustments.json: `python make.py`, with torch and transformers.

Random logits, and what becomes of them. Bias, repetition penalty, temperature, top-k, top-p and min-p are transformers'
own processors; frequency and presence penalties, of which it has none, are the formula of OpenAI's documentation,
mu[j] - c[j] * alpha_frequency - float(c[j] > 0) * alpha_presence, in float32.
"""
import json
import pathlib

import torch
import transformers
from transformers.generation import logits_process as hf

V = 48
cases = []
generator = torch.Generator().manual_seed(17)


def bits(values):
    """Float32 as unsigned integers."""
    return [int(bits) & 0xFFFFFFFF for bits in values.view(torch.int32)]


def ids(count):
    return torch.randint(0, V, (count,), generator=generator).tolist()


for options in [
    {"repetitionPenalty": 1.3},
    {"repetitionPenalty": 0.7},
    {"logitBias": {3: 2.5, 17: -100, 40: 0.1}},
    {"frequencyPenalty": 0.4},
    {"frequencyPenalty": -0.3, "presencePenalty": 1.1},
    {"presencePenalty": -2},
    {"logitBias": {5: 1.7}, "repetitionPenalty": 1.15, "frequencyPenalty": 0.2, "presencePenalty": 0.6},
    {"minP": 0.05},
    {"minP": 0.3, "temperature": 0.6},
    {"minP": 0.02, "temperature": 1.7, "topK": 20, "topP": 0.9},
    {"minP": 0.1, "topP": 0.5, "repetitionPenalty": 1.5, "presencePenalty": 0.5},
    {"minP": 1},
]:
    for _ in range(3):
        logits = torch.randn(V, generator=generator) * 3
        prompt, reply = ids(6), ids(12)
        ids_so_far = torch.tensor([prompt + reply])
        scores = logits[None].clone()
        if "logitBias" in options:
            scores = hf.SequenceBiasLogitsProcessor({(i,): float(b) for i, b in options["logitBias"].items()})(
                ids_so_far, scores)
        if "repetitionPenalty" in options:
            scores = hf.RepetitionPenaltyLogitsProcessor(options["repetitionPenalty"])(ids_so_far, scores)
        counts = torch.bincount(torch.tensor(reply), minlength=V)[None].float()
        frequency, presence = options.get("frequencyPenalty", 0), options.get("presencePenalty", 0)
        scores = scores - counts * frequency - (counts > 0).float() * presence
        adjusted = scores[0].clone()
        scores = hf.TemperatureLogitsWarper(float(options.get("temperature", 1)))(ids_so_far, scores)
        if "topK" in options:
            scores = hf.TopKLogitsWarper(options["topK"])(ids_so_far, scores)
        if "topP" in options:
            scores = hf.TopPLogitsWarper(options["topP"])(ids_so_far, scores)
        if "minP" in options:
            scores = hf.MinPLogitsWarper(float(options["minP"]))(ids_so_far, scores)
        kept = torch.isfinite(scores[0])
        probabilities = torch.softmax(scores[0].double(), 0)
        cases.append({
            "options": {**options, "logitBias": list(options.get("logitBias", {}).items())},
            "logits": bits(logits), "prompt": prompt, "reply": reply, "adjusted": bits(adjusted),
            "kept": [[i, round(float(probabilities[i]), 9)] for i in range(V) if kept[i]],
        })
path = pathlib.Path(__file__).with_name("adjustments.json")
lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
path.write_text(f'{{"transformers":"{transformers.__version__}","cases":[\n{lines}\n]}}\n')
