"""
What other packages leave of blocks of 32 numbers in MX formats: torchao, vLLM, FlashInfer, and Quark's A8W4 quantizer.

Each function takes float32 [blocks, 32] and returns scale bytes (uint8 [blocks]) and results (float32 [blocks, 32]).
vLLM's and FlashInfer's functions are plain torch, but their packages have much else to import: single functions are
read out of files.
"""

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Callable, Tuple

import numpy as np
import torch
from quark.torch.quantization.nn.modules.flydsl_a8w4_inference_linear import _quantize_mxfp8_1x32_eager
from torchao.prototype.mx_formats.config import ScaleCalculationMode
from torchao.prototype.mx_formats.constants import DTYPE_FP6_E2M3, DTYPE_FP6_E3M2
from torchao.prototype.mx_formats.mx_tensor import to_dtype, to_mx

Quantized = tuple[np.ndarray, np.ndarray]

TORCHAO = {
    "e2m1": torch.float4_e2m1fn_x2,
    "e3m2": DTYPE_FP6_E3M2,
    "e2m3": DTYPE_FP6_E2M3,
    "e4m3fn": torch.float8_e4m3fn,
}


def torchao(x: torch.Tensor, name: str, rule: str) -> Quantized:
    """torchao's to_mx() and to_dtype() in eager mode; rules are its ScaleCalculationMode."""
    scales, codes = to_mx(x, TORCHAO[name], x.shape[-1], ScaleCalculationMode(rule))
    result = to_dtype(codes, scales, TORCHAO[name], x.shape[-1], torch.float32)
    return scales.view(torch.uint8).flatten().numpy(), result.numpy()


def dequantized(codes: torch.Tensor, scales: torch.Tensor) -> Quantized:
    """FP8 codes times 2^(byte - 127), NaN under byte 255: these packages leave dequantization to a matrix product."""
    scales = scales.flatten().view(torch.uint8).numpy()
    factor = np.ldexp(1.0, scales.astype(np.int64) - 127)
    factor[scales == 255] = np.nan
    values = codes.view(torch.float8_e4m3fn).to(torch.float64).numpy().reshape(len(scales), -1)
    with np.errstate(over="ignore"):
        return scales, (values * factor[:, None]).astype(np.float32)


def function_of(path: Path, name: str, **names: object) -> Callable:
    """One function of a file, which sees torch and the given names."""
    body = ast.parse(path.read_text()).body
    found = next(node for node in body if isinstance(node, ast.FunctionDef) and node.name == name)
    scope = {"torch": torch, "Tuple": Tuple, **names}
    exec(compile(ast.Module([found], []), str(path), "exec"), scope)
    return scope[name]


def mxfp8_sources(unpacked: Path) -> dict[str, Callable[[torch.Tensor], Quantized]]:
    """
    MXFP8 of other packages by name.

    unpacked holds the contents of the wheels of vllm and flashinfer-python, and utils_fp8.py of FlashInfer's tests,
    which is in its repository only.
    """
    vllm = function_of(
        unpacked / "vllm/model_executor/layers/quantization/utils/mxfp8_utils.py", "_mxfp8_e4m3_quantize_torch",
        MXFP8_BLOCK_SIZE=32, MXFP8_VALUE_DTYPE=torch.float8_e4m3fn,
    )
    linear = SimpleNamespace(layout_linear=0)
    tests = function_of(
        unpacked / "utils_fp8.py", "mxfp8_quantize_reference",
        SfLayout=linear, _swizzle_mxfp8_scales=lambda scales, layout: scales,
    )
    templates = unpacked / "flashinfer/trace/templates/quantize.py"
    up = function_of(templates, "_quantize_mxfp8_round_up_scale")
    down = function_of(templates, "_quantize_mxfp8")
    return {
        "vLLM's torch twin": lambda x: dequantized(*vllm(x)),
        "FlashInfer's tests": lambda x: dequantized(*tests(x, is_sf_swizzled_layout=False, sf_swizzle_layout=0)),
        "FlashInfer's package, after SwiGLU": lambda x: dequantized(*up(x)),
        "FlashInfer's package, mxfp8_quantize": lambda x: dequantized(*down(x)),
        "Quark's A8W4 quantizer": lambda x: dequantized(*_quantize_mxfp8_1x32_eager(x)),
    }
