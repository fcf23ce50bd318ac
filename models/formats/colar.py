"""CoLaR as xiaomi-research/colar saves it: a Lightning file of what was trained.

Low-rank updates and the latent head; the base's weights are not in the file, and its settings are
pickled objects of omegaconf.
"""

from typing import ClassVar

import torch

from ..errors import ModelError
from .asked import known_alpha
from .base import Base
from .checkpoint import Checkpoint
from .lightning import find_number, find_setting
from .lora import merge_lora
from .options import SPEEDS, SourceOptions
from .source import Source

_PREFIXES = ("llm.base_model.model.", "llm.")
_HEAD = "latent_policy."
_ALPHA = 32  # of the published configuration
_SPEED = 2  # of the published results
_THOUGHTS, _ANSWER = 64, 16
# Standard deviations of the embeddings by which the repository scales thoughts.
_STDS = {
    "deepseek-r1-distill-qwen-1.5b": 0.03,
    "llama-3.2-1b-instruct": 0.018,
    "llama-3.2-3b-instruct": 0.018,
    "llama-3.1-8b-instruct": 0.008,
    "gpt2": 0.12,
}


class ColarLightning:
    """`last.ckpt` with `latent_policy.*`."""

    title: ClassVar[str] = "CoLaR's Lightning file (latent_policy.*)"
    method: ClassVar[str] = "colar"
    reads: ClassVar[frozenset[str]] = frozenset(
        {"base", "embeds_std", "latent_length", "lora_alpha", "thinking_speed"}
    )

    def recognises(self, source: Source) -> bool:
        """Return whether there is a latent policy."""
        return any(name.startswith(_HEAD) for name in source.names)

    def read(self, source: Source, options: SourceOptions) -> Checkpoint:
        """Return the checkpoint, its low-rank updates merged into the base.

        Raises:
            ModelError: no base, one that does not fit, or a setting that the file does not say.
        """
        base = Base.load(
            options.base,
            source,
            what="a Lightning file of CoLaR, which holds only what was trained.",
            example="meta-llama/Llama-3.2-1B-Instruct",
        )
        head, inner = _parts(source)
        stated = None
        if options.lora_alpha is None:
            stated = find_number(source.settings, "lora_alpha", source.name)
        alpha = known_alpha(options, source, inner, stated=stated, published=_ALPHA)
        weights, merged = merge_lora(
            {**base.weights(), **inner}, base.trunk(), alpha=alpha, names=(source.name, base.name)
        )
        base.check(weights, source)
        width = head["lt_head.mean.weight"].shape[1]
        std = _embeds_std(options, source, base)
        speed = _speed(options, source)
        base.config.update(
            {
                "latent_intermediate_size": width,
                "latent_embedding_std": std,
                "latent_distribution": "lt_head.log_std.weight" in head,
                "latent_least_thoughts": 1,
                "thinking_speed": speed,
            }
        )
        return Checkpoint(
            method=self.method,
            layout=self.title,
            base=base,
            weights={**weights, **head},
            generation=_lengths(options),
            files=source.weight_files,
            reads_base=True,
            found=(merged, f"thoughts are scaled by {std:g}, the embeddings' standard deviation"),
        )


def _parts(source: Source) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Return the latent head's weights by their released names, and the language model's.

    Raises:
        ModelError: there is no such head, or something else.
    """
    head, inner, strange = {}, {}, []
    for name, each in source.tensors.items():
        prefix = next((one for one in (_HEAD, *_PREFIXES) if name.startswith(one)), None)
        if prefix is None:
            strange.append(name)
        elif prefix == _HEAD:
            head["lt_head." + name.removeprefix(_HEAD)] = each
        else:
            inner[name.removeprefix(prefix)] = each
    if strange or "lt_head.mean.weight" not in head:
        raise ModelError(
            f"{source.name!r} is no file of CoLaR: it "
            + (f"holds {strange[0]}." if strange else "lacks latent_policy.mean.weight.")
        )
    mean = head["lt_head.mean.weight"]
    if mean.ndim != 2:
        raise ModelError(
            f"{source.name!r} has latent_policy.mean.weight of shape {tuple(mean.shape)}; it "
            "must be a matrix."
        )
    return head, inner


def _lengths(options: SourceOptions) -> dict[str, object]:
    """Return how long thinking and answer may be: as many thoughts as asked for, else up to 64."""
    length = options.latent_length
    name, most = ("max_latent_length", _THOUGHTS) if length is None else ("latent_length", length)
    return {name: most, "max_new_tokens": most + 1 + _ANSWER}


def _embeds_std(options: SourceOptions, source: Source, base: Base) -> float:
    if options.embeds_std is not None:
        return options.embeds_std
    model = str(find_setting(source.settings, "model_id", source.name) or base.name)
    known = model.rstrip("/").rpartition("/")[2].lower()
    if known not in _STDS:
        raise ModelError(
            f"{source.name!r}: the standard deviation of the embeddings of {model!r} is not known; "
            f"give embeds_std=. Known are: {', '.join(f'{k} {v:g}' for k, v in _STDS.items())}."
        )
    return _STDS[known]


def _speed(options: SourceOptions, source: Source) -> str:
    """Return the thinking speed: asked for, else of the file's settings, else the published one.

    Raises:
        ModelError: the file says one that is none.
    """
    if options.thinking_speed is not None:
        return str(options.thinking_speed)
    stated = find_setting(source.settings, "compression_factor", source.name)
    if isinstance(stated, float) and stated.is_integer():
        stated = int(stated)
    if stated is not None and str(stated) not in SPEEDS:
        raise ModelError(
            f"{source.name!r} says compression_factor={stated!r} in its settings; a thinking speed "
            f"is one of {', '.join(SPEEDS)}. Give thinking_speed=."
        )
    return str(stated or _SPEED)
