"""CODI as zhenyi4/codi and SIM-CoT's CODI save it.

Base, low-rank updates and projector in one state dict, without a config. Pad, begin and end of
thoughts are the three ids behind the base's vocabulary.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch

from ..errors import ModelError
from .asked import known_alpha, leave_out
from .base import Base
from .checkpoint import Checkpoint
from .lora import merge_lora
from .options import SourceOptions
from .source import Source

_PREFIX = "codi.base_model.model."
_AUXILIARY = ("decoder.", "pj_in.", "pj_out.")  # SIM-CoT's decoder of training
_ALPHA = 32  # of the published scripts
_THOUGHTS = 6
_ANSWER = 256  # tokens, in the repository's evaluation


class CodiStateDict:
    """`pytorch_model.bin` or safetensors with `codi.*` and `prj.*`."""

    title: ClassVar[str] = "CODI's state dict (codi.base_model.model.*)"
    method: ClassVar[str] = "codi"
    reads: ClassVar[frozenset[str]] = frozenset({"base", "latent_length", "lora_alpha"})

    def recognises(self, source: Source) -> bool:
        """Return whether the language model lies under `codi.`."""
        return any(name.startswith("codi.") for name in source.names)

    def read(self, source: Source, options: SourceOptions) -> Checkpoint:
        """Return the checkpoint, its low-rank updates merged.

        Raises:
            ModelError: no base, one that does not fit, no `lora_alpha`, or an unknown weight.
        """
        base = Base.load(
            options.base,
            source,
            what="a state dict of CODI, which names no config.",
            example="openai-community/gpt2",
        )
        tensors, left_out = leave_out(source.tensors, _AUXILIARY)
        projector = {name: each for name, each in tensors.items() if name.startswith("prj.")}
        inner = {
            name.removeprefix(_PREFIX): each
            for name, each in tensors.items()
            if name.startswith(_PREFIX)
        }
        strange = tensors.keys() - projector.keys() - {_PREFIX + name for name in inner}
        if strange:
            raise ModelError(f"{source.name!r} holds {sorted(strange)[0]}, which no CODI has.")
        alpha = known_alpha(options, source, inner, published=_ALPHA)
        first = base.config.get_text_config().vocab_size
        weights, merged = merge_lora(
            inner, base.trunk(), alpha=alpha, names=(source.name, base.name)
        )
        rows, known = len(base.embedding(weights, source)), len(base.tokenizer)
        base.name_tokens(
            {first: "[PAD]", first + 1: "<|start-latent|>", first + 2: "<|end-latent|>"},
            rows,
            source,
        )
        copies = base.check(weights, source)
        fields, head = _projector(projector, base.config.get_text_config().hidden_size, source)
        base.config.update(
            {"latent_prompt_prefix": base.prefix(), "collapse_spaces": True, **fields}
        )
        length = _THOUGHTS if options.latent_length is None else options.latent_length
        return Checkpoint(
            method=self.method,
            layout=self.title,
            base=base,
            weights={**weights, **head},
            generation={
                "latent_length": length,
                "max_new_tokens": length + 1 + _ANSWER,
                # Ids between the base's last token and its vocabulary's end are padding.
                "suppress_tokens": [*range(known, first), first + 2],
            },
            files=source.weight_files,
            found=(merged, f"ids {first}, {first + 1}, {first + 2} are pad, start and end"),
            left_out=(*left_out, *copies),
        )


def _projector(
    weights: Mapping[str, torch.Tensor], size: int, source: Source
) -> tuple[dict[str, object], dict[str, torch.Tensor]]:
    """Return the projector's fields of config.json, and its weights by their released names."""
    if not weights:
        return {"projector": False}, {}
    names = {"prj.1": "projector.1", "prj.3": "projector.3", "prj.ln": "projector.4"}
    renamed = {}
    for name, each in weights.items():
        module, _, kind = name.rpartition(".")
        if module not in names:
            raise ModelError(f"{source.name!r} holds {name}, which no projector of CODI has.")
        renamed[f"{names[module]}.{kind}"] = each
    first = renamed.get("projector.1.weight")
    if first is None or first.ndim != 2 or first.shape[1] != size:
        raise ModelError(
            f"{source.name!r} has a projector for hidden states of another size than its base's "
            f"{size}."
        )
    return {
        "projector": True,
        "projector_hidden_size": first.shape[0],
        "projector_layer_norm": "projector.4.weight" in renamed,
    }, renamed
