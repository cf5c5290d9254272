"""Quantizers in PyTorch: quantize, then dequantize (qdq), and packing to MXFP4 as checkpoints store it."""
import torch

FP4 = torch.tensor([0, .5, 1, 1.5, 2, 3, 4, 6])


def mx_scale(x, emax):
    """Power-of-two block scale; the block maximum is first rounded to the element's mantissa, ties away."""
    amax = x.abs().amax(-1, keepdim=True).float()
    rounded = (amax.view(torch.int32) + 0x200000) & 0x7F800000
    exponent = (rounded >> 23) - 127 - emax
    return torch.exp2(exponent.clamp(-127, 127).float())


def qdq_mxfp4(x):
    shape = x.shape
    x = x.float().reshape(*shape[:-1], -1, 32)
    scale = mx_scale(x, 2)
    y = (x / scale).clamp(-6, 6)
    e = torch.floor(torch.log2(y.abs().clamp_min(1))).clamp(0, 2)
    step = torch.exp2(e - 1)
    return (torch.round(y / step) * step * scale).reshape(shape)


def qdq_mxfp6(x, e3m2):
    shape = x.shape
    x = x.float().reshape(*shape[:-1], -1, 32)
    emax, mant, emin, top = (4, 2, -2, 28.0) if e3m2 else (2, 3, 0, 7.5)
    amax = x.abs().amax(-1, keepdim=True)
    add = 1 << (23 - mant - 1)
    exponent = (((amax.view(torch.int32) + add) & 0x7F800000) >> 23) - 127 - emax
    scale = torch.exp2(exponent.clamp(-127, 127).float())
    y = (x / scale).clamp(-top, top)
    e = torch.floor(torch.log2(y.abs().clamp_min(2.0 ** emin)))
    step = torch.exp2(e - mant)
    return (torch.round(y / step) * step * scale).reshape(shape)


def qdq_mxfp8(x):
    """FP8 e4m3 in blocks of 32 with the smallest power-of-two scale by which no number exceeds 448 = 0.875 * 2^9."""
    shape = x.shape
    x = x.float().reshape(*shape[:-1], -1, 32)
    significand, exponent = torch.frexp(x.abs().amax(-1, keepdim=True))
    exponent = exponent - 9 + (significand > 0.875)
    scale = torch.exp2(exponent.clamp(-127, 127).float())
    return ((x / scale).clamp(-448, 448).to(torch.float8_e4m3fn).float() * scale).reshape(shape)


def qdq_q8_0(x):
    """llama.cpp's Q8_0: int8 in blocks of 32 with a float16 scale, max|x| / 127; codes to nearest even of x * (127 / max|x|)."""
    shape = x.shape
    x = x.float().reshape(*shape[:-1], -1, 32)
    largest = x.abs().amax(-1, keepdim=True)
    inverse = torch.where(largest > 0, 127 / largest, torch.zeros_like(largest))
    return (torch.round(x * inverse) * (largest / 127).half().float()).reshape(shape)


def qdq_fp8(x, scale):
    return (x.float() / scale).clamp(-448, 448).to(torch.float8_e4m3fn).float() * scale


def pack_mxfp4(w):
    """[..., K] -> (blocks [..., K/32, 16] u8, low nibble first; scales [..., K/32] u8, biased by 127)."""
    x = w.float().reshape(*w.shape[:-1], -1, 32)
    scale = mx_scale(x, 2)
    y = (x / scale).clamp(-6, 6)
    e = torch.floor(torch.log2(y.abs().clamp_min(1))).clamp(0, 2)
    step = torch.exp2(e - 1)
    q = torch.round(y / step) * step
    code = torch.bucketize(q.abs().contiguous(), FP4.to(q.device), right=True) - 1
    code = (code + 8 * torch.signbit(q)).to(torch.uint8)
    blocks = code[..., 0::2] | (code[..., 1::2] << 4)
    scales = (torch.log2(scale).squeeze(-1) + 127).to(torch.uint8)
    return blocks.contiguous(), scales.contiguous()
