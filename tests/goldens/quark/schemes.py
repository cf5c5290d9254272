"""The configurations of AMD Quark that make_exports.py exports: all that a processor can compute, and some that are to be refused."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from quark.torch import LLMTemplate
from quark.torch.quantization.config.config import (
    FP8E4M3PerTensorSpec,
    OCP_MXFP4Spec,
    OCP_MXFP6E3M2Spec,
    OCP_MXFP8E4M3Spec,
    OnlineRotationConfig,
    QConfig,
    QLayerConfig,
    RotationConfig,
)

HIDDEN = 64
EXCLUDED = ["lm_head", "*router*"]


@dataclass
class Export:
    """One export."""

    name: str
    config: Callable[[], QConfig]
    weight_format: str = "real_quantized"
    # Whether the forward pass goes through a cache, where Quark quantizes keys behind the rotary embedding.
    cached: bool = False
    # Whether logits with one scale per token for experts' inputs are written too.
    per_token: bool = False
    # What the model is loaded as: Quark's scales are of this type, and what it divides by them is rounded to it.
    dtype: torch.dtype = torch.float32
    # Changes tensors and quantization_config of what was written; logits are then those of Quark's own import of it.
    edit: Callable[[dict, dict], None] | None = None


def add_prescales(tensors: dict, _: dict) -> None:
    """What AWQ leaves: a factor per column, which Quark's importer reads and no exporter of 0.13 writes."""
    generator = torch.Generator().manual_seed(5)
    for name in [name for name in tensors if name.endswith(".input_rotation")]:
        module = name.removesuffix(".input_rotation")
        factors = torch.exp2(torch.randn(HIDDEN, generator=generator)).to(torch.bfloat16).float()
        tensors[f"{module}.input_prescale"] = factors


def train_rotations(tensors: dict, quantization: dict) -> None:
    """Rotations as training leaves them: float64, orthogonal, another one in each linear."""
    generator = torch.Generator().manual_seed(6)
    for name in [name for name in tensors if name.endswith(".input_rotation")]:
        matrix = torch.randn(tensors[name].shape, generator=generator, dtype=torch.float64)
        tensors[name] = torch.linalg.qr(matrix).Q.contiguous()
    for entry in quantization["algo_config"]:
        entry["trainable"] = True


def share_rotations(tensors: dict, _: dict) -> None:
    """One matrix for all linears but one, with other signs than each had: the importer of 0.13 reads it, and no exporter writes it."""
    names = [name for name in tensors if name.endswith(".input_rotation")]
    shared = tensors[names[0]].clone()
    shared[3], shared[:, 5] = -shared[3], -shared[:, 5]
    for name in names[1:]:
        del tensors[name]
    tensors["model.shared_input_rotation_16"] = shared


def template(scheme: str, **options) -> Callable[[], QConfig]:
    return lambda: LLMTemplate.get("gpt_oss").get_config(scheme=scheme, **options)


def specs(weight, inputs=None) -> Callable[[], QConfig]:
    return lambda: QConfig(
        global_quant_config=QLayerConfig(
            weight=weight.to_quantization_spec(),
            input_tensors=None if inputs is None else inputs.to_quantization_spec(),
        ),
        exclude=EXCLUDED,
    )


def mx(spec, dynamic: bool, mode: str = "even"):
    return spec(ch_axis=-1, is_dynamic=dynamic, scale_calculation_mode=mode)


def fp8_tensor():
    return FP8E4M3PerTensorSpec(observer_method="min_max", is_dynamic=False)


def post_rope() -> QConfig:
    config = template("mxfp4_weight_only", kv_cache_scheme="fp8")()
    config.kv_cache_post_rope = True
    return config


ATTENTION = [f"model.layers.layer_id.self_attn.{name}_proj" for name in "qkv"]
OUTPUT = "model.layers.layer_id.self_attn.o_proj"
GATE_UP = [f"model.layers.layer_id.mlp.experts.{expert}.gate_up_proj" for expert in range(4)]
DOWN = [f"model.layers.layer_id.mlp.experts.{expert}.down_proj" for expert in range(4)]
ROUTER = ["model.layers.layer_id.mlp.router"]


def rotated(scheme: str, rotation: Callable[[], RotationConfig]) -> Callable[[], QConfig]:
    return lambda: LLMTemplate.get("gpt_oss").get_config(
        scheme=scheme, algorithm=["rotation"], algo_configs={"rotation": rotation()}
    )


def offline() -> RotationConfig:
    """R1 folded into the weights around the residual stream, R2 into those of v and o."""

    def layer(previous: str) -> list[dict]:
        return [
            {
                "prev_modules": previous,
                "norm_module": "model.layers.layer_id.input_layernorm",
                "next_modules": ATTENTION,
            },
            {
                "prev_modules": [OUTPUT],
                "norm_module": "model.layers.layer_id.post_attention_layernorm",
                "next_modules": GATE_UP + ROUTER,
            },
        ]

    before = [name.replace("layer_id", "pre_layer_id") for name in DOWN]
    last = [name.replace("layer_id", "layer_id") for name in DOWN]
    return RotationConfig(
        scaling_layers={
            "first_layer": layer(["model.embed_tokens"]),
            "middle_layers": layer(before),
            "last_layer": [{"prev_modules": last, "norm_module": "model.norm", "next_modules": ["lm_head"]}],
        },
        r1=True,
        r2=True,
    )


