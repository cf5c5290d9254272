"""Counts the blocks in which other code differs from the goldens, and stops where it must not."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from generator import BLOCKS, FAMILIES
from mx_blocks import MX, RULES, canonical, mx_by_ml_dtypes, shared_exponents
from other_sources import mxfp8_sources, torchao
from quark.torch.kernel.mx.triton import DequantScaleRoundingMode, downcast_to_mxfp_torch, upcast_from_mxfp_torch
from quark.torch.quantization.config.config import (
    OCP_MXFP4Spec,
    OCP_MXFP6E2M3Spec,
    OCP_MXFP6E3M2Spec,
    OCP_MXFP8E4M3Spec,
)
from quark.torch.quantization.tensor_quantize import FakeQuantizeBase

HERE = Path(__file__).parent
QUARK = {
    "e2m1": OCP_MXFP4Spec,
    "e3m2": OCP_MXFP6E3M2Spec,
    "e2m3": OCP_MXFP6E2M3Spec,
    "e4m3fn": OCP_MXFP8E4M3Spec,
}

#: What was counted, by what was compared.
summary: dict[str, object] = {}


def families_of(different: np.ndarray) -> dict[str, int]:
    if len(different) != BLOCKS:  # the second set, of two families alone
        return {}
    counts = {name: int(different[f::16].sum()) for f, name in enumerate(FAMILIES)}
    return {name: count for name, count in counts.items() if count}


def must_agree(what: str, a: np.ndarray, b: np.ndarray, where: np.ndarray | bool = True) -> None:
    different = (a != b).any(axis=-1) & where
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


def quark_mx(x: torch.Tensor, name: str, mode: str = "even") -> np.ndarray:
    spec = QUARK[name](ch_axis=-1, is_dynamic=True, scale_calculation_mode=mode).to_quantization_spec()
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


def compare_quark(bits: np.ndarray, name: str, tag: str) -> None:
    """Quark's fake quantization of one element format."""
    x = bits.view(np.float32)
    tensor = torch.from_numpy(x.copy())
    is_bf16 = ((bits & 0xFFFF) == 0).all(axis=-1)
    golden = {rule: canonical(mx_by_ml_dtypes(x, name, rule)[2]) for rule in RULES}
    must_agree(f"{tag}{name} even", golden["even"], canonical(quark_mx(tensor, name)))
    quark = canonical(quark_mx(tensor, name, "floor"))
    report(f"{tag}{name} floor, Quark's fake quantization", golden["floor"], quark, bits)
    if name == "e4m3fn":
        quark = canonical(quark_mx(tensor, name, "ceil"))
        report(f"{tag}{name} rceil, Quark's rule ceil", golden["rceil"], quark, bits)
    half = canonical(quark_mx(tensor.to(torch.bfloat16), name))
    report(f"{tag}{name} even, Quark's fake quantization in bf16", golden["even"], half, bits, is_bf16)


def compare_kernels(bits: np.ndarray) -> None:
    """Quark's kernels of MXFP4."""
    x = bits.view(np.float32)
    is_bf16 = ((bits & 0xFFFF) == 0).all(axis=-1)
    amax = np.abs(x).max(axis=-1)
    golden = canonical(mx_by_ml_dtypes(x, "e2m1", "even")[2])
    codes, scales = downcast_to_mxfp_torch(
        torch.from_numpy(x.copy()), torch.uint8, -1, DEQUANT_SCALE_ROUNDING_MODE=DequantScaleRoundingMode.EVEN
    )
    twin = canonical(upcast_from_mxfp_torch(codes, scales, torch.float32, -1).numpy())
    number = ~np.isnan(amax)
    report("e2m1 even, torch twin of Quark's Triton kernel, no NaN", golden, twin, bits, number)
    report("e2m1 even, torch twin of Quark's Triton kernel, NaN in the block", golden, twin, bits, ~number)
    other = canonical(quark_gpu_kernel(bits >> 16).view(np.float32))
    normal = is_bf16 & number & (amax >= 2.0**-126)
    report("e2m1 even, Quark's default kernel, no NaN or bf16 subnormal maximum", golden, other, bits, normal)
    report("e2m1 even, Quark's default kernel, NaN in the block", golden, other, bits, is_bf16 & ~number)


def check_reciprocal() -> None:
    """FlashInfer's kernel multiplies by a reciprocal of 448: by the nearest one bf16 maxima get the scale of rceil."""
    amax = (np.arange(1, 0x7F80, dtype=np.uint32) << 16).view(np.float32)
    product = (amax * np.float32(1 / 448)).view(np.uint32)
    up = (product >> 23) + ((product & 0x7FFFFF) != 0)
    normal = product >= 1 << 23
    expected = shared_exponents(amax, "e4m3fn", "rceil") + 127
    must_agree("scales by the reciprocal of 448", up[:, None], expected[:, None], normal)


def compare_packages(bits: np.ndarray, unpacked: Path, tag: str) -> None:
    """torchao in every format and rule, and the MXFP8 of other packages."""
    x = bits.view(np.float32)
    tensor = torch.from_numpy(x.copy())
    amax = np.abs(x).max(axis=-1)
    with np.errstate(all="ignore"):
        below = np.nextafter(amax, np.float32(0))
    for name in MX:
        for rule in RULES:
            bytes_, _, result = mx_by_ml_dtypes(x, name, rule)
            golden = canonical(result)
            # Where packages may differ: NaN, infinity and what is taken for it, byte 0, and maxima one float32 unit
            # above those at which the scale grows, which log2 rounds down.
            ordinary = (bytes_ > 0) & (bytes_ < 254)
            others = {"torchao": torchao(tensor, name, rule)}
            if (name, rule) == ("e4m3fn", "rceil"):
                others |= {what: source(tensor) for what, source in mxfp8_sources(unpacked).items()}
            beyond = (shared_exponents(amax, name, rule) > shared_exponents(below, name, rule)) & (rule == "rceil")
            for what, (scales, values) in others.items():
                what = f"{tag}{name} {rule}, {what}"
                report(what, golden, canonical(values), bits)
                summary[what]["scales"] = int((bytes_ != scales).sum())
                if "mxfp8_quantize" not in what:  # it rounds scales down
                    must_agree(what, golden, canonical(values), ordinary & ~beyond)
                    must_agree(f"{what}, scales", bytes_[:, None], scales[:, None], ordinary & ~beyond)
