"""
Makes blocks.safetensors: what Quark and an implementation on ml_dtypes leave of 131,072 blocks of 32 numbers in each format.

    python3 -m venv venv && venv/bin/pip install amd-quark==0.13 torch==2.15.0 ml_dtypes==0.6.0 safetensors==0.8.0 \\
        numpy==2.4.6 transformers accelerate
    venv/bin/python make_blocks.py

It stops where the two implementations disagree with each other, and prints in how many blocks Quark's other kernels differ from them
(the tables in README.md). A C++ compiler is needed, by Quark too.

Results are float32 bits in which every zero is +0 and every NaN is 0x7fc00000. Of each format are stored the SHA-256 of all results
and, for diagnosis, the results of the first 4,096 blocks: bf16 bits where the results are bf16 numbers (MX), FP8 codes otherwise.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import ml_dtypes
import numpy as np
import torch
from safetensors.numpy import save_file

from generator import BLOCK, BLOCKS, FAMILIES, SAMPLE, blocks
from quark.torch.kernel.hw_emulation.hw_emulation_interface import (
    fake_quantize_fp8_e4m3_per_channel_with_scale,
    fake_quantize_fp8_e4m3_per_tensor_with_scale,
)
from quark.torch.kernel.mx.triton import DequantScaleRoundingMode, downcast_to_mxfp_torch, upcast_from_mxfp_torch
from quark.torch.quantization.config.config import (
    FP8E4M3PerChannelSpec,
    OCP_MXFP4Spec,
    OCP_MXFP6E2M3Spec,
    OCP_MXFP6E3M2Spec,
)
from quark.torch.quantization.tensor_quantize import FakeQuantizeBase

HERE = Path(__file__).parent

#: name -> (ml_dtypes type, Quark spec, largest number, its power of two, stored mantissa bits)
MX = {
    "e2m1": (ml_dtypes.float4_e2m1fn, OCP_MXFP4Spec, 6.0, 2, 1),
    "e3m2": (ml_dtypes.float6_e3m2fn, OCP_MXFP6E3M2Spec, 28.0, 4, 2),
    "e2m3": (ml_dtypes.float6_e2m3fn, OCP_MXFP6E2M3Spec, 7.5, 2, 3),
}
STATIC_SCALES = [1.0, 0.5, 0.0123, 3.7e-5, 146.3]
#: A token is a row of 320 numbers: ten blocks of one family.
TOKEN_BLOCKS = 10
#: Rows of each family that are stored whole.
TOKEN_SAMPLE = 25

summary: dict[str, object] = {}


def canonical(values: np.ndarray) -> np.ndarray:
    """float32 bits with one zero and one NaN."""
    bits = values.astype(np.float32).view(np.uint32).copy()
    bits[values == 0] = 0
    bits[np.isnan(values)] = 0x7FC00000
    return bits


def token_rows(x: np.ndarray) -> np.ndarray:
    """Rows of ten blocks of the same family, family by family; blocks that are left over are dropped."""
    by_family = x.reshape(-1, 16, BLOCK).transpose(1, 0, 2)
    per_family = by_family.shape[1] // TOKEN_BLOCKS
    kept = by_family[:, : per_family * TOKEN_BLOCKS]
    return np.ascontiguousarray(kept).reshape(16 * per_family, TOKEN_BLOCKS * BLOCK)


def families_of(different: np.ndarray) -> dict[str, int]:
    counts = {name: int(different[f::16].sum()) for f, name in enumerate(FAMILIES)}
    return {name: count for name, count in counts.items() if count}


def must_agree(what: str, a: np.ndarray, b: np.ndarray) -> None:
    different = (a != b).any(axis=-1)
    if different.any():
        block = int(np.argmax(different))
        sys.exit(f"{what}: {int(different.sum())} blocks differ {families_of(different)}; block {block}:\n{a[block]}\n{b[block]}")


def report(what: str, a: np.ndarray, b: np.ndarray, x: np.ndarray, counted: np.ndarray | None = None) -> None:
    """Counts the blocks in which another kernel differs."""
    different = (a != b).any(axis=-1)
    if counted is not None:
        different &= counted
    example = None
    if different.any():
        block = int(np.argmax(different))
        place = int(np.argmax(a[block] != b[block]))
        floats = [float(bits[block].view(np.float32)[place]) for bits in (x, a, b)]
        amax = float(np.abs(x[block].view(np.float32)).max())
        example = {"input": floats[0], "block maximum": amax, "golden": floats[1], "other": floats[2]}
    numbers = int((a != b)[different].sum())
    summary[what] = {"blocks": int(different.sum()), "numbers": numbers, "families": families_of(different), "example": example}


def mx_by_ml_dtypes(x: np.ndarray, name: str, rule: str) -> tuple[np.ndarray, np.ndarray]:
    """Bytes and results, from frexp and the type's own conversion."""
    dtype, _, largest, emax, mantissa = MX[name]
    amax = np.abs(x).max(axis=-1, keepdims=True)  # NaN if one is
    # amax = significand * 2^(exponent + 1), significand in [0.5, 1)
    significand, exponent = np.frexp(np.nan_to_num(amax.astype(np.float64), nan=0, posinf=0))
    exponent = exponent - 1
    if rule == "even":
        exponent = exponent + (2 * significand >= 2 - 2.0 ** -(mantissa + 1))
    # Zero and float32 subnormals count as 2^-126 or less, which the clamp makes 2^-127; what rounds up to 2^128 is infinite.
    shared = np.clip(exponent - emax, -127, 127)
    shared = np.where(amax < 2.0**-126, -127, shared)
    shared = np.where(np.isinf(amax) | (exponent > 127), 127, shared)
    scale = np.ldexp(1.0, shared)
    with np.errstate(all="ignore"):
        y = np.clip((x.astype(np.float64) / scale).astype(np.float32), -largest, largest)
        y = y.astype(dtype).astype(np.float32)  # rounds to nearest, ties to even
        result = (y.astype(np.float64) * scale).astype(np.float32)
    nan = np.isnan(amax)
    result = np.where(nan, np.float32(np.nan), result)
    return np.where(nan[:, 0], 255, shared[:, 0] + 127).astype(np.uint8), result


