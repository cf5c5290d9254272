"""The inputs of the block goldens: float32 bits from integer arithmetic alone, so that tests/formats/blocks.ts makes the same."""

import numpy as np

SEED = 20260
BLOCK = 32
#: Blocks in all, and how many of them (the first ones) are stored whole for diagnosis.
BLOCKS = 1 << 17
SAMPLE = 4096
#: Significands of block maxima at which scales grow, as float32 fractions: 1.75, 1.875 and 1.9375.
EDGES = [0x600000, 0x700000, 0x780000]
#: A second set of blocks, which goes on where the first ends: maxima at a significand of 1.5, where `rceil` of e2m1
#: grows.
HALVES = 4096
HALF_EDGES = [0x400000]

FAMILIES = [
    "bf16 numbers within 12 powers of two",
    "float32 numbers within 12 powers of two",
    "any bf16 bits, infinities and NaN included",
    "zeros of both signs, and a few numbers",
    "float32 subnormals and the smallest normal numbers",
    "float32 maximum at or one unit beside a significand of 1.75, 1.875 or 1.9375",
    "bf16 maximum at or one unit beside them",
    "multiples of a power of two: ties of all formats",
    "float32 numbers one unit beside ties",
    "one infinity among bf16 numbers",
    "one NaN among bf16 numbers",
    "float32 numbers of the largest powers of two",
    "one bf16 number of the largest power of two among small ones",
    "one float32 number a million times the others",
    "bell-shaped",
    "32 equal magnitudes",
]

#: The two families of block maxima at the edges.
MAXIMA = FAMILIES[5:7]


def mix(seed: int, counter: np.ndarray) -> np.ndarray:
    """32-bit integers from a seed and counters (uint32)."""
    x = np.uint32((seed * 0x9E3779B1) & 0xFFFFFFFF) ^ counter.astype(np.uint32)
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x21F0AAAD)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x735A2D97)
    return x ^ (x >> np.uint32(15))


def families_of(b: np.ndarray, edges: list[int]) -> list[np.ndarray]:
    """float32 bits of the blocks with numbers b (uint32 [count, 1]) in each family, broadcastable to [count, 32]."""
    h = mix(SEED, b * np.uint32(64) + np.arange(BLOCK, dtype=np.uint32)[None, :])
    p = [mix(SEED, b * np.uint32(64) + np.uint32(32 + j)) for j in range(4)]
    u = np.uint32
    sign, m23, m7, k = h & u(0x80000000), h & u(0x7FFFFF), h & u(0x7F0000), (h >> u(23)) & u(0xFF)
    middle = u(107) + p[0] % u(41)
    chosen = np.arange(BLOCK, dtype=np.uint32)[None, :] == (p[1] & u(31))
    edge = np.array(edges, np.uint32)[p[2] % u(len(edges))]
    beside = (p[2] // u(3)) % u(3)  # 0: one unit below, 1: at, 2: one unit above
    field = lambda exponent: exponent << u(23)
    power = lambda exponent: np.ldexp(np.float64(1), exponent.astype(np.int64))
    bits_of = lambda value: value.astype(np.float32).view(np.uint32)

    near7 = sign | field(middle - k % u(12)) | m7
    near23 = sign | field(middle - k % u(12)) | m23
    below = field(middle - u(1) - k % u(10))
    n = ((h >> u(8)) % u(513)).astype(np.int64) - 256
    ties = bits_of(n * power(middle.astype(np.int64) - 133))
    bell = sum(((h >> u(8 * i)) & u(0xFF)).astype(np.int64) for i in range(4)) - 510
    return [
        near7,
        near23,
        h & u(0xFFFF0000),
        np.where(k % u(8) == 0, sign | field(middle) | m7, sign),
        sign | field(k % (u(1) + p[3] % u(6))) | m23,
        np.where(chosen, sign | (field(middle) + edge + beside - u(1)), sign | below | m23),
        np.where(chosen, sign | (field(middle) + edge + (beside << u(16)) - u(0x10000)), sign | below | m7),
        ties,
        np.where(n == 0, ties, ties + k % u(3) - u(1)),
        np.where(chosen, sign | u(0x7F800000), near7),
        np.where(chosen, sign | u(0x7FC00000), near7),
        sign | field(u(254) - k % u(8)) | m23,
        np.where(chosen, sign | field(u(254)) | m7, sign | field(middle) | m7),
        np.where(chosen, sign | field(middle + u(20)) | m23, sign | field(middle - k % u(4)) | m23),
        bits_of(bell * power(middle.astype(np.int64) - 135)),
        sign | field(middle) | (p[3] & u(0x7F0000)),
    ]


def blocks(count: int = BLOCKS) -> np.ndarray:
    """float32 bits, uint32 [count, 32]; block b is of family b % 16."""
    out = np.empty((count, BLOCK), np.uint32)
    for f, bits in enumerate(families_of(np.arange(count, dtype=np.uint32)[:, None], EDGES)):
        out[f::16] = np.broadcast_to(bits, out.shape)[f::16]
    return out


def halves(count: int = HALVES) -> np.ndarray:
    """The second set, uint32 [count, 32]: even blocks of the family of float32 maxima, odd ones of bf16 maxima."""
    out = np.empty((count, BLOCK), np.uint32)
    families = families_of(np.arange(BLOCKS, BLOCKS + count, dtype=np.uint32)[:, None], HALF_EDGES)
    for f, name in enumerate(MAXIMA):
        out[f::2] = families[FAMILIES.index(name)][f::2]
    return out
