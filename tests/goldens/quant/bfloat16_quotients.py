"""
What it costs a static FP8 tensor that its scale, or the quotient by its scale, is rounded to bfloat16, as AMD Quark does for models that
are loaded as bfloat16.

    python bfloat16_quotients.py

prints by how much the squared error of QDQ grows, each as the mean over tensors with its 95 % interval, and the share of codes that differ.
A tensor is 65,536 normal numbers in bfloat16, one of 331 eight times as large; its scale is the largest magnitude over 448. numpy and
ml_dtypes from PyPI.
"""

import numpy as np
from ml_dtypes import bfloat16, float8_e4m3fn

TENSORS, NUMBERS = 400, 1 << 16


def rounded(x: np.ndarray) -> np.ndarray:
    return x.astype(bfloat16).astype(np.float32)


def codes(quotients: np.ndarray) -> np.ndarray:
    return np.clip(quotients, -448, 448).astype(float8_e4m3fn).astype(np.float32)


def main() -> None:
    generator = np.random.default_rng(1)
    grown = {"scale": [], "quotient": [], "both": []}
    changed = []
    for _ in range(TENSORS):
        x = generator.standard_normal(NUMBERS).astype(np.float32) * np.float32(2 ** generator.uniform(-6, 6))
        x[::331] *= 8
        x = rounded(x)
        scale = np.abs(x).max(keepdims=True) / np.float32(448)
        stored = rounded(scale)
        quantized = {
            "neither": codes(x / scale) * scale,
            "scale": codes(x / stored) * stored,
            "quotient": codes(rounded(x / scale)) * scale,
            "both": codes(rounded(x / stored)) * stored,
        }
        error = {name: ((y.astype(np.float64) - x) ** 2).sum() for name, y in quantized.items()}
        for name, all_ in grown.items():
            all_.append(error[name] / error["neither"] - 1)
        changed.append((quantized["scale"] != quantized["both"]).mean())
    for name, all_ in [*grown.items(), ("codes that differ by the quotient", changed)]:
        print(f"{name}: {100 * np.mean(all_):.3f} % +- {196 * np.std(all_) / TENSORS**0.5:.3f} %")


if __name__ == "__main__":
    main()
