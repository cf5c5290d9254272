"""
Q8_0 goldens: what ggml's own compiled code leaves of the blocks, and where other code for Q8_0 differs from it.

`make_blocks.py` stores them with the others. By itself, `python q8_0_blocks.py` puts the tensors of Q8_0 into the
stored blocks.safetensors, leaves the others as they are, and prints the counts of README.md's section on Q8_0. An x86
processor with AVX2 is needed.
"""

import ctypes
import json
from importlib.metadata import files, version
from pathlib import Path

import numpy as np
from gguf.quants import Q8_0
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from generator import BLOCK, BLOCKS, FAMILIES, SAMPLE, blocks, halves
from mx_blocks import canonical, sha256

HERE = Path(__file__).parent

#: Packages with ggml in them: the names of the libraries to load, in this order. Code is in the last, `ggml_version()`
#: and the references in the first.
PACKAGES = {
    "pywhispercpp": ("pywhispercpp.libs/libggml-base-", "pywhispercpp.libs/libggml-cpu-"),
    "xllamacpp": ("xllamacpp/xllamacpp.abi3.so",),
}
#: The instructions that ggml's x86 code for Q8_0 knows.
INSTRUCTIONS = ("avx", "avx2", "f16c")
#: Float16 bits of the scale of a block with a NaN or an infinity, or whose scale is beyond float16: this program's
#: rule. ggml's result is undefined in the first case; in the second its results are infinite, or NaN.
NAN_SCALE = 0x7E00

Quantized = tuple[np.ndarray, np.ndarray]


