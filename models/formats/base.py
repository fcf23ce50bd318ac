"""The language model that a checkpoint was trained from, and whether the two fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
)

from ..errors import ModelError
from ..names import resolve_checkpoint
from .hub import commit_of, folder_of, tokens_of, weights_of
from .source import Source
from .tensors import listed


@dataclass(frozen=True)
class Base:
    """A language model that a checkpoint was trained from.

    Attributes:
        name: as it was given.
        folder: where it lies, or its hub id.
        config: a copy of its own.
        tokenizer: a copy of its own.
    """

    name: str
    folder: str
    config: PreTrainedConfig
    tokenizer: PreTrainedTokenizerBase

    @classmethod
    def load(cls, name: str | None, source: Source, *, what: str, example: str) -> "Base":
        """Read a base's config and tokenizer.

        Args:
            name: as the user gave it.
            source: of which it is the base, for messages.
            what: why it is needed.
            example: a base that published checkpoints of this layout have.

        Raises:
            ModelError: none was given, or it cannot be read.
        """
        if not name:
            raise ModelError(
                f"{source.name!r} is {what} Give base=, a folder or hub id of the language model "
                f"that was trained, such as base={example}."
            )
        if Path(name).is_file():
            raise ModelError(f"base={name!r} is a file; give the base's folder or hub id.")
        try:
            folder = resolve_checkpoint(name)
            config = AutoConfig.from_pretrained(folder)
            tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"base={name!r} cannot be read: {error}") from error
        config.architectures = None
        return cls(name, folder, config, tokenizer)

    def trunk(self) -> nn.Module:
        """Return its model without weights.

        Raises:
            ModelError: transformers knows it as no causal language model.
        """
        try:
            with torch.device("meta"):
                return AutoModelForCausalLM.from_config(self.config)
        except ValueError as error:
            raise ModelError(
                f"base={self.name!r} is a {self.config.model_type} model, which is no causal "
                "language model."
            ) from error

    def files(self) -> dict[str, tuple[Path, ...]]:
        """Return its files by part: `base`, those of its weights, as far as they lie here.

        And `base_tokenizer`, those of its config and tokenizer.
        """
        folder = folder_of(self.folder)
        return {"base": weights_of(folder), "base_tokenizer": tokens_of(folder)}

    @property
    def commit(self) -> str | None:
        """The commit of a hub repository, None where it came from elsewhere."""
        return commit_of(folder_of(self.folder))

    def weights(self) -> dict[str, torch.Tensor]:
        """Return its weights in float32.

        Raises:
            ModelError: they cannot be read.
        """
        try:
            model = AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float32)
        except Exception as error:  # a damaged or hostile file may raise anything
            raise ModelError(f"base={self.name!r} has no readable weights: {error}") from error
        return dict(model.state_dict())

    def name_tokens(self, names: Mapping[int, str], rows: int, source: Source) -> None:
        """Give ids a text in the tokenizer, and the config as many embeddings as the file has.

        Ids between the tokenizer's last and the first of `names` are padding of the base's
        vocabulary; they get texts that no question contains.

        Raises:
            ModelError: the ids are taken, or the file has fewer rows.
        """
        size = len(self.tokenizer)
        for index, text in sorted(names.items()):
            while len(self.tokenizer) < index:
                self.tokenizer.add_tokens([f"<|unused-{len(self.tokenizer)}|>"])
            if len(self.tokenizer) == index:
                self.tokenizer.add_tokens([text])
            if self.tokenizer.convert_tokens_to_ids(text) != index:
                raise ModelError(
                    f"{text!r} must have the id {index} in {source.name!r}, but the tokenizer of "
                    f"base={self.name!r} has {size} tokens: this is not the base of that "
                    "checkpoint."
                )
        if rows <= max(names):
            raise ModelError(
                f"{source.name!r} has {rows} embeddings, and base={self.name!r} a vocabulary of "
                f"{min(names)}, to which {len(names)} rows are added: this is not the base of "
                "that checkpoint."
            )
        self.config.get_text_config().vocab_size = rows

    def prefix(self) -> list[int]:
        """Return the special tokens that its tokenizer puts before a text."""
        return list(self.tokenizer("").input_ids)

    def embedding(self, weights: Mapping[str, torch.Tensor], source: Source) -> torch.Tensor:
        """Return the input embedding f[V, D] among weights by the trunk's names.

        Raises:
            ModelError: there is none.
        """
        model = self.trunk()
        inputs = model.get_input_embeddings().weight  # type: ignore[operator]
        name = next(name for name, each in model.named_parameters() if each is inputs)
        if name not in weights:
            raise self._misfit(f"{source.name!r} lacks {name}")
        if weights[name].ndim != 2:
            shape = tuple(weights[name].shape)
            raise self._misfit(f"{name} of {source.name!r} is no matrix but has shape {shape}")
        return weights[name]

    def check(self, weights: Mapping[str, torch.Tensor], source: Source) -> tuple[str, ...]:
        """Return which weights repeat another: a head that the trunk ties to its embedding.

        Raises:
            ModelError: the weights are not all those of the trunk, in its shapes, or a head that
                is tied is there and is not equal.
        """
        trunk = self.trunk()
        wanted = {name: tuple(each.shape) for name, each in trunk.state_dict().items()}
        for name, shape in wanted.items():
            if name in weights and tuple(weights[name].shape) != shape:
                raise self._misfit(
                    f"{name} has shape {tuple(weights[name].shape)} in {source.name!r}, {shape} in "
                    "the base's model"
                )
        tied = self._tied(trunk)
        lacking = listed(sorted(wanted.keys() - weights.keys() - tied.keys()))
        strange = listed(sorted(weights.keys() - wanted.keys()))
        if lacking or strange:
            parts = [f"lacks {lacking}"] if lacking else []
            parts += [f"holds {strange}, which the base's model has not"] if strange else []
            both = " (they may be the same under other names)" if lacking and strange else ""
            raise self._misfit(f"{source.name!r} {' and '.join(parts)}{both}")
        for name, other in tied.items():
            if name in weights and not torch.equal(weights[name], weights[other]):
                raise self._misfit(
                    f"{name} and {other} differ in {source.name!r}, and the base's config.json "
                    "says that they are one (tie_word_embeddings)"
                )
        there = {name: other for name, other in tied.items() if name in weights}
        return tuple(f"{name} ({other} once more)" for name, other in there.items())

    def _tied(self, trunk: nn.Module) -> dict[str, str]:
        """Return weights that are another's: name -> that other's name."""
        if not self.config.get_text_config().tie_word_embeddings:
            return {}
        return dict(getattr(trunk, "_tied_weights_keys", None) or {})

    def _misfit(self, reason: str) -> ModelError:
        return ModelError(f"{reason}: base={self.name!r} is not the base of that checkpoint.")
