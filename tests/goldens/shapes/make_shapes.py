"""Logits of random tiny GPT-OSS models of every odd shape, by transformers' own GptOssForCausalLM in float64 with eager attention.

    pip install torch transformers==5.24.0 numpy safetensors
    python tests/goldens/shapes/make_shapes.py

writes cases.json (configs, seeds, token ids, rows) and logits.safetensors beside itself. Weights are not stored: weights.py and
tests/model/shapes/random_weights.ts make them from the seed. Each head size and each of the other sizes below comes up many times, in
random company. A draw whose router nearly ties is drawn again: there float32 may choose another expert, rightly.
"""

import json
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.numpy import save_file
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssForCausalLM, GptOssTopKRouter

from weights import mix, shapes, weights

HERE = Path(__file__).parent
CASES = 330
#: Numbers of a model at most, so that all of them together take seconds.
MOST_WEIGHTS = 100_000
#: Columns of all query heads at most.
MOST_QUERY = 1024
#: Router logits that are chosen lie at least so far above those that are not.
LEAST_GAP = 3e-4

HEAD_DIMS = [2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 42, 46, 48, 50, 54, 56, 58, 60, 62, 64, 66, 68]
HEAD_DIMS += [70, 72, 74, 80, 88, 90, 94, 96, 98, 100, 102, 104, 112, 120, 126, 128, 130, 132, 134, 160, 162, 190, 192, 224, 250, 254, 256]
WIDTHS = [1, 2, 3, 5, 6, 7, 9, 10, 13, 15, 17, 21, 27, 30, 31, 32, 33, 35, 37, 41, 47, 55, 63, 64, 65, 67, 75, 95, 97, 127, 129]
VOCABS = [2, 3, 5, 7, 8, 9, 11, 13, 15, 17, 21, 27, 31, 32, 33, 37, 49, 63, 64, 65, 67]
EXPERTS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 17, 33]
LAYERS = [1, 1, 2, 3]
KV_HEADS = [1, 1, 1, 2, 2, 3, 5, 7]
GROUPS = [1, 1, 2, 3, 4, 5, 7, 8, 9, 16]
WINDOWS = [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 31, 1000]

COMMON = {
    "architectures": ["GptOssForCausalLM"],
    "model_type": "gpt_oss",
    "hidden_act": "silu",
    "attention_bias": True,
    "tie_word_embeddings": False,
    "attention_dropout": 0.0,
    "max_position_embeddings": 131072,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}


class Draw:
    """A stream of random choices."""

    def __init__(self, seed):
        self.seed, self.counter = seed, 0

    def below(self, count):
        self.counter += 1
        return int(mix(self.seed, self.counter)) % count

    def of(self, choices):
        return choices[self.below(len(choices))]


def draw_config(draw, index):
    layers, experts, kv = draw.of(LAYERS), draw.of(EXPERTS), draw.of(KV_HEADS)
    # Head sizes and widths in turn, so that none is left out.
    config = {
        "num_hidden_layers": layers,
        "hidden_size": WIDTHS[index % len(WIDTHS)] if index % 2 else draw.of(WIDTHS),
        "intermediate_size": draw.of(WIDTHS),
        "num_local_experts": experts,
        "num_experts_per_tok": 1 + draw.below(experts),
        "head_dim": HEAD_DIMS[index % len(HEAD_DIMS)],
        "num_attention_heads": kv * draw.of(GROUPS),
        "num_key_value_heads": kv,
        "vocab_size": draw.of(VOCABS),
        "sliding_window": draw.of(WINDOWS),
        "layer_types": [draw.of(["sliding_attention", "full_attention"]) for _ in range(layers)],
        "rms_norm_eps": draw.of([1e-5, 1e-6, 1e-3]),
        "swiglu_alpha": draw.of([1.702, 1.702, 1.0]),
        "swiglu_limit": draw.of([7.0, 7.0, 0.5, 2.25]),
    }
    theta = draw.of([150000.0, 10000.0, 500.0])
    if draw.below(4) == 0:
        rope = {"rope_type": "default", "rope_theta": theta}
    else:
        rope = {
            "rope_type": "yarn",
            "rope_theta": theta,
            "factor": draw.of([32.0, 4.0, 1.5]),
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            "truncate": bool(draw.below(2)),
            "original_max_position_embeddings": 4096,
        }
    return {**config, "rope_parameters": rope}


def gap_of(model, config):
    """Registers hooks; the returned list gets, per router call, the least distance of a chosen logit from one that is not."""
    gaps = []
    top = config["num_experts_per_tok"]

    def see(module, inputs, _output):
        logits = torch.nn.functional.linear(inputs[0].reshape(-1, module.hidden_dim), module.weight, module.bias)
        ordered = logits.sort(dim=-1, descending=True).values
        gaps.append((ordered[:, top - 1] - ordered[:, top]).min().item() if top < ordered.shape[1] else np.inf)

    for module in model.modules():
        if isinstance(module, GptOssTopKRouter):
            module.register_forward_hook(see)
    return gaps


