"""Writes configs.json: how transformers itself reads config.json of GPT-OSS with keys left out, alone and in pairs.

    pip install torch transformers==5.24.0
    python make_configs.py

Two configs, one with the values of the published models and one with other values wherever a key has a default, each with its rotary
keys in `rope_scaling`, in `rope_parameters` and in both, lose every key alone and in pairs, and have every key null. `edit` in
tests/checkpoint/config_defaults_test.ts makes the same configs.

A reading is written as what differs from the reading of the whole config: a letter for the field and a digit (base 36) into the
field's `values`; "-" where transformers refuses. `yarn` has rotary dictionaries whose bounds lie in and beyond the dimensions.
"""
import copy
import itertools
import json
import pathlib
import random
import string

import transformers
from transformers.models.gpt_oss.configuration_gpt_oss import GptOssConfig
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssRotaryEmbedding

transformers.logging.set_verbosity(transformers.logging.CRITICAL)
HERE = pathlib.Path(__file__).parent

PUBLISHED = dict(
    architectures=["GptOssForCausalLM"], model_type="gpt_oss", num_hidden_layers=4, num_local_experts=8, num_experts_per_tok=4,
    experts_per_token=4, hidden_size=64, intermediate_size=96, head_dim=16, num_attention_heads=4, num_key_value_heads=2,
    vocab_size=512, rms_norm_eps=1e-05, sliding_window=128,
    layer_types=["sliding_attention", "full_attention", "sliding_attention", "full_attention"], swiglu_alpha=1.702,
    swiglu_limit=7.0, rope_theta=150000.0, initial_context_length=4096, max_position_embeddings=131072, hidden_act="silu",
    attention_bias=True, tie_word_embeddings=False, eos_token_id=500, pad_token_id=501, bos_token_id=502)
PUBLISHED_ROPE = dict(
    rope_type="yarn", factor=32.0, beta_fast=32.0, beta_slow=1.0, original_max_position_embeddings=4096, truncate=False,
    attention_factor=1.3465735902799727)
# Another value than the default of every key that has one.
OTHER = dict(
    PUBLISHED, num_experts_per_tok=3, experts_per_token=3, rms_norm_eps=1e-06, sliding_window=48,
    layer_types=["full_attention", "full_attention", "sliding_attention", "full_attention"], swiglu_alpha=1.5, swiglu_limit=6.5,
    rope_theta=10000.0, initial_context_length=2048, max_position_embeddings=16384, eos_token_id=[5, 6])
OTHER_ROPE = dict(
    rope_type="yarn", factor=8.0, beta_fast=100.0, beta_slow=2.0, original_max_position_embeddings=2048, truncate=True,
    attention_factor=1.2079441541679836)
SPELLINGS = {"rope_scaling": ["rope_scaling"], "rope_parameters": ["rope_parameters"], "both": ["rope_parameters", "rope_scaling"]}


def rounded(number: float) -> float:
    return float(f"{number:.9g}")


def reading(config: dict) -> dict | None:
    try:
        read = GptOssConfig.from_dict(copy.deepcopy(config))
        rotary = GptOssRotaryEmbedding(read)
        return dict(
            layers=read.num_hidden_layers, hidden=read.hidden_size, intermediate=read.intermediate_size,
            experts=read.num_local_experts, topK=read.num_experts_per_tok, heads=read.num_attention_heads,
            kvHeads=read.num_key_value_heads, headDim=read.head_dim, vocab=read.vocab_size, rmsNormEps=read.rms_norm_eps,
            slidingWindow=read.sliding_window, sliding="".join("01"[t == "sliding_attention"] for t in read.layer_types),
            swigluAlpha=read.swiglu_alpha, swigluLimit=read.swiglu_limit, maxPositions=read.max_position_embeddings,
            frequencies=[rounded(x) for x in rotary.inv_freq.tolist()], growth=rounded(rotary.attention_scaling),
            bias=read.attention_bias, tied=read.tie_word_embeddings, eos=read.eos_token_id, pad=read.pad_token_id,
            bos=read.bos_token_id)
    except Exception:
        return None


def edited(config: dict, path: str, value: str) -> dict:
    """A copy without the key, or with null for it."""
    config = copy.deepcopy(config)
    *above, key = path.split(".")
    holder = config
    for name in above:
        holder = holder.get(name)
    if holder is None:
        return config
    if value == "null":
        holder[key] = None
    else:
        holder.pop(key, None)
    return config


fields: list[str] = []
values: dict[str, list] = {}


def code(read: dict | None, whole: dict) -> str:
    if read is None:
        return "-"
    out = ""
    for letter, field in zip(string.ascii_letters, fields):
        if read[field] == whole[field]:
            continue
        if read[field] not in values[field]:
            values[field].append(read[field])
        out += letter + string.printable[values[field].index(read[field])]
    return out


def family(base: dict, rope: dict, names: list[str]) -> dict:
    whole_config = {**base, **{name: {**rope, **({"rope_theta": base["rope_theta"]} if name == "rope_parameters" else {})}
                               for name in names}}
    whole = reading(whole_config)
    assert whole is not None
    if not fields:
        fields.extend(whole)
        values.update({field: [] for field in fields})
    kept = ("architectures", "model_type")
    paths = [key for key in whole_config if key not in kept]
    paths += [f"{name}.{key}" for name in names for key in whole_config[name]]
    singles = {path: [code(reading(edited(whole_config, path, value)), whole) for value in ("absent", "null")] for path in paths}
    # The deeper one first, which is gone with the dictionary around it.
    pairs = [code(reading(edited(edited(whole_config, b, "absent"), a, "absent")), whole)
             for a, b in itertools.combinations(paths, 2)]
    return dict(config=whole_config, reading=whole, singles=singles, pairs=" ".join(c or "." for c in pairs))


def yarn_cases() -> list[dict]:
    """Dictionaries whose bounds lie within the dimensions, below, above, in one point and in reverse order."""
    chance = random.Random(524)
    cases = []
    while len(cases) < 96:
        slow = chance.choice([1.0, 0.5, 2.0, 8.0])
        rope = dict(
            rope_type="yarn", rope_theta=chance.choice([1.5, 3.0, 20.0, 500.0, 1e4, 15e4, 1e6]), factor=chance.choice([1.0, 4.0, 32.0]),
            beta_slow=slow, beta_fast=slow * chance.choice([1.01, 2.0, 32.0, 300.0]),
            original_max_position_embeddings=chance.choice([1, 6, 40, 1000, 4096, 131072]), truncate=chance.random() < 0.5)
        head_dim = chance.choice([2, 4, 6, 16])
        read = reading({**PUBLISHED, "head_dim": head_dim, "rope_theta": rope["rope_theta"], "rope_parameters": rope})
        assert read is not None
        cases.append(dict(headDim=head_dim, rope=rope, frequencies=read["frequencies"], growth=read["growth"]))
    return cases


def main() -> None:
    families = [family(base, rope, names) for base, rope in ((PUBLISHED, PUBLISHED_ROPE), (OTHER, OTHER_ROPE))
                for names in SPELLINGS.values()]
    out = dict(transformers=transformers.__version__, fields=fields, values=values, families=families, yarn=yarn_cases())
    lines = [f"{json.dumps(key)}: " + ("[\n" + ",\n".join(json.dumps(row) for row in value) + "\n]" if isinstance(value, list)
             and value and isinstance(value[0], dict) else json.dumps(value)) for key, value in out.items()]
    (HERE / "configs.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