def fp8_by_ml_dtypes(x: np.ndarray, scale: np.ndarray | np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Codes and results."""
    with np.errstate(all="ignore"):
        quotient = (x / scale).astype(np.float32)
        codes = np.clip(quotient, -448, 448).astype(ml_dtypes.float8_e4m3fn)
        return codes.view(np.uint8), (codes.astype(np.float32) * scale).astype(np.float32)


def quark_mx(x: torch.Tensor, name: str, mode: str = "even") -> np.ndarray:
    spec = MX[name][1](ch_axis=-1, is_dynamic=True, scale_calculation_mode=mode).to_quantization_spec()
    quantizer = FakeQuantizeBase.get_fake_quantize(spec)
    # In pieces, to bound memory.
    return torch.cat([quantizer.fake_quantize(part) for part in x.split(1 << 14)]).to(torch.float32).numpy()


def quark_gpu_kernel(bits: np.ndarray) -> np.ndarray:
    """Quark's default kernel for bf16, compiled for the CPU; bf16 bits in, float32 bits out."""
    import quark

    include = Path(quark.__file__).parent / "torch/kernel/hw_emulation/csrc"
    with tempfile.TemporaryDirectory() as folder:
        for header in ("cuda_bf16.h", "cuda_fp16.h", "cuda_runtime.h"):
            Path(folder, header).touch()
        program = Path(folder, "quark_kernel")
        source = HERE / "quark_kernel.cpp"
        subprocess.run(["g++", "-O1", "-std=c++17", f"-I{folder}", f"-I{include}", source, "-o", program], check=True)
        out = subprocess.run([program], input=bits.astype(np.uint16).tobytes(), capture_output=True, check=True).stdout
    return np.frombuffer(out, np.uint16).reshape(bits.shape).astype(np.uint32) << 16


def sha256(bits: np.ndarray) -> np.ndarray:
    return np.frombuffer(hashlib.sha256(np.ascontiguousarray(bits).astype("<u4").tobytes()).digest(), np.uint8).copy()


def bf16_bits(bits: np.ndarray) -> np.ndarray:
    assert not (bits & 0xFFFF).any(), "MX results are bf16 numbers"
    return (bits >> 16).astype("<u2").view(np.uint8).reshape(bits.shape[0], -1)


def main() -> None:
    torch.set_grad_enabled(False)
    bits = blocks()
    x = bits.view(np.float32)
    tensor = torch.from_numpy(x.copy())
    is_bf16 = ((bits & 0xFFFF) == 0).all(axis=-1)
    amax = np.abs(x).max(axis=-1)
    goldens = {"inputs.sha256": sha256(bits)}

    for name in MX:
        for rule in ("even", "floor"):
            bytes_, result = mx_by_ml_dtypes(x, name, rule)
            golden = canonical(result)
            quark = canonical(quark_mx(tensor, name, rule))
            if rule == "even":
                must_agree(f"{name} {rule}", golden, quark)
                goldens[f"{name}.sample"] = bf16_bits(golden[:SAMPLE])
            else:
                report(f"{name} floor, Quark's fake quantization", golden, quark, bits)
            goldens[f"{name}.{rule}.scales.sha256"] = sha256(bytes_.astype(np.uint32))
            goldens[f"{name}.{rule}.sha256"] = sha256(golden)
            if rule == "even":
                half = tensor.to(torch.bfloat16)
                report(
                    f"{name} even, Quark's fake quantization in bf16",
                    golden, canonical(quark_mx(half, name)), bits, is_bf16,
                )
            if name == "e2m1" and rule == "even":
                codes, scales = downcast_to_mxfp_torch(
                    tensor, torch.uint8, -1, DEQUANT_SCALE_ROUNDING_MODE=DequantScaleRoundingMode.EVEN
                )
                twin = upcast_from_mxfp_torch(codes, scales, torch.float32, -1).numpy()
                number = ~np.isnan(amax)
                report("e2m1 even, torch twin of Quark's Triton kernel, no NaN", golden, canonical(twin), bits, number)
                report("e2m1 even, torch twin of Quark's Triton kernel, NaN in the block", golden, canonical(twin), bits, ~number)
                other = canonical(quark_gpu_kernel(bits >> 16).view(np.float32))
                normal = is_bf16 & number & (amax >= 2.0**-126)
                report("e2m1 even, Quark's default kernel, no NaN or bf16 subnormal maximum", golden, other, bits, normal)
                report("e2m1 even, Quark's default kernel, NaN in the block", golden, other, bits, is_bf16 & ~number)

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
    goldens["fp8_static.scales"] = np.array(STATIC_SCALES, np.float32)

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

    versions = {name: version(name) for name in ("ml_dtypes", "numpy", "torch", "amd-quark")}
    save_file(goldens, HERE / "blocks.safetensors", metadata={"versions": json.dumps(versions)})
    (HERE / "blocks.safetensors").chmod(0o644)
    print(json.dumps({"versions": versions, "differences": summary}, indent=1))


if __name__ == "__main__":
    main()
