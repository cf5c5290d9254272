"""
What AMD Quark makes of exports whose quantization_config is changed in one place.

    python make_changes.py

writes changes.jsonl: the export, the place, the new value, and what becomes of the logits of Quark's own forward pass: their squared
difference from those of the unchanged export over their variance, "not finite", or "refused". `"$mxfp4.weight"` stands for the spec that the export
mxfp4 has for all weights. Made with the packages that make_exports.py names.
"""

import contextlib
import copy
import gzip
import io
import json
import math
import os
import tempfile

from make_exports import HERE, per_token_experts, reload, token_ids

import torch

IDS = token_ids(3)
CHANGED = ("mxfp4", "ptpc_fp8", "fp8", "fake_mxfp4")
OBSERVERS = (
    "PerBlockMXObserver PerTensorMinMaxObserver PerChannelMinMaxObserver PerGroupMinMaxObserver PlaceholderObserver "
    "PerTensorPercentileObserver PerTensorMSEObserver PerChannelPowOf2MinMaxObserver PerTensorPowOf2MinMaxObserver"
).split()
DTYPES = "fp4 fp8_e4m3 fp8_e5m2 fp6_e2m3 fp6_e3m2 int8 int4 uint4 bfloat16 float16 mx mx6 fp8_e5m3".split()

# Values of keys of a spec, right and wrong ones.
SPEC = {
    "dtype": DTYPES,
    "is_dynamic": [True, False, None],
    "qscheme": ["per_tensor", "per_channel", "per_group", "per_block", None],
    "ch_axis": [-1, 0, 1, -2, 2, None],
    "group_size": [16, 32, 64, 8, -1, None],
    "block_size": [None, 32, 16, [1, 32]],
    "symmetric": [True, False, None],
    "round_method": ["half_even", "round", "floor", None],
    "scale_type": ["float", "pof2", "float32", "float16", "bfloat16", "float8_e8m0fnu", "float8_e5m3", None],
    "zero_point_type": ["int32", "float32", None],
    "scale_format": ["e8m0", "float32", "e4m3", "e5m3", None],
    "scale_calculation_mode": ["even", "floor", "ceil", None, "x"],
    "mx_element_dtype": ["fp4", "fp6_e2m3", "fp8_e4m3", None],
    "observer_cls": [*OBSERVERS, None],
    "is_scale_quant": [True, False],
    "enable_buffer_reuse": [True],
    "max_input_numel": [1],
}

PATTERNS = (
    "lm_head *router* *q_proj *k_proj *self_attn* *experts* *experts.0.* model.layers.0.self_attn.o_proj *layers.1* *o_proj "
    "*down_proj nothing *mlp.experts model.layers.0.mlp.experts o_proj *gate_up_proj model.layers.?.self_attn.[qkv]_proj "
    "model.layers.[!0].* *Q_PROJ model.layers.0.self_attn * *.[0]"
).split()
Q = "model.layers.0.self_attn.q_proj"


def entry(weight, inputs, outputs=None) -> dict:
    return {"weight": weight, "input_tensors": inputs, "output_tensors": outputs, "bias": None, "target_device": None}


E2M3 = entry("$mxfp4.weight", "$mxfp4_mxfp6_e2m3.input_tensors")
E3M2 = entry("$mxfp4.weight", "$mxfp4_mxfp6_e3m2.input_tensors")
NO_INPUT = entry("$mxfp4.weight", None)
PLAIN = entry(None, None)
OUTPUT = entry(None, None, "$fp8.weight")


