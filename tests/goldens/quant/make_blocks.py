"""
Makes blocks.safetensors: what Quark, an implementation on ml_dtypes and, of Q8_0, ggml leave of 131,072 blocks of 32
numbers in each format.

    python3 -m venv venv && venv/bin/pip install amd-quark==0.13 torch==2.15.0 ml_dtypes==0.6.0 safetensors==0.8.0 \\
        numpy==2.4.6 transformers accelerate torchao==0.18.0 gguf==0.19.0 pywhispercpp==1.5.1 \\
        xllamacpp==2026.10.11549
    venv/bin/pip download --no-deps vllm==0.33.0 flashinfer-python==0.7.4
    for wheel in vllm-*.whl flashinfer_python-*.whl; do unzip -q $wheel '*.py' '*/METADATA' -d unpacked; done
    venv/bin/python make_blocks.py unpacked

after tests/utils_fp8.py of FlashInfer's repository (github.com/flashinfer-ai/flashinfer, at fb28d7242b35) was put into
`unpacked`.

It stops where implementations disagree that README.md says agree, and prints in how many blocks others differ from them
(the tables in README.md). A C++ compiler is needed, by Quark too.

Results are float32 bits in which every zero is +0 and every NaN is 0x7fc00000. Of each format are stored the SHA-256 of
all results and, for diagnosis, the results of the first 4,096 blocks: bf16 bits where the results are bf16 numbers
(MXFP4, MXFP6), FP8 or int8 codes otherwise, and scale bytes with those of MXFP8.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import ml_dtypes
import numpy as np
import torch
from safetensors.numpy import save_file

from compare import check_reciprocal, compare_kernels, compare_packages, compare_quark, must_agree, report, summary
from generator import BLOCK, SAMPLE, blocks, halves
from mx_blocks import MX, canonical, mx_goldens, sha256
from q8_0_blocks import PACKAGES, q8_0_goldens
from quark.torch.kernel.hw_emulation.hw_emulation_interface import (
    fake_quantize_fp8_e4m3_per_channel_with_scale,
    fake_quantize_fp8_e4m3_per_tensor_with_scale,
)
from quark.torch.quantization.config.config import FP8E4M3PerChannelSpec
from quark.torch.quantization.tensor_quantize import FakeQuantizeBase

HERE = Path(__file__).parent

STATIC_SCALES = [1.0, 0.5, 0.0123, 3.7e-5, 146.3]
#: A token is a row of 320 numbers: ten blocks of one family.
TOKEN_BLOCKS = 10
#: Rows of each family that are stored whole.
TOKEN_SAMPLE = 25


def token_rows(x: np.ndarray) -> np.ndarray:
    """Rows of ten blocks of the same family, family by family; blocks that are left over are dropped."""
    by_family = x.reshape(-1, 16, BLOCK).transpose(1, 0, 2)
    per_family = by_family.shape[1] // TOKEN_BLOCKS
    kept = by_family[:, : per_family * TOKEN_BLOCKS]
    return np.ascontiguousarray(kept).reshape(16 * per_family, TOKEN_BLOCKS * BLOCK)


def fp8_by_ml_dtypes(x: np.ndarray, scale: np.ndarray | np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Codes and results."""
    with np.errstate(all="ignore"):
        quotient = (x / scale).astype(np.float32)
        codes = np.clip(quotient, -448, 448).astype(ml_dtypes.float8_e4m3fn)
        return codes.view(np.uint8), (codes.astype(np.float32) * scale).astype(np.float32)


