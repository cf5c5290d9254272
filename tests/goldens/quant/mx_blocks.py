"""MX goldens by ml_dtypes: block scales from frexp, conversion by the types of that package."""

import hashlib

import ml_dtypes
import numpy as np
import torch

from generator import SAMPLE

#: name -> (ml_dtypes type, largest number, its power of two, stored mantissa bits)
MX = {
    "e2m1": (ml_dtypes.float4_e2m1fn, 6.0, 2, 1),
    "e3m2": (ml_dtypes.float6_e3m2fn, 28.0, 4, 2),
    "e2m3": (ml_dtypes.float6_e2m3fn, 7.5, 2, 3),
    "e4m3fn": (ml_dtypes.float8_e4m3fn, 448.0, 8, 3),
}
RULES = ("even", "floor", "rceil")


def canonical(values: np.ndarray) -> np.ndarray:
    """float32 bits with one zero and one NaN."""
    bits = values.astype(np.float32).view(np.uint32).copy()
    bits[values == 0] = 0
    bits[np.isnan(values)] = 0x7FC00000
    return bits


def shared_exponents(amax: np.ndarray, name: str, rule: str) -> np.ndarray:
    """Powers of two of the scales of blocks with these largest magnitudes, -127 to 127, from frexp."""
    _, largest, emax, mantissa = MX[name]
    # amax = significand * 2^(exponent + 1), significand in [0.5, 1)
    with np.errstate(all="ignore"):
        significand, exponent = np.frexp(np.nan_to_num(amax.astype(np.float64), nan=0, posinf=0))
    exponent = exponent - 1
    infinite = np.isinf(amax)
    if rule == "even":
        exponent = exponent + (2 * significand >= 2 - 2.0 ** -(mantissa + 1))
        infinite |= exponent > 127  # what rounds up to 2^128
    if rule == "rceil":
        exponent = exponent + (2 * significand > largest / 2.0**emax)
    # Zero and float32 subnormals count as 2^-126 or less, which the clamp makes 2^-127.
    shared = np.clip(exponent - emax, -127, 127)
    shared = np.where(amax < 2.0**-126, -127, shared)
    return np.where(infinite, 127, shared)


def mx_by_ml_dtypes(x: np.ndarray, name: str, rule: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scale bytes, codes and results, by the type's own conversion."""
    dtype, largest, _, _ = MX[name]
    amax = np.abs(x).max(axis=-1, keepdims=True)  # NaN if one is
    shared = shared_exponents(amax, name, rule)
    scale = np.ldexp(1.0, shared)
    with np.errstate(all="ignore"):
        y = np.clip((x.astype(np.float64) / scale).astype(np.float32), -largest, largest)
        codes = y.astype(dtype)  # rounds to nearest, ties to even
        result = (codes.astype(np.float64) * scale).astype(np.float32)
    nan = np.isnan(amax)
    result = np.where(nan, np.float32(np.nan), result)
    return np.where(nan[:, 0], 255, shared[:, 0] + 127).astype(np.uint8), codes.view(np.uint8), result


def sha256(bits: np.ndarray) -> np.ndarray:
    return np.frombuffer(hashlib.sha256(np.ascontiguousarray(bits).astype("<u4").tobytes()).digest(), np.uint8).copy()


def bf16_bits(bits: np.ndarray) -> np.ndarray:
    assert not (bits & 0xFFFF).any(), "MX results are bf16 numbers"
    return (bits >> 16).astype("<u2").view(np.uint8).reshape(bits.shape[0], -1)


def mx_goldens(x: np.ndarray, prefix: str) -> dict[str, np.ndarray]:
    """Hashes of all formats and rules, and of each format a sample by its usual rule."""
    goldens = {f"{prefix}inputs.sha256": sha256(x.view(np.uint32))}
    for name in MX:
        for rule in RULES:
            bytes_, codes, result = mx_by_ml_dtypes(x, name, rule)
            golden = canonical(result)
            goldens[f"{prefix}{name}.{rule}.scales.sha256"] = sha256(bytes_.astype(np.uint32))
            goldens[f"{prefix}{name}.{rule}.sha256"] = sha256(golden)
            if name == "e4m3fn":
                # Scales near 2^-127 leave numbers below the bf16 subnormals.
                rounded = torch.from_numpy(result).to(torch.bfloat16).to(torch.float32).numpy()
                goldens[f"{prefix}{name}.{rule}.bf16.sha256"] = sha256(canonical(rounded))
            if prefix == "" and name == "e4m3fn" and rule == "rceil":
                goldens[f"{name}.{rule}.codes"] = np.ascontiguousarray(codes[:SAMPLE])
                goldens[f"{name}.{rule}.bytes"] = bytes_[:SAMPLE]
            if prefix == "" and name != "e4m3fn" and rule == "even":
                goldens[f"{name}.sample"] = bf16_bits(golden[:SAMPLE])
    return goldens
