"""GGUF files that llama.cpp's own converter makes of a small model of random weights, and what each tensor must be.

    python3 make.py LLAMA_CPP

LLAMA_CPP is a checkout of llama.cpp; torch, transformers, tokenizers and safetensors are of PyPI. The converter knows
tokenizers by what they make of a text: of this small vocabulary it is told that it is cut as o200k is.
Writes model-TYPE.gguf, experts-TYPE.gguf (of experts that are not MXFP4), the two files of model-split, and
expected.json beside this script.
"""
import hashlib, json, os, runpy, sys, tempfile

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

HERE, LLAMA = os.path.dirname(os.path.abspath(__file__)), sys.argv[1]
sys.path[:0] = [LLAMA, os.path.join(LLAMA, "gguf-py")]
import conversion.base
import gguf

H, I, L, E, HEADS, KV, D = 64, 32, 2, 4, 2, 1, 32
SPECIAL = ["<|startoftext|>", "<|endoftext|>", "<|return|>", "<|channel|>", "<|start|>", "<|end|>", "<|message|>",
           "<|call|>"]
SPLIT = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def write_tokenizer(to):
    own = Tokenizer(models.BPE())
    own.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    own.decoder = decoders.ByteLevel()
    own.train_from_iterator(
        ["The quick brown fox jumps over the lazy dog, then the other one. 12 and 123 é ü 字"] * 4,
        trainers.BpeTrainer(vocab_size=290, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    own.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in SPECIAL])
    own.add_tokens([AddedToken("<own>", normalized=False)])
    own.save(os.path.join(to, "tokenizer.json"))
    ids = {text: own.token_to_id(text) for text in SPECIAL}
    config = dict(bos_token=SPECIAL[0], eos_token=SPECIAL[2], pad_token=SPECIAL[1],
                  tokenizer_class="PreTrainedTokenizerFast")
    json.dump(config, open(os.path.join(to, "tokenizer_config.json"), "w"))
    open(os.path.join(to, "chat_template.jinja"), "w").write("{% for m in messages %}{{ m.content }}\n{% endfor %}")
    return own.get_vocab_size(), ids


