"""RoT as TencentBAC/RoT saves its second stage: a file of DeepSpeed.

Qwen3-VL with low-rank updates and the head of the thoughts, some of it twice. The embedding is as
long as the tokenizer with its three markers, the language-model head as before.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch

from ..errors import ModelError
from ..text_part import text_part
from .asked import known_alpha, leave_out
from .base import Base
from .checkpoint import Checkpoint
from .lora import merge_lora
from .options import SourceOptions
from .source import Source

_MODEL = re.compile(r"vision_encoder\.mllm_model\.(?:base_model\.model\.)?")
_TWICE = ("language_model.", "llm_lm_head.")
_TEXT, _EYE, _HEAD = "model.language_model.", "model.visual.", "projection_head."
_TRAINING = ("log_var_", "vision_encoder.vision", "text_renderer.")
_MARKERS = ("<img_begin>", "<img>", "<img_end>")
_ALPHA, _THOUGHTS, _ANSWER = 32, 32, 256  # of the published configuration and evaluation


class RoTDeepSpeed:
    """`global_step<n>/mp_rank_00_model_states.pt`."""

    title: ClassVar[str] = "RoT's DeepSpeed file (vision_encoder.mllm_model.*)"
    method: ClassVar[str] = "rot"
    reads: ClassVar[frozenset[str]] = frozenset({"base", "latent_length", "lora_alpha"})

    def recognises(self, source: Source) -> bool:
        """Return whether a model that sees lies where RoT has it."""
        return any(_MODEL.match(name) for name in source.names)

    def read(self, source: Source, options: SourceOptions) -> Checkpoint:
        """Return the checkpoint without its eye, its low-rank updates merged.

        Raises:
            ModelError: no base, one that does not fit or is no model with a text part, no
                `lora_alpha`, no head of thoughts, or an unknown weight.
        """
        base = Base.load(
            options.base,
            source,
            what="a file of RoT, which names no config.",
            example="Qwen/Qwen3-VL-4B-Instruct",
        )
        base = replace(base, config=text_part(base.config, base.folder))
        base.config.tie_word_embeddings = False  # the head was not resized with the embedding
        tensors, left_out = leave_out(source.tensors, (*_TWICE, *_TRAINING))
        head = {name: each for name, each in tensors.items() if name.startswith(_HEAD)}
        rest = {name: each for name, each in tensors.items() if name not in head}
        whole = {_MODEL.sub("", name, count=1): each for name, each in rest.items()}
        inner, eye = leave_out(whole, (_EYE,))
        inner = {
            f"model.{name.removeprefix(_TEXT)}" if name.startswith(_TEXT) else name: each
            for name, each in inner.items()
        }
        alpha = known_alpha(options, source, inner, published=_ALPHA)
        weights, merged = merge_lora(
            inner, base.trunk(), alpha=alpha, names=(source.name, base.name)
        )
        rows = len(base.embedding(weights, source))
        known = base.tokenizer.get_vocab()
        lacking = [one for one in _MARKERS if one not in known]
        ids = {known[one]: one for one in _MARKERS if one in known}
        base.name_tokens(ids | dict(enumerate(lacking, len(base.tokenizer))), rows, source)
        weights["lm_head.weight"] = _cut(weights.get("lm_head.weight"), rows, source)
        copies = base.check(weights, source)
        base.config.update({"projection_hidden_size": _width(head, source)})
        length = _THOUGHTS if options.latent_length is None else options.latent_length
        return Checkpoint(
            method=self.method,
            layout=self.title,
            base=base,
            weights={**weights, **head},
            generation={"latent_length": length, "max_new_tokens": length + 1 + _ANSWER},
            files=source.weight_files,
            found=(merged,),
            left_out=(*left_out, *eye, *copies),
        )


def _cut(head: torch.Tensor | None, rows: int, source: Source) -> torch.Tensor:
    """Return the language-model head f[rows, D]: what is behind it belongs to no token."""
    if head is None or len(head) < rows:
        count = 0 if head is None else len(head)
        raise ModelError(
            f"{source.name!r} has a language-model head of {count} tokens, and an embedding of "
            f"{rows}: it is incomplete."
        )
    return head[:rows]


def _width(head: Mapping[str, torch.Tensor], source: Source) -> int:
    """Return the width of the head of thoughts."""
    first = head.get(f"{_HEAD}1.weight")
    if first is None:
        raise ModelError(
            f"{source.name!r} holds no head of thoughts ({_HEAD}*): give the file of the second "
            "stage, which has the first stage's head in it."
        )
    return len(first)
