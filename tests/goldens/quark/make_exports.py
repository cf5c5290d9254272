"""
Tiny GPT-OSS models exported by AMD Quark itself, and the logits of Quark's own forward pass.

    python make_exports.py [NAME...]

writes exports/NAME/{config.json, model.safetensors.gz, logits.safetensors} (without names: all of them), on a processor. Made with
amd-quark 0.13, transformers 5.24, torch 2.15, accelerate 1.15 and scipy, all from PyPI. `schemes.py` has the configurations.

Weights are bfloat16 numbers stored as float32 (Quark's MXFP4 has no kernel for bfloat16 models on a processor), so that files compress.
Exports called NAME_bfloat16 are of a model that was loaded as bfloat16, whose scales Quark stores as bfloat16. Their logits are those of
Quark's import of the same numbers as float32.
"""

import gzip
import json
import os
import shutil
import sys
import tempfile

os.environ["QUARK_DISABLE_COMPILE"] = "1"

import torch
from quark.torch import ModelQuantizer, export_safetensors, import_model_from_safetensors
from quark.torch.quantization.cache_integration import QuarkQuantizedCache
from quark.torch.utils.llm import preprocess_for_quantization
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader
from transformers import GptOssConfig, GptOssForCausalLM

from schemes import EXPORTS, Export

HERE = os.path.dirname(os.path.abspath(__file__))
VOCAB, TOKENS = 64, 24


def config() -> GptOssConfig:
    """Sliding and full attention, grouped queries, experts that most tokens do not choose; every width in whole MX blocks."""
    return GptOssConfig(
        num_hidden_layers=2,
        num_local_experts=4,
        num_experts_per_tok=2,
        hidden_size=64,
        intermediate_size=32,
        head_dim=8,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=VOCAB,
        sliding_window=8,
        max_position_embeddings=1024,
        rope_parameters={
            "rope_type": "yarn",
            "rope_theta": 150000.0,
            "factor": 32.0,
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            "truncate": False,
            "original_max_position_embeddings": 32,
        },
        pad_token_id=None,
        eos_token_id=VOCAB - 1,
    )


def base_model(directory: str) -> None:
    """The model that all exports are made of: columns with outliers in front of every quantizer, as real models have."""
    generator = torch.Generator().manual_seed(20)

    def normal(shape, scale):
        return (torch.randn(shape, generator=generator) * scale).to(torch.bfloat16).float()

    model = GptOssForCausalLM(config()).float()
    for name, parameter in model.named_parameters():
        if name.endswith("norm.weight"):
            value = (1 + normal(parameter.shape, 0.2)).to(torch.bfloat16).float()
            value[5::17] *= 8
        elif name.endswith("bias") or name.endswith("sinks"):
            value = normal(parameter.shape, 0.3)
        elif "embed_tokens" in name:
            value = normal(parameter.shape, 1.0)
        else:
            rows = parameter.shape[-2 if "experts" in name else -1]
            value = normal(parameter.shape, rows**-0.5)
        parameter.data.copy_(value)
    model.save_pretrained(directory)


def load(directory: str, dtype: torch.dtype) -> GptOssForCausalLM:
    return GptOssForCausalLM.from_pretrained(directory, dtype=dtype, attn_implementation="eager").eval()