def places() -> list:
    """Export, path and value of every change."""
    found = []
    for name in CHANGED:
        for place in ("weight", "input_tensors"):
            for key, values in SPEC.items():
                found += [(name, ["global_quant_config", place, key], value) for value in values]
    excluded = ["model.layers.0.mlp.router", "model.layers.1.mlp.router", "lm_head"]
    for name in ("mxfp4", "fake_mxfp4"):
        found += [(name, ["exclude"], [*excluded, pattern]) for pattern in PATTERNS]
        found += [(name, ["exclude"], excluded[i:]) for i in (1, 2, 3)]
    layers = [{pattern: spec} for pattern in PATTERNS for spec in (E2M3, NO_INPUT)]
    layers += [{"*q_proj": E2M3, Q: E3M2}, {Q: E3M2, "*q_proj": E2M3}, {"*layers.0*": E2M3, "*q_proj": NO_INPUT}, {Q: PLAIN}]
    found += [("mxfp4", ["layer_quant_config"], value) for value in layers]
    types = [{"Linear": E2M3}, {"Linear": NO_INPUT}, {"Linear": E2M3, "Embedding": PLAIN}, {"Embedding": E2M3}]
    found += [("mxfp4", ["layer_type_quant_config"], value) for value in types]
    found += [("mxfp4", ["kv_cache_quant_config"], {pattern: OUTPUT}) for pattern in PATTERNS if pattern not in ("*", "*self_attn*")]
    for key in ("weight", "input_tensors", "output_tensors", "bias"):
        specs = ("mxfp4.weight", "mxfp4.input_tensors", "fp8.weight", "ptpc_fp8.input_tensors", "mxfp4_mxfp6_e2m3.input_tensors")
        found += [("mxfp4", ["global_quant_config", key], value) for value in (None, *("$" + spec for spec in specs))]
    found += [("mxfp4", ["export", "pack_method"], value) for value in ("order", "reorder", "x")]
    found += [("mxfp4", ["export", "weight_format"], value) for value in ("fake_quantized", "x")]
    found += [("mxfp4", ["export", "min_kv_scale"], 7.0), ("mxfp4", ["export", "weight_merge_groups"], [["*q_proj", "*k_proj"]])]
    found += [("mxfp4", ["quant_mode"], value) for value in ("fx_graph_mode", "x")]
    found += [("mxfp4", ["algo_config"], [{"name": name}]) for name in ("smooth", "awq", "gptq", "svdquant", "x")]
    found += [("mxfp4", ["version"], "0.1"), ("mxfp4", ["kv_cache_post_rope"], True), ("mxfp4", ["quant_method"], "fp8")]
    return found


def config_of(name: str) -> dict:
    with open(os.path.join(HERE, "exports", name, "config.json")) as source:
        return json.load(source)


def resolved(value):
    """A value with the specs that it names."""
    if isinstance(value, str) and value.startswith("$"):
        name, key = value[1:].split(".")
        return config_of(name)["quantization_config"]["global_quant_config"][key]
    if isinstance(value, dict):
        return {key: resolved(inner) for key, inner in value.items()}
    return value


@torch.no_grad()
def logits_of(directory: str, name: str) -> torch.Tensor:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        model = reload(directory)
        model = per_token_experts(model) if name == "ptpc_fp8" else model
        return model(input_ids=IDS, use_cache=False).logits[0].double()


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, open(os.path.join(HERE, "changes.jsonl"), "w") as target:
        base, loaded = None, None
        for name, path, value in places():
            config = config_of(name)
            if loaded != name:
                with gzip.open(os.path.join(HERE, "exports", name, "model.safetensors.gz")) as source:
                    data = source.read()
                with open(os.path.join(directory, "model.safetensors"), "wb") as weights:
                    weights.write(data)
                with open(os.path.join(directory, "config.json"), "w") as written:
                    json.dump(config, written)
                base, loaded = logits_of(directory, name), name
            holder = config["quantization_config"]
            for key in path[:-1]:
                holder = holder[key]
            if holder.get(path[-1]) == value:
                continue
            holder[path[-1]] = copy.deepcopy(resolved(value))
            with open(os.path.join(directory, "config.json"), "w") as written:
                json.dump(config, written)
            try:
                logits = logits_of(directory, name)
                nmse = float(((logits - base) ** 2).sum() / ((base - base.mean()) ** 2).sum())
                got = float(f"{nmse:.4g}") if math.isfinite(nmse) else "not finite"
            except Exception:
                got = "refused"
            target.write(json.dumps([name, path, value, got]) + "\n")
            target.flush()


if __name__ == "__main__":
    main()
