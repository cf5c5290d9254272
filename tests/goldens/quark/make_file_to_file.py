"""
The quantization_config that AMD Quark writes where it quantizes a checkpoint file by file, and its experts are MXFP4 already.

    python make_file_to_file.py

writes file_to_file.json, by the packages that make_exports.py names. Quark is asked to leave the experts alone, and does: it looks at tensors
whose names end in `.weight`, which those of the experts do not. For the same reason it finds no module that the pattern of the experts is for,
and leaves it out of `exclude`: what is written says of experts what it says of all linears.
"""

import json
import os
import tempfile

os.environ["QUARK_DISABLE_COMPILE"] = "1"

import torch
from quark.torch import ModelQuantizer
from quark.torch.quantization.config.config import QuantFlow
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from make_exports import HERE, base_model
from schemes import EXCLUDED, template


def main() -> None:
    with tempfile.TemporaryDirectory() as source, tempfile.TemporaryDirectory() as place:
        base_model(source)
        weights, config_path = os.path.join(source, "model.safetensors"), os.path.join(source, "config.json")
        tensors = {}
        for name, tensor in load_file(weights).items():
            if name.endswith((".gate_up_proj", ".down_proj")):
                # Only names, dtypes and shapes matter.
                experts, cols, rows = tensor.shape
                tensors[f"{name}_blocks"] = torch.zeros(experts, rows, cols // 32, 16, dtype=torch.uint8)
                tensors[f"{name}_scales"] = torch.full((experts, rows, cols // 32), 127, dtype=torch.uint8)
            else:
                tensors[name] = tensor.to(torch.bfloat16)
        save_file(tensors, weights, metadata={"format": "pt"})
        with open(config_path) as file:
            config = json.load(file)
        config["quantization_config"] = {"quant_method": "mxfp4"}
        with open(config_path, "w") as file:
            json.dump(config, file)
        quant = template("ptpc_fp8", exclude_layers=[*EXCLUDED, "*experts*"])()
        quant.quant_flow = QuantFlow.file2file
        written = os.path.join(place, "written")
        ModelQuantizer(quant).direct_quantize_checkpoint(source, written, device="cpu")
        with safe_open(os.path.join(written, "model.safetensors"), "pt") as file:
            formats = {name: file.get_slice(name).get_dtype() for name in file.keys()}
        assert formats["model.layers.0.self_attn.q_proj.weight"] == "F8_E4M3"
        assert formats["model.layers.0.mlp.experts.gate_up_proj_blocks"] == "U8"
        with open(os.path.join(written, "config.json")) as file:
            quantization = json.load(file)["quantization_config"]
    with open(os.path.join(HERE, "file_to_file.json"), "w") as target:
        json.dump(quantization, target, indent=2)
        target.write("\n")


if __name__ == "__main__":
    main()
