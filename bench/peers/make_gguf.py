"""A GPT-OSS model of random weights as a GGUF file, for llama.cpp: MXFP4 experts, the rest bf16.

    python make_gguf.py OUT --layers 4 --hidden 2880 --intermediate 2880 --experts 32 --top-k 4 --heads 64 --kv-heads 8
        --head-dim 64 --vocab 201088 --window 128

Needs numpy and gguf. Numbers are sane, so that a forward pass stays finite; each tensor repeats one pool of them, which
is larger than a core's caches.
"""

import argparse

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFWriter, RopeScalingType

SIZES = ["layers", "hidden", "intermediate", "experts", "top-k", "heads", "kv-heads", "head-dim", "vocab", "window"]
# Bytes of an MXFP4 block of 32 numbers: its e8m0 scale, then the codes.
BLOCK = 17
POOL_BLOCKS = 1 << 20

rng = np.random.default_rng(1)


def bf16(count):
    """Normal numbers of standard deviation 0.02, as the bits of bfloat16."""
    return (rng.standard_normal(count).astype(np.float32) * 0.02).view(np.uint32) >> 16


def blocks():
    """Any codes, with scales of 2^-8 to 2^-5."""
    made = rng.integers(0, 256, (POOL_BLOCKS, BLOCK), dtype=np.uint8)
    made[:, 0] = 119 + (made[:, 0] & 3)
    return made.reshape(-1)


def tensors(a):
    """Names, shapes (the outermost first) and types, in the order of the file."""
    query, kv = a.heads * a.head_dim, a.kv_heads * a.head_dim
    yield "token_embd.weight", (a.vocab, a.hidden), Type.BF16
    yield "output.weight", (a.vocab, a.hidden), Type.BF16
    yield "output_norm.weight", (a.hidden,), Type.F32
    for layer in range(a.layers):
        at = f"blk.{layer}."
        yield at + "attn_norm.weight", (a.hidden,), Type.F32
        yield at + "post_attention_norm.weight", (a.hidden,), Type.F32
        yield at + "attn_sinks.weight", (a.heads,), Type.F32
        for name, rows, cols in [
            ("q", query, a.hidden),
            ("k", kv, a.hidden),
            ("v", kv, a.hidden),
            ("output", a.hidden, query),
        ]:
            yield f"{at}attn_{name}.weight", (rows, cols), Type.BF16
            yield f"{at}attn_{name}.bias", (rows,), Type.F32
        yield at + "ffn_gate_inp.weight", (a.experts, a.hidden), Type.F32
        yield at + "ffn_gate_inp.bias", (a.experts,), Type.F32
        for name, rows, cols in [
            ("gate", a.intermediate, a.hidden),
            ("up", a.intermediate, a.hidden),
            ("down", a.hidden, a.intermediate),
        ]:
            yield f"{at}ffn_{name}_exps.weight", (a.experts, rows, cols), Type.MXFP4
            yield f"{at}ffn_{name}_exps.bias", (a.experts, rows), Type.F32


def stored(shape, kind):
    """Shape and dtype of a tensor's array."""
    if kind == Type.MXFP4:
        return (*shape[:-1], shape[-1] // 32 * BLOCK), np.uint8
    return shape, np.uint16 if kind == Type.BF16 else np.float32


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    for size in SIZES:
        parser.add_argument("--" + size, type=int, required=True)
    a = parser.parse_args()
    writer = GGUFWriter(a.out, "gpt-oss")
    writer.add_name("random")
    writer.add_block_count(a.layers)
    writer.add_context_length(131072)
    writer.add_embedding_length(a.hidden)
    writer.add_feed_forward_length(a.intermediate)
    writer.add_expert_feed_forward_length(a.intermediate)
    writer.add_expert_count(a.experts)
    writer.add_expert_used_count(a.top_k)
    writer.add_head_count(a.heads)
    writer.add_head_count_kv(a.kv_heads)
    writer.add_key_length(a.head_dim)
    writer.add_value_length(a.head_dim)
    writer.add_sliding_window(a.window)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(150000.0)
    writer.add_rope_scaling_type(RopeScalingType.YARN)
    writer.add_rope_scaling_factor(32.0)
    writer.add_rope_scaling_orig_ctx_len(4096)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-4o")
    writer.add_token_list([f"t{i}" for i in range(a.vocab)])
    writer.add_token_types([1] * a.vocab)
    writer.add_token_merges(["t 1"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)

    listed = list(tensors(a))
    for name, shape, kind in listed:
        size, dtype = stored(shape, kind)
        count, item = int(np.prod(size)), np.dtype(dtype)
        writer.add_tensor_info(name, size, item, count * item.itemsize, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    pools = {
        Type.MXFP4: blocks(),
        Type.BF16: bf16(1 << 22).astype(np.uint16),
        Type.F32: np.float32(0.02) * rng.standard_normal(1 << 16).astype(np.float32),
    }
    for name, shape, kind in listed:
        size, dtype = stored(shape, kind)
        pool = np.ones(1, np.float32) if "norm" in name else pools[kind]
        writer.write_tensor_data(np.resize(pool, size).astype(dtype, copy=False))
    writer.close()


main()