def online(size: int | None, modules: list[str], prescale: bool = False) -> Callable[[], RotationConfig]:
    """R1 in front of quantizers: `input_rotation` in the tensors."""

    def make() -> RotationConfig:
        groups = [{"target_modules": modules}]
        return RotationConfig(
            scaling_layers={"first_layer": groups, "middle_layers": groups, "last_layer": [{"target_modules": []}]},
            r1=True,
            r2=False,
            online_r1_rotation=True,
            rotation_size=size,
            online_config=OnlineRotationConfig(shared_parallel=False, use_input_prescale=prescale),
        )

    return make


EXPORTS = [
    Export("mxfp4", template("mxfp4")),
    Export("mxfp4_weight_only", template("mxfp4_weight_only")),
    Export("mxfp6_e3m2", template("mxfp6_e3m2")),
    Export("mxfp6_e2m3", template("mxfp6_e2m3")),
    Export("mxfp4_mxfp6_e2m3", template("mxfp4_mxfp6_e2m3")),
    Export("mxfp4_mxfp6_e3m2", specs(mx(OCP_MXFP4Spec, False), mx(OCP_MXFP6E3M2Spec, True))),
    Export("mxfp4_mxfp8", specs(mx(OCP_MXFP4Spec, False), mx(OCP_MXFP8E4M3Spec, True))),
    Export("mxfp4_mxfp8_floor", specs(mx(OCP_MXFP4Spec, False, "floor"), mx(OCP_MXFP8E4M3Spec, True, "floor"))),
    Export("mxfp4_floor", specs(mx(OCP_MXFP4Spec, False, "floor"), mx(OCP_MXFP4Spec, True, "floor"))),
    Export("mxfp4_fp8", template("mxfp4_fp8")),
    Export("fp8", template("fp8")),
    Export("ptpc_fp8", template("ptpc_fp8"), per_token=True),
    Export("fp8_weight_only", specs(fp8_tensor())),
    Export("mxfp4_fp8_bfloat16", template("mxfp4_fp8"), dtype=torch.bfloat16),
    Export("fp8_bfloat16", template("fp8"), dtype=torch.bfloat16),
    Export("ptpc_fp8_bfloat16", template("ptpc_fp8"), per_token=True, dtype=torch.bfloat16),
    Export(
        "mixed",
        template(
            "mxfp4",
            layer_config={"*self_attn*": "fp8", "*layers.1.mlp.experts*": "mxfp6_e3m2"},
        ),
    ),
    Export("kv_fp8", template("mxfp4_weight_only", kv_cache_scheme="fp8")),
    Export("kv_fp8_post_rope", post_rope, cached=True),
    Export("smoothquant", template("mxfp4", algorithm="smoothquant")),
    Export("awq", template("mxfp4", algorithm="awq")),
    Export("gptq", template("mxfp4", algorithm="gptq")),
    Export("rotation_offline", rotated("mxfp4", offline)),
    Export("rotation_online_32", rotated("mxfp4", online(32, [*ATTENTION, *GATE_UP]))),
    Export("rotation_online_16", rotated("mxfp4_fp8", online(16, [*ATTENTION, OUTPUT, *GATE_UP, *DOWN]))),
    Export("rotation_online_full", rotated("mxfp4", online(None, [*ATTENTION, *GATE_UP]))),
    Export("rotation_prescale", rotated("mxfp4", online(32, [*ATTENTION, *GATE_UP], prescale=True)), edit=add_prescales),
    Export("rotation_trained", rotated("mxfp4", online(16, [*ATTENTION, *DOWN])), edit=train_rotations),
    Export("rotation_shared", rotated("mxfp4", online(16, [*ATTENTION, OUTPUT, *GATE_UP, *DOWN])), edit=share_rotations),
    Export("fake_mxfp4", template("mxfp4"), weight_format="fake_quantized"),
    Export("fake_fp8", template("fp8"), weight_format="fake_quantized"),
    Export("fake_rotation", rotated("mxfp4", online(32, [*ATTENTION, *GATE_UP])), weight_format="fake_quantized"),
    Export("attention_fp8", template("mxfp4_weight_only", kv_cache_scheme="fp8", attention_scheme="fp8")),
    Export("int8", template("int8")),
    Export("uint4", template("uint4_wo_32")),
    Export("int4_fp8", template("int4_fp8")),
    Export("nvfp4", template("nvfp4")),
    Export("amdfp4", template("amdfp4_g32")),
]