def token_ids(seed: int) -> torch.Tensor:
    return torch.randint(0, VOCAB, (1, TOKENS), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def forward(model, export: Export, ids: torch.Tensor) -> torch.Tensor:
    return model(input_ids=ids, use_cache=export.cached).logits[0].float().contiguous()


def accept_keywords() -> None:
    """The cache of amd-quark 0.13 refuses the `kwargs` that transformers 5.24 hands to update(), and has no use for them."""
    update = QuarkQuantizedCache.update
    QuarkQuantizedCache.update = lambda self, keys, values, layer, **_: update(self, keys, values, layer)


def reload(directory: str):
    """What Quark itself makes of an export."""
    model = GptOssForCausalLM._from_config(GptOssConfig.from_pretrained(directory), attn_implementation="eager").float()
    return import_model_from_safetensors(model, directory).eval()


def widened(directory: str, export: Export):
    """An export read back with its bfloat16 numbers as float32: nothing that is computed with them is rounded to bfloat16."""
    if export.dtype == torch.float32:
        return reload(directory)
    with tempfile.TemporaryDirectory() as wide:
        tensors = load_file(os.path.join(directory, "model.safetensors"))
        tensors = {name: value.float() if value.dtype == torch.bfloat16 else value for name, value in tensors.items()}
        save_file(tensors, os.path.join(wide, "model.safetensors"), metadata={"format": "pt"})
        with open(os.path.join(directory, "config.json")) as source:
            config_json = json.load(source)
        with open(os.path.join(wide, "config.json"), "w") as target:
            json.dump({**config_json, "dtype": "float32"}, target)
        return reload(wide)


def edited(directory: str, export: Export):
    """Changes an export, and reads it back."""
    weights, config_path = os.path.join(directory, "model.safetensors"), os.path.join(directory, "config.json")
    tensors = load_file(weights)
    with open(config_path) as source:
        config_json = json.load(source)
    export.edit(tensors, config_json["quantization_config"])
    save_file(tensors, weights, metadata={"format": "pt"})
    with open(config_path, "w") as target:
        json.dump(config_json, target, indent=2)
    return reload(directory)


def per_token_experts(model):
    """Gives inputs of experts the batch dimension that axis 1 of ptpc_fp8 means: a scale per token, instead of one per column."""
    for name, module in model.named_modules():
        if ".mlp.experts." in name and name.endswith("_proj"):
            original = module.forward
            module.forward = lambda x, original=original: original(x.unsqueeze(0)).squeeze(0)
    return model


def make(export: Export, base: str) -> None:
    model = load(base, export.dtype)
    preprocess_for_quantization(model)
    quantizer = ModelQuantizer(export.config())
    calibration = torch.cat([token_ids(seed) for seed in (1, 2)])
    model = quantizer.quantize_model(model, DataLoader(calibration, batch_size=1))
    model = ModelQuantizer.freeze(model)
    ids = token_ids(3)
    golden = {"ids": ids[0].to(torch.int32)}
    if export.dtype == torch.float32:
        golden["logits"] = forward(model, export, ids)
    target = os.path.join(HERE, "exports", export.name)
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(target)
    with tempfile.TemporaryDirectory() as written:
        with torch.no_grad():
            export_safetensors(model, written, weight_format=export.weight_format)
        if export.edit is not None:
            golden["logits"] = forward(edited(written, export), export, ids)
        if export.dtype != torch.float32:
            golden["logits"] = forward(widened(written, export), export, ids)
        if export.per_token:
            golden["logits.per_token"] = forward(per_token_experts(widened(written, export)), export, ids)
        assert golden["logits"].isfinite().all()
        with open(os.path.join(written, "model.safetensors"), "rb") as source:
            data = source.read()
        with gzip.GzipFile(os.path.join(target, "model.safetensors.gz"), "wb", 9, mtime=0) as packed:
            packed.write(data)
        shutil.copy(os.path.join(written, "config.json"), target)
    save_file(golden, os.path.join(target, "logits.safetensors"))
    print(export.name, len(data), {k: tuple(v.shape) for k, v in golden.items()}, flush=True)


def main(names: list[str]) -> None:
    unknown = set(names) - {export.name for export in EXPORTS}
    if unknown:
        sys.exit(f"no such export: {', '.join(sorted(unknown))}")
    accept_keywords()
    with tempfile.TemporaryDirectory() as base:
        base_model(base)
        for export in EXPORTS:
            if not names or export.name in names:
                make(export, base)


if __name__ == "__main__":
    main(sys.argv[1:])