def static_goldens(bits: np.ndarray) -> dict[str, np.ndarray]:
    """FP8 with given scales."""
    x = bits.view(np.float32)
    tensor = torch.from_numpy(x.copy())
    is_bf16 = ((bits & 0xFFFF) == 0).all(axis=-1)
    goldens = {"fp8_static.scales": np.array(STATIC_SCALES, np.float32)}
    for i, scale in enumerate(STATIC_SCALES):
        codes, result = fp8_by_ml_dtypes(x, np.float32(scale))
        golden = canonical(result)
        factor = torch.tensor(scale, dtype=torch.float32)
        quark = fake_quantize_fp8_e4m3_per_tensor_with_scale(tensor, factor)
        must_agree(f"fp8 static {scale}", golden, canonical(quark.numpy()))
        goldens[f"fp8_static.{i}.sha256"] = sha256(golden)
        rounded = canonical(quark.to(torch.bfloat16).to(torch.float32).numpy())
        goldens[f"fp8_static.{i}.bf16.sha256"] = sha256(rounded)
        goldens[f"fp8_static.{i}.codes"] = codes[:SAMPLE]
        in_bf16 = fake_quantize_fp8_e4m3_per_tensor_with_scale(tensor.to(torch.bfloat16), factor).to(torch.float32)
        report(f"fp8 static {scale}, Quark in bf16 arithmetic", rounded, canonical(in_bf16.numpy()), bits, is_bf16)
        with np.errstate(all="ignore"):
            reciprocal = np.float32(1) / np.float32(scale)
            by_product = np.clip(x * reciprocal, -448, 448).astype(ml_dtypes.float8_e4m3fn).astype(np.float32)
            by_product = canonical((by_product * np.float32(scale)).astype(np.float32))
        report(f"fp8 static {scale}, product with the reciprocal", golden, by_product, bits)
    return goldens


def token_goldens(x: np.ndarray) -> dict[str, np.ndarray]:
    """FP8 with a scale per row."""
    goldens = {}
    rows = token_rows(x)
    with np.errstate(all="ignore"):
        own = (np.abs(rows).max(axis=-1, keepdims=True) / np.float32(448)).astype(np.float32)
        scale = np.maximum(own, np.float32(1 / (448 * 512)))
    codes, result = fp8_by_ml_dtypes(rows, scale)
    golden = canonical(result)
    quark = fake_quantize_fp8_e4m3_per_channel_with_scale(
        torch.from_numpy(rows.copy()), torch.from_numpy(scale[:, 0].copy()), 0
    )
    must_agree("fp8 token", golden, canonical(quark.numpy()))
    goldens["fp8_token.sha256"] = sha256(golden)
    goldens["fp8_token.bf16.sha256"] = sha256(canonical(quark.to(torch.bfloat16).to(torch.float32).numpy()))
    # The first rows of every family.
    goldens["fp8_token.codes"] = codes.reshape(16, -1, codes.shape[-1])[:, :TOKEN_SAMPLE].reshape(16 * TOKEN_SAMPLE, -1)
    # Quark's dynamic quantizer takes the token axis as axis 1 of [batch, tokens, features], and has no smallest scale but for zero rows.
    spec = FP8E4M3PerChannelSpec(ch_axis=1, is_dynamic=True).to_quantization_spec()
    dynamic = FakeQuantizeBase.get_fake_quantize(spec)(torch.from_numpy(rows.copy())[None])[0].numpy()
    floored = (own < scale)[:, 0]
    different = (golden != canonical(dynamic)).any(axis=-1)
    summary["fp8 token, Quark's dynamic quantizer"] = {
        "rows": int(different.sum()),
        "of them with the smallest scale": int((different & floored).sum()),
        "rows in all": len(rows),
    }
    return goldens


def main(unpacked: Path) -> None:
    torch.set_grad_enabled(False)
    bits, second = blocks(), halves()
    x = bits.view(np.float32)
    goldens = mx_goldens(x, "") | mx_goldens(second.view(np.float32), "halves.")
    goldens |= static_goldens(bits) | token_goldens(x)
    goldens |= q8_0_goldens(bits, "", summary) | q8_0_goldens(second, "halves.", summary)
    for tag, inputs in (("", bits), ("halves, ", second)):
        for name in MX:
            compare_quark(inputs, name, tag)
        compare_packages(inputs, unpacked, tag)
    compare_kernels(bits)
    check_reciprocal()
    packages = ("ml_dtypes", "numpy", "torch", "amd-quark", "torchao", *PACKAGES, "gguf")
    versions = {name: version(name) for name in packages}
    save_file(goldens, HERE / "blocks.safetensors", metadata={"versions": json.dumps(versions)})
    (HERE / "blocks.safetensors").chmod(0o644)
    print(json.dumps({"versions": versions, "differences": summary}, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
