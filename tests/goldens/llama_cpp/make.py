"""What llama.cpp says of two models' predictions, with the logits that it says it of.

    python3 make.py --model models/tiny-gpt-oss --problems tests/goldens/word-problems.jsonl --llama BUILD/bin/llama-perplexity

The embedded model, its head's weights divided by four, is written as GGUF twice: as it is, and with the weights of its
attention rounded to three bits of mantissa. llama-perplexity writes the logits of both (16 bits each, log probabilities of the second half of each chunk)
and compares the second with the first. Packages: numpy, safetensors, torch (to read bfloat16), gguf.
"""
import argparse
import gzip
import json
import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from safetensors.torch import load_file


def mxfp4(blocks, scales):
    """OpenAI's layout (adjacent elements share a byte) to GGUF's blocks of 17 bytes (first half low, second half high)."""
    nibbles = np.stack([blocks & 15, blocks >> 4], -1).reshape(*blocks.shape[:-1], 32)
    packed = nibbles[..., :16] | nibbles[..., 16:] << 4
    return np.concatenate([scales[..., None], packed], -1).reshape(*blocks.shape[:-2], -1)


def write(model, path, coarse):
    config = json.loads((model / "config.json").read_text())
    tokenizer = json.loads((model / "tokenizer.json").read_text())
    tensors = load_file(model / "model.safetensors")
    plain = lambda name: tensors[name].float().numpy()
    raw = lambda name: tensors[name].numpy()
    out = GGUFWriter(str(path), "gpt-oss")
    rope = config["rope_scaling"]
    out.add_block_count(config["num_hidden_layers"])
    out.add_context_length(config["max_position_embeddings"])
    out.add_embedding_length(config["hidden_size"])
    out.add_feed_forward_length(config["intermediate_size"])
    out.add_expert_feed_forward_length(config["intermediate_size"])
    out.add_expert_count(config["num_local_experts"])
    out.add_expert_used_count(config["num_experts_per_tok"])
    out.add_head_count(config["num_attention_heads"])
    out.add_head_count_kv(config["num_key_value_heads"])
    out.add_key_length(config["head_dim"])
    out.add_value_length(config["head_dim"])
    out.add_sliding_window(config["sliding_window"])
    out.add_layer_norm_rms_eps(config["rms_norm_eps"])
    out.add_rope_freq_base(config["rope_theta"])
    out.add_uint32("gpt-oss.rope.scaling.original_context_length", rope["original_max_position_embeddings"])
    out.add_string("gpt-oss.rope.scaling.type", "yarn")
    out.add_float32("gpt-oss.rope.scaling.factor", rope["factor"])
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("gpt-4o")
    words = {id: word for word, id in tokenizer["model"]["vocab"].items()}
    words.update({added["id"]: added["content"] for added in tokenizer["added_tokens"]})
    special = {added["id"] for added in tokenizer["added_tokens"]}
    count = config["vocab_size"]
    out.add_token_list([words.get(i, f"[PAD{i}]") for i in range(count)])
    out.add_token_types([3 if i in special else 1 if i in words else 5 for i in range(count)])
    out.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    out.add_eos_token_id(config["eos_token_id"])
    out.add_add_bos_token(False)

    def add(name, values):
        out.add_tensor(name, np.ascontiguousarray(values, np.float32))

    def add_experts(name, blocks, scales):
        out.add_tensor(name, mxfp4(blocks, scales), raw_dtype=GGMLQuantizationType.MXFP4)

    add("token_embd.weight", plain("model.embed_tokens.weight"))
    # llama.cpp stores nothing of a log probability more than 16 below the largest: a quarter of the logits has no such.
    add("output.weight", plain("lm_head.weight") / 4)
    add("output_norm.weight", plain("model.norm.weight"))
    for i in range(config["num_hidden_layers"]):
        layer, block = f"model.layers.{i}.", f"blk.{i}."
        add(block + "attn_norm.weight", plain(layer + "input_layernorm.weight"))
        add(block + "post_attention_norm.weight", plain(layer + "post_attention_layernorm.weight"))
        add(block + "attn_sinks.weight", plain(layer + "self_attn.sinks"))
        for ours, theirs in (("q", "q"), ("k", "k"), ("v", "v"), ("o", "output")):
            weight = plain(layer + f"self_attn.{ours}_proj.weight")
            if coarse:
                mantissa, exponent = np.frexp(weight)
                weight = np.ldexp(np.round(mantissa * 8) / 8, exponent)
            add(block + f"attn_{theirs}.weight", weight)
            add(block + f"attn_{theirs}.bias", plain(layer + f"self_attn.{ours}_proj.bias"))
        add(block + "ffn_gate_inp.weight", plain(layer + "mlp.router.weight"))
        add(block + "ffn_gate_inp.bias", plain(layer + "mlp.router.bias"))
        blocks, scales = (raw(layer + f"mlp.experts.gate_up_proj_{part}") for part in ("blocks", "scales"))
        bias = plain(layer + "mlp.experts.gate_up_proj_bias")
        for at, name in enumerate(("gate", "up")):
            add_experts(block + f"ffn_{name}_exps.weight", blocks[:, at::2], scales[:, at::2])
            add(block + f"ffn_{name}_exps.bias", bias[:, at::2])
        blocks, scales = (raw(layer + f"mlp.experts.down_proj_{part}") for part in ("blocks", "scales"))
        add_experts(block + "ffn_down_exps.weight", blocks, scales)
        add(block + "ffn_down_exps.bias", plain(layer + "mlp.experts.down_proj_bias"))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--problems", type=Path, required=True, help="word problems, one JSON object a line")
    parser.add_argument("--llama", required=True, help="llama-perplexity")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        text = scratch / "text.txt"
        # Two chunks of 128 tokens, and some more to be left out.
        problems = [json.loads(line) for line in args.problems.read_text().splitlines()[:40]]
        text.write_text("\n".join(problem["question"] for problem in problems))
        run = lambda model, *options: subprocess.run(
            [args.llama, "-m", str(scratch / f"{model}.gguf"), "-f", str(text), "-c", "128", "-b", "128", "-t", "1",
             "--chunks", "2", "-ngl", "0", *options], check=True, capture_output=True, text=True)
        for name, coarse in (("a", False), ("b", True)):
            write(args.model, scratch / f"{name}.gguf", coarse)
            run(name, "--kl-divergence-base", str(scratch / f"{name}.kld"))
            data = (scratch / f"{name}.kld").read_bytes()
            (args.out / f"{name}.kld.gz").write_bytes(gzip.compress(data, 9, mtime=0))
        # llama-perplexity logs on a thread that it does not wait for at its end: now and then the last lines are lost.
        for _ in range(20):
            said = run("b", "--kl-divergence", "--kl-divergence-base", str(scratch / "a.kld")).stdout
            block = re.search(r"^chunk   .*^Same top p: [^\n]*\n", said, re.S | re.M)
            if block:
                break
        (args.out / "output.txt").write_text(block[0])


if __name__ == "__main__":
    main()
