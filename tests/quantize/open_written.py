"""Opens checkpoints that quantize wrote as other programs do: JSON with what transformers' AutoConfig read, and
Quark's logits and whether it quantizes keys and values.

    python open_written.py IDS DIRECTORY...

IDS is a list of token ids, comma-separated. `quark` is null where amd-quark is not installed.
"""
import json
import os
import sys

os.environ["QUARK_DISABLE_COMPILE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch
from transformers import AutoConfig, GenerationConfig
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssRotaryEmbedding


def quark(directory: str, ids: list[int]) -> dict | None:
    try:
        from quark.torch import import_model_from_safetensors
    except ImportError:
        return None
    model = import_model_from_safetensors(None, directory, device="cpu").float().eval()
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].double().tolist()
    cached = [getattr(getattr(layer.self_attn, name), "output_quantizer", None) is not None
              for layer in model.model.layers for name in ("k_proj", "v_proj")]
    return dict(logits=logits, cached=cached)


def main() -> None:
    ids = [int(token) for token in sys.argv[1].split(",")]
    answers = []
    for directory in sys.argv[2:]:
        config = AutoConfig.from_pretrained(directory)
        rotary = GptOssRotaryEmbedding(config)
        answers.append(dict(
            floats={key: isinstance(getattr(config, key), float)
                    for key in ("swiglu_limit", "swiglu_alpha", "rms_norm_eps")},
            swiglu_limit=config.swiglu_limit, topK=config.num_experts_per_tok, layer_types=config.layer_types,
            growth=rotary.attention_scaling, frequencies=rotary.inv_freq.tolist(),
            eos=GenerationConfig.from_pretrained(directory).eos_token_id, quark=quark(directory, ids)))
    print("\n" + json.dumps(answers))


if __name__ == "__main__":
    main()
