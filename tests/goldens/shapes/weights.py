"""The weights of the random models: small integers divided by powers of two, exact in every format, from integer arithmetic alone, so that
tests/model/shapes/random_weights.ts makes the same numbers."""

import numpy as np


def mix(seed, counter):
    """Integer number `counter` (an array or a number) of the stream `seed`, as tests/formats/seeded.ts has it."""
    with np.errstate(over="ignore"):
        x = (np.uint32(seed) * np.uint32(0x9E3779B1)) ^ np.asarray(counter, dtype=np.uint32)
        x = (x ^ (x >> np.uint32(16))) * np.uint32(0x21F0AAAD)
        x = (x ^ (x >> np.uint32(15))) * np.uint32(0x735A2D97)
        return x ^ (x >> np.uint32(15))


def shapes(config):
    """Name, shape and kind of every tensor of Hugging Face's layout; a matrix has the number of its input features as kind."""
    hidden, head_dim = config["hidden_size"], config["head_dim"]
    query, key = config["num_attention_heads"] * head_dim, config["num_key_value_heads"] * head_dim
    experts, width = config["num_local_experts"], config["intermediate_size"]
    yield "model.embed_tokens.weight", [config["vocab_size"], hidden], 1
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}"
        yield f"{at}.input_layernorm.weight", [hidden], "norm"
        for name, rows, cols in [("q", query, hidden), ("k", key, hidden), ("v", key, hidden), ("o", hidden, query)]:
            yield f"{at}.self_attn.{name}_proj.weight", [rows, cols], cols
            yield f"{at}.self_attn.{name}_proj.bias", [rows], "bias"
        yield f"{at}.self_attn.sinks", [config["num_attention_heads"]], "bias"
        yield f"{at}.post_attention_layernorm.weight", [hidden], "norm"
        yield f"{at}.mlp.router.weight", [experts, hidden], hidden
        yield f"{at}.mlp.router.bias", [experts], "bias"
        yield f"{at}.mlp.experts.gate_up_proj", [experts, hidden, 2 * width], hidden
        yield f"{at}.mlp.experts.gate_up_proj_bias", [experts, 2 * width], "bias"
        yield f"{at}.mlp.experts.down_proj", [experts, width, hidden], width
        yield f"{at}.mlp.experts.down_proj_bias", [experts, hidden], "bias"
    yield "model.norm.weight", [hidden], "norm"
    yield "lm_head.weight", [config["vocab_size"], hidden], hidden


def shift(features):
    """Bits that a matrix's integers are shifted down by: its rows get a length of about 1."""
    bits = 6
    while 4 ** (bits - 6) < features:
        bits += 1
    return bits


def weights(seed, config):
    """All tensors by name, float64."""
    for index, (name, shape, kind) in enumerate(shapes(config)):
        stream = int(mix(seed, index))
        numbers = (mix(stream, np.arange(int(np.prod(shape)))) >> np.uint32(24)).astype(np.int32) - 128
        if kind == "norm":
            values = 1 + (numbers >> 1) / 128
        elif kind == "bias":
            values = numbers / 128
        else:
            values = numbers / 2.0 ** shift(kind)
        yield name, values.reshape(shape)