def tensors(vocab):
    torch.manual_seed(0)
    plain = lambda *shape: (torch.randn(shape) * 0.1).to(torch.bfloat16)
    codes = lambda *shape: torch.randint(0, 256, shape, dtype=torch.uint8)
    scales = lambda *shape: torch.randint(110, 126, shape, dtype=torch.uint8)
    all = {"model.embed_tokens.weight": plain(vocab, H), "model.norm.weight": plain(H), "lm_head.weight": plain(vocab, H)}
    for layer in range(L):
        at, own = f"model.layers.{layer}", {}
        for name, rows, cols in [("q", HEADS * D, H), ("k", KV * D, H), ("v", KV * D, H), ("o", H, HEADS * D)]:
            own[f"self_attn.{name}_proj.weight"], own[f"self_attn.{name}_proj.bias"] = plain(rows, cols), plain(rows)
        own["self_attn.sinks"] = plain(HEADS)
        own["input_layernorm.weight"], own["post_attention_layernorm.weight"] = plain(H), plain(H)
        own["mlp.router.weight"], own["mlp.router.bias"] = plain(E, H), plain(E)
        for name, rows, cols in [("gate_up", 2 * I, H), ("down", H, I)]:
            own[f"mlp.experts.{name}_proj_blocks"] = codes(E, rows, cols // 32, 16)
            own[f"mlp.experts.{name}_proj_scales"] = scales(E, rows, cols // 32)
            own[f"mlp.experts.{name}_proj_bias"] = plain(E, rows)
        all |= {f"{at}.{name}": tensor for name, tensor in own.items()}
    return all


def with_plain_experts(mxfp4):
    """Experts as Hugging Face has them without quantization: [E, in, out], gate's and up's columns in turns."""
    torch.manual_seed(1)
    all = {name: tensor for name, tensor in mxfp4.items() if not name.endswith(("_blocks", "_scales"))}
    for layer in range(L):
        at = f"model.layers.{layer}.mlp.experts"
        all[f"{at}.gate_up_proj"] = (torch.randn(E, H, 2 * I) * 0.1).to(torch.bfloat16)
        all[f"{at}.down_proj"] = (torch.randn(E, I, H) * 0.1).to(torch.bfloat16)
    return all


def config(vocab, ids):
    return dict(
        architectures=["GptOssForCausalLM"], model_type="gpt_oss", attention_bias=True, hidden_size=H,
        intermediate_size=I, num_hidden_layers=L, num_attention_heads=HEADS, num_key_value_heads=KV, head_dim=D,
        num_local_experts=E, num_experts_per_tok=2, rms_norm_eps=1e-5, sliding_window=16, rope_theta=150000.0,
        rope_scaling=dict(rope_type="yarn", factor=32.0, beta_fast=32.0, beta_slow=1.0,
                          original_max_position_embeddings=4096, truncate=False),
        max_position_embeddings=131072, vocab_size=vocab, eos_token_id=ids["<|return|>"], torch_dtype="bfloat16",
        quantization_config=dict(quant_method="mxfp4"))


def run_converter(model, out, *options):
    conversion.base.TextModel.get_vocab_base_pre = lambda self, tokenizer: "gpt-4o"
    sys.argv = ["convert_hf_to_gguf.py", model, "--outfile", out, "--model-name", "small", *options]
    runpy.run_path(os.path.join(LLAMA, "convert_hf_to_gguf.py"), run_name="__main__")


def bytes_of(tensor):
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


DTYPES = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32", torch.uint8: "U8"}
DENSE = {"embed_tokens.weight": "token_embd", "lm_head.weight": "output"} | {
    f"{i}.self_attn.{hf}_proj.weight": f"blk.{i}.attn_{own}" for i in range(L)
    for hf, own in [("q", "q"), ("k", "k"), ("v", "v"), ("o", "output")]}


def numbers_in(read, name, tensor):
    """What gguf-py reads of a matrix, in the shape of its tensor in the checkpoint; None for other tensors."""
    of = lambda own: gguf.quants.dequantize(read[f"{own}.weight"].data, read[f"{own}.weight"].tensor_type)
    dense = next((own for end, own in DENSE.items() if name.endswith(end)), None)
    if dense is not None:
        return of(dense).reshape(tuple(tensor.shape))
    layer = name.split(".")[2]
    if name.endswith("experts.down_proj"):
        return np.einsum("eoi->eio", of(f"blk.{layer}.ffn_down_exps").reshape(E, H, I))
    if name.endswith("experts.gate_up_proj"):
        both = np.empty((E, H, 2 * I), np.float32)
        for i in range(I):
            for at, part in enumerate(["gate", "up"]):
                both[:, :, 2 * i + at] = of(f"blk.{layer}.ffn_{part}_exps").reshape(E, I, H)[:, i, :]
        return both
    return None


def expected(original, kind, path):
    """The original's bytes; of matrices that the converter has rounded, the numbers that gguf-py reads."""
    read = {t.name: t for t in gguf.GGUFReader(path).tensors} if kind != "split" else {}
    out = {}
    for name, tensor in original.items():
        numbers = numbers_in(read, name, tensor) if kind in ("f16", "q8_0") else None
        if numbers is not None:
            tensor = torch.from_numpy(np.ascontiguousarray(numbers, dtype=np.float32))
            tensor = tensor.to(torch.float16) if kind == "f16" else tensor
        digest = hashlib.sha256(bytes_of(tensor)).hexdigest()
        out[name] = [DTYPES[tensor.dtype], list(tensor.shape), digest]
    return out


with tempfile.TemporaryDirectory() as model:
    vocab, ids = write_tokenizer(model)
    save_file(tensors(vocab), os.path.join(model, "model.safetensors"), metadata={"format": "pt"})
    json.dump(config(vocab, ids), open(os.path.join(model, "config.json"), "w"))
    original, says = load_file(os.path.join(model, "model.safetensors")), {}
    for kind in ["bf16", "f32", "f16", "q8_0"]:
        out = os.path.join(HERE, f"model-{kind}.gguf")
        run_converter(model, out, "--outtype", kind)
        says[kind] = expected(original, kind, out)
    run_converter(model, os.path.join(HERE, "model-split.gguf"), "--outtype", "bf16", "--split-max-tensors", "30")
    says["split"] = expected(original, "split", "")
    plain = with_plain_experts(original)
    json.dump({key: value for key, value in config(vocab, ids).items() if key != "quantization_config"},
              open(os.path.join(model, "config.json"), "w"))
    for kind in ["bf16", "f32", "f16", "q8_0"]:
        # Of float32 the converter makes float32: experts of the last layer are some that bfloat16 does not hold.
        if kind == "f32":
            for name in [f"model.layers.{L - 1}.mlp.experts.{own}_proj" for own in ["gate_up", "down"]]:
                plain[name] = plain[name].float() * 1.1
        save_file(plain, os.path.join(model, "model.safetensors"), metadata={"format": "pt"})
        out = os.path.join(HERE, f"experts-{kind}.gguf")
        run_converter(model, out, "--outtype", kind)
        says[f"experts-{kind}"] = expected(plain, kind, out)
    tokenizer = json.load(open(os.path.join(model, "tokenizer.json")))
    says["tokenizer"] = dict(
        vocab=tokenizer["model"]["vocab"], merges=tokenizer["model"]["merges"], added=tokenizer["added_tokens"],
        texts={text: Tokenizer.from_file(os.path.join(model, "tokenizer.json")).encode(text).ids
               for text in ["The quick brown fox", "dog's 12345 é字<|end|>", "<own> THE\n\n  other"]})
    json.dump(says, open(os.path.join(HERE, "expected.json"), "w"), indent=1, ensure_ascii=False)