def open_model(config, seed=None):
    """transformers' model in float64; without a seed it keeps transformers' own random weights."""
    hf = transformers.GptOssConfig(**{k: v for k, v in {**COMMON, **config}.items() if k not in ("architectures", "model_type")})
    hf._attn_implementation = "eager"
    hf._experts_implementation = "eager"
    model = GptOssForCausalLM(hf).double().eval()
    if seed is not None:
        tensors = {name: torch.from_numpy(values) for name, values in weights(seed, config)}
        model.load_state_dict(tensors, strict=True)
    return model


def make_case(index):
    """A case and its logits [rows, vocab]."""
    for attempt in range(1000):
        draw = Draw(index * 1000 + attempt)
        config = draw_config(draw, index)
        seed = 1 + draw.below(1 << 20)
        ids = [draw.below(config["vocab_size"]) for _ in range(1 + draw.of([0, 4, 8, 12, 16, 19, 20, 22, 23]))]
        if config["num_attention_heads"] * config["head_dim"] > MOST_QUERY:
            continue
        if sum(np.prod(shape) for _, shape, _ in shapes(config)) > MOST_WEIGHTS:
            continue
        model = open_model(config, seed)
        gaps = gap_of(model, config)
        with torch.no_grad():
            logits = model(torch.tensor([ids]), use_cache=False).logits[0].numpy()
        if min(gaps) < LEAST_GAP:
            continue
        # The last four rows and two others.
        rows = sorted({draw.below(len(ids)), draw.below(len(ids)), *range(max(0, len(ids) - 4), len(ids))})
        return {"config": config, "seed": seed, "ids": ids, "rows": rows}, logits[rows]
    raise RuntimeError(f"case {index}: no draw is small enough and without ties")


#: What is wrong, changes to a config that works, and the key that our refusal names.
REFUSED = [
    ("odd head_dim", {"head_dim": 5}, "head_dim"),
    ("odd head_dim of one", {"head_dim": 1}, "head_dim"),
    ("heads that do not fill groups", {"num_attention_heads": 5, "num_key_value_heads": 2}, "num_attention_heads"),
    ("more kv heads than heads", {"num_attention_heads": 2, "num_key_value_heads": 4}, "num_attention_heads"),
    ("more choices than experts", {"num_local_experts": 3, "num_experts_per_tok": 4}, "num_experts_per_tok"),
    ("fewer layer types than layers", {"num_hidden_layers": 3, "layer_types": ["full_attention"] * 2}, "layer_types"),
    ("more layer types than layers", {"num_hidden_layers": 1, "layer_types": ["full_attention"] * 2}, "layer_types"),
    ("an unknown layer type", {"layer_types": ["full_attention", "no_attention"]}, "layer_types"),
    ("no experts", {"num_local_experts": 0}, "num_local_experts"),
    ("no kv heads", {"num_key_value_heads": 0}, "num_key_value_heads"),
]


def make_refused():
    """Configs that transformers refuses or cannot compute, with its own words."""
    works = {
        **{"num_hidden_layers": 2, "hidden_size": 33, "intermediate_size": 17, "num_local_experts": 5, "num_experts_per_tok": 2},
        **{"head_dim": 6, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 21, "sliding_window": 4},
        **{"layer_types": ["sliding_attention", "full_attention"], "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}},
    }

    def run(config):
        with torch.no_grad():
            open_model(config)(torch.tensor([[1, 2, 3, 4, 5, 6]]), use_cache=False)

    run(works)
    for what, change, key in REFUSED:
        try:
            run({**works, **change})
        except Exception as error:  # Whatever it is, it is what is recorded.
            words = " ".join(str(error).split())[:160]
            yield {"what": what, "config": {**works, **change}, "key": key, "transformers": f"{type(error).__name__}: {words}"}
        else:
            raise RuntimeError(f"transformers computes what is to be refused: {what}")


def main():
    torch.manual_seed(0)
    # It warns of a context that is not factor * 4096.
    transformers.logging.set_verbosity_error()
    cases, logits = [], {}
    for index in range(CASES):
        case, values = make_case(index)
        cases.append(case)
        logits[str(index)] = values.astype(np.float32)
    refused = list(make_refused())
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    others = ",\n".join(json.dumps(case, separators=(",", ":")) for case in refused)
    (HERE / "cases.json").write_text(
        f'{{"transformers":"{transformers.__version__}","common":{json.dumps(COMMON)},\n"cases":[\n{lines}\n],\n"refused":[\n{others}\n]}}\n'
    )
    save_file(logits, HERE / "logits.safetensors")
    (HERE / "logits.safetensors").chmod(0o644)


if __name__ == "__main__":
    main()
