"""COCONUT as facebookresearch/coconut and SIM-CoT's COCONUT save it.

A state dict of the wrapper: the language model under `base_causallm.` and one more copy of its
input embedding. Three tokens stand behind the base's vocabulary.
"""

from typing import ClassVar

import torch

from ..errors import ModelError
from .asked import known_length, leave_out
from .base import Base
from .checkpoint import Checkpoint
from .options import SourceOptions
from .source import Source

_PREFIX = "base_causallm."
_MARKERS = ("<|start-latent|>", "<|end-latent|>", "<|latent|>")
_AUXILIARY = ("expainable_llm.", "pj_in.", "pj_out.")  # SIM-CoT's decoder of training, as spelled
_ANSWER = 64  # tokens, in the repository's evaluation of GSM8K


class CoconutStateDict:
    """`checkpoint_<n>` without suffix."""

    title: ClassVar[str] = "COCONUT's state dict (base_causallm.*)"
    method: ClassVar[str] = "coconut"
    reads: ClassVar[frozenset[str]] = frozenset({"base", "latent_length"})

    def recognises(self, source: Source) -> bool:
        """Return whether the language model lies under `base_causallm.`."""
        return any(name.startswith(_PREFIX) for name in source.names)

    def read(self, source: Source, options: SourceOptions) -> Checkpoint:
        """Return the checkpoint; base and number of thoughts are not in the file.

        Raises:
            ModelError: no base, one that does not fit, no number of thoughts, or an unknown
                weight.
        """
        base = Base.load(
            options.base,
            source,
            what="a state dict of COCONUT, which names neither its config nor its tokenizer.",
            example="openai-community/gpt2",
        )
        length = known_length(options, source.name)
        tensors, left_out = leave_out(source.tensors, _AUXILIARY)
        copy = tensors.pop("embedding.weight", None)
        strange = [name for name in tensors if not name.startswith(_PREFIX)]
        if strange:
            raise ModelError(
                f"{source.name!r} holds {', '.join(strange[:3])}, which no COCONUT has."
            )
        weights = {name.removeprefix(_PREFIX): each for name, each in tensors.items()}
        embedding = base.embedding(weights, source)
        if copy is not None and not torch.equal(copy, embedding):
            raise ModelError(
                f"{source.name!r} holds two input embeddings that differ, embedding.weight and "
                "that of base_causallm: it was not saved by COCONUT."
            )
        added = base.tokenizer.get_added_vocab()
        first = added.get(_MARKERS[0], len(base.tokenizer))  # there where it was saved with them
        names = {first + index: text for index, text in enumerate(_MARKERS)}
        base.name_tokens(names, len(embedding), source)
        base.config.update({"latent_prompt_prefix": base.prefix()})
        copies = base.check(weights, source)
        if copy is not None:
            copies = ("embedding.weight (the input embedding once more)", *copies)
        return Checkpoint(
            method=self.method,
            layout=self.title,
            base=base,
            weights=weights,
            generation={"latent_length": length, "max_new_tokens": length + 1 + _ANSWER},
            files=source.weight_files,
            found=(),
            left_out=(*left_out, *copies),
        )
