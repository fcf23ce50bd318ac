"""LoRA by peft: which weights are trained."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import (
    LoraConfig,
    PeftConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from peft.utils import SAFETENSORS_WEIGHTS_NAME
from peft.utils.other import get_pattern_key
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..errors import ModelError
from ..fields import check_fields, integer, real
from ..merge import quiet

_WRAPPED, _LOW = "base_model.model.", ".lora_A.weight"  # around a layer's name, as peft saves it
_LAYER = re.compile(r"\.(?:layers|h|blocks|block)\.(\d+)\.")


@dataclass(frozen=True, kw_only=True)
class Lora:
    """Low-rank adapters, or all weights.

    Attributes:
        lora_rank: of new adapters; 0 trains all weights instead.
        lora_alpha: their products are scaled by alpha / rank.
        lora_targets: `all-linear`, or ends of modules' names with commas between: `q_proj,v_proj`.
        lora_layers: share of the layers that get adapters, from the top: with 0.5 the backward pass
            of a written chain does not go through the lower half.
        lora_dropout: before the adapters, while training.
    """

    lora_rank: int = integer(0, least=0)
    lora_alpha: int = integer(32, least=1)
    lora_targets: str = "all-linear"
    lora_layers: float = real(1.0, below=1.0 + 1e-9)
    lora_dropout: float = real(0.0, below=1.0)

    def __post_init__(self) -> None:
        """Check every number."""
        check_fields(self)


def add_adapters(
    model: Any,
    lora: Lora,
    *,
    also: tuple[str, ...] = (),
    tokens: tuple[int, ...] = (),
    start: str | None = None,
) -> PeftModel | None:
    """Freeze a model's weights and add adapters to it, in place.

    Args:
        model: a causal language model.
        lora: what to add; nothing is done at rank 0.
        also: names of modules that are trained whole, such as a projector.
        tokens: whose embeddings are trained.
        start: folder of adapters to go on from, of the same base; they keep their rank and scale.
            Layers that have none there get new ones, and so do modules and tokens of the objective
            that those of another lack.

    Returns:
        peft's view of the model, which saves and merges the adapters; None at rank 0.

    Raises:
        ModelError: no module is a target, or the adapters to go on from are others.
    """
    if not lora.lora_rank:
        return None
    chosen = _targets(model, lora, also)
    stored = {} if start is None else read_adapters(Path(start))
    begun = LoraConfig() if start is None else _config(Path(start))
    kept = _ranks(stored, begun)
    ranks = {name: kept[name] for name in chosen if name in kept}
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.lora_rank,
        lora_alpha=lora.lora_alpha,
        lora_dropout=lora.lora_dropout,
        target_modules=chosen,
        rank_pattern={name: rank for name, (rank, _) in ranks.items()},
        alpha_pattern={name: alpha for name, (_, alpha) in ranks.items()},
        use_rslora=begun.use_rslora,
        modules_to_save=list(also) or None,
        trainable_token_indices=list(tokens) or None,
        fan_in_fan_out=any(type(model.get_submodule(n)).__name__ == "Conv1D" for n in chosen),
    )
    with quiet():
        adapted = get_peft_model(model, config)
    if start is not None:
        _go_on(adapted, stored, start)
    return adapted


def _targets(model: Any, lora: Lora, also: tuple[str, ...]) -> list[str]:
    """Return the names of the layers that get adapters; ModelError where there is none."""
    names = [name.strip() for name in lora.lora_targets.split(",")]
    head = model.get_output_embeddings()
    linear = {
        name
        for name, module in model.named_modules()
        if type(module).__name__ in ("Linear", "Conv1D") and module is not head
        if not name.startswith(also or ("\0",))
    }
    depth = 1 + max((int(found[1]) for name in linear if (found := _LAYER.search(name))), default=0)
    lowest = depth - round(depth * lora.lora_layers)
    chosen = [
        name
        for name in linear
        if names == ["all-linear"] or name.endswith(tuple(f".{end}" for end in names))
        if (found := _LAYER.search(name)) and int(found[1]) >= lowest
    ]
    if not chosen:
        ends = sorted({name.rpartition(".")[2] for name in linear})
        raise ModelError(
            f"lora_targets={lora.lora_targets!r} with lora_layers={lora.lora_layers}: no linear "
            f"layer is one of these. Allowed are all-linear and {', '.join(ends)}."
        )
    return sorted(chosen)


def read_adapters(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights of adapters in a folder; ModelError where there are none."""
    try:
        return load_file(folder / SAFETENSORS_WEIGHTS_NAME)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"adapter={str(folder)!r} holds no adapters: {error}") from error


def _config(folder: Path) -> LoraConfig:
    """Return how adapters in a folder are scaled; ModelError where they are no LoRA."""
    try:
        config = PeftConfig.from_pretrained(str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"adapter={str(folder)!r} holds no adapters: {error}") from error
    if not isinstance(config, LoraConfig):
        raise ModelError(
            f"adapter={str(folder)!r} is {config.peft_type}, no LoRA, which alone can go on."
        )
    return config


def _ranks(stored: Mapping[str, torch.Tensor], config: LoraConfig) -> dict[str, tuple[int, float]]:
    """Return rank and alpha of each layer that has adapters."""
    ranks = {
        name.removeprefix(_WRAPPED).removesuffix(_LOW): weight.shape[0]
        for name, weight in stored.items()
        if name.endswith(_LOW)
    }
    alphas = config.alpha_pattern or {}
    return {
        name: (rank, alphas.get(get_pattern_key(list(alphas), name), config.lora_alpha))
        for name, rank in sorted(ranks.items())
    }


def _go_on(adapted: PeftModel, stored: Mapping[str, torch.Tensor], folder: str) -> None:
    """Put the weights of adapters into new ones."""
    own = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    shapes = {name: tuple(weight.shape) for name, weight in own.items() if "lora_" in name}
    found = {name: tuple(weight.shape) for name, weight in stored.items() if "lora_" in name}
    differs = sorted(name for name in found if shapes.get(name) != found[name])
    if differs or stored.keys() - own.keys():
        name = (differs or sorted(stored.keys() - own.keys()))[0]
        raise ModelError(
            f"adapter={folder!r} does not fit: {name} is {found.get(name)} there and "
            f"{shapes.get(name)} here. Give the base that it is of, and lora_targets and "
            "lora_layers that hold all of its layers."
        )
    set_peft_model_state_dict(adapted, own | dict(stored))