class Ggml:
    """ggml as a package from PyPI holds it."""

    def __init__(self, package: str) -> None:
        paths = {name: [f.locate() for f in files(package) if str(f).startswith(name)] for name in PACKAGES[package]}
        libraries = [ctypes.CDLL(str(path)) for path, in paths.values()]
        self.base, self.cpu = libraries[0], libraries[-1]
        self.base.ggml_version.restype = ctypes.c_char_p
        self.cpu.ggml_cpu_init()  # fills the table that float16 conversion in software reads
        self.instructions = [name for name in INSTRUCTIONS if self.cpu[f"ggml_cpu_has_{name}"]()]
        self.version = f"ggml {self.base.ggml_version().decode()}, compiled with {', '.join(self.instructions)}"

    def quantize(self, x: np.ndarray) -> Quantized:
        """Float16 scales [count] and int8 codes [count, 32] by the code for this processor."""
        return self._quantize(self.cpu.quantize_row_q8_0, x)

    def reference(self, x: np.ndarray) -> Quantized:
        return self._quantize(self.base.quantize_row_q8_0_ref, x)

    def _quantize(self, function, x: np.ndarray) -> Quantized:
        x, out = np.ascontiguousarray(x, np.float32), np.zeros((len(x), 2 + BLOCK), np.uint8)
        function.restype, function.argtypes = None, (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
        function(x.ctypes.data, out.ctypes.data, x.size)
        return split(out)

    def dequantize(self, quantized: Quantized) -> np.ndarray:
        scales, codes = quantized
        stored = np.concatenate([scales[:, None].view(np.uint8), codes.view(np.uint8)], axis=-1)
        out, function = np.zeros(codes.shape, np.float32), self.base.dequantize_row_q8_0
        function.restype, function.argtypes = None, (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
        function(stored.ctypes.data, out.ctypes.data, out.size)
        return out


def split(stored: np.ndarray) -> Quantized:
    """Scales and codes of blocks of 34 bytes, as GGUF files store them."""
    return np.ascontiguousarray(stored[:, :2]).view(np.float16)[:, 0], np.ascontiguousarray(stored[:, 2:]).view(np.int8)


def as_int8(y: np.ndarray) -> np.ndarray:
    """Codes of rounded numbers; -128 for infinities and NaN, as x86 converts and packs them."""
    return np.where(np.isfinite(y), np.nan_to_num(y, posinf=0, neginf=0), -128).astype(np.int8)


def half_away(y: np.ndarray) -> np.ndarray:
    return np.copysign(np.floor(np.abs(y.astype(np.float64)) + 0.5), y)


@np.errstate(all="ignore")
def by_numpy(x: np.ndarray, rule: str) -> Quantized:
    """The rules of ggml's code for x86 and ARM processors, and of its CUDA code for products with one token (Q8_1)."""
    amax = np.abs(x).max(axis=-1, keepdims=True)
    scale = (amax / np.float32(127)).astype(np.float32)
    if rule == "x86":
        y = np.rint(x * np.where(amax == 0, np.float32(0), np.float32(127) / amax))
    elif rule == "arm":
        y = np.rint(x * np.where(scale == 0, np.float32(0), np.float32(1) / scale))
    else:
        y = half_away(np.where(amax == 0, np.float32(0), x / scale))
    return scale[:, 0].astype(np.float16), as_int8(y)


@np.errstate(all="ignore")
def by_gguf(x: np.ndarray) -> Quantized:
    return split(Q8_0.quantize_blocks(x))


@np.errstate(all="ignore")
def results_of(quantized: Quantized) -> np.ndarray:
    """Float32 bits of what the scales and codes stand for."""
    scales, codes = quantized
    return canonical(scales.astype(np.float32)[:, None] * codes.astype(np.float32))


def compare(x: np.ndarray, ggml: Ggml, golden: Quantized, whole: bool) -> dict[str, object]:
    """Counts the blocks in which other code leaves other results; scales are the same everywhere."""
    families = np.arange(BLOCKS)[np.isfinite(blocks().view(np.float32)).all(axis=-1)] % 16 if whole else None
    counts: dict[str, object] = {}
    results, usual = results_of(golden), np.isfinite(golden[0]) & (golden[0] > 0)
    counts["finite blocks"] = len(x)
    counts["scale 0 / infinite"] = [int((golden[0] == 0).sum()), int(np.isinf(golden[0]).sum())]
    counts["codes are all -128"] = int((golden[1] == -128).all(axis=-1).sum())
    others = {
        "ggml's reference": ggml.reference(x),
        "gguf-py": by_gguf(x),
        "ARM (numpy)": by_numpy(x, "arm"),
        "CUDA, quantize_q8_1 (numpy)": by_numpy(x, "cuda"),
    }
    for name, other in others.items():
        assert (other[0].view(np.uint16) == golden[0].view(np.uint16)).all(), f"scales of {name}"
        differ = results_of(other) != results
        steps = np.abs(other[1].astype(np.int32) - golden[1].astype(np.int32))[usual].max()
        counted = {"blocks": int(differ.any(axis=-1).sum()), "numbers": int(differ.sum()), "code steps": int(steps)}
        counts[name] = counted
        if families is not None:
            found = np.bincount(families[differ.any(axis=-1)], minlength=16)
            counted["families"] = {FAMILIES[f]: int(n) for f, n in enumerate(found) if n}
    return counts


def q8_0_goldens(bits: np.ndarray, prefix: str, summary: dict[str, object]) -> dict[str, np.ndarray]:
    """Of float32 bits [count, 32]: hashes of results and scales, and of the first set the first codes.

    Stops unless ggml's code leaves the golden numbers, scales and codes of all blocks of finite numbers.
    """
    x = bits.view(np.float32)
    finite = np.isfinite(x).all(axis=-1)
    golden = by_numpy(x[finite], "x86")
    for package in PACKAGES:
        ggml = Ggml(package)
        assert "avx2" in ggml.instructions, ggml.version
        quantized = ggml.quantize(x[finite])
        for what, ours, theirs in zip(("scales", "codes"), golden, quantized):
            assert ours.tobytes() == theirs.tobytes(), f"{what} of {ggml.version}"
        assert (canonical(ggml.dequantize(quantized)) == results_of(golden)).all(), f"results of {ggml.version}"
        summary[f"{prefix}q8_0, {package} {version(package)}"] = f"{ggml.version}: 0 blocks differ"
    summary[f"{prefix}q8_0"] = compare(x[finite], ggml, golden, prefix == "")
    results, scales = np.full(x.shape, 0x7FC00000, np.uint32), np.full(len(x), NAN_SCALE, np.uint32)
    kept = np.isfinite(golden[0])
    assert not np.isfinite(results_of(golden)[~kept].view(np.float32)).any()
    numbers = np.flatnonzero(finite)[kept]
    results[numbers], scales[numbers] = results_of(golden)[kept], golden[0].view(np.uint16)[kept]
    codes = np.zeros(x.shape, np.uint8)
    codes[finite] = golden[1].view(np.uint8)
    goldens = {f"{prefix}q8_0.sha256": sha256(results), f"{prefix}q8_0.scales.sha256": sha256(scales)}
    return goldens | ({} if prefix else {"q8_0.codes": codes[:SAMPLE]})


def main() -> None:
    path, summary = HERE / "blocks.safetensors", {}
    goldens = q8_0_goldens(blocks(), "", summary) | q8_0_goldens(halves(), "halves.", summary)
    with safe_open(path, "numpy") as stored:
        versions = json.loads(stored.metadata()["versions"])
    versions |= {name: version(name) for name in (*PACKAGES, "gguf")}
    save_file(load_file(path) | goldens, path, metadata={"versions": json.dumps(versions)})
    path.chmod(0o644)
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
