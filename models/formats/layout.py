"""What a layout is: how one training program's files become a checkpoint in the released format."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

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
from ..fields import integer_range
from ..names import resolve_checkpoint
from .files import Source, commit_of, folder_of

_SPEEDS = ("1", "2", "3", "4", "5", "auto")


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """What cannot be told from the files of some layouts.

    Attributes:
        base: folder, hub id or name (`smollm2`) of the language model that was trained: for its
            config, its tokenizer and, where the file holds an adapter only, its weights.
        latent_length: number of thoughts T that the model was trained to think.
        lora_alpha: numerator of the scale of a low-rank update; its rank is in the file.
        thinking_speed: what stands in CoLaR's prompt: 1 to 5 or `auto`.
        embeds_std: CoLaR's standard deviation of the base's embeddings.
        backbone: the method of an adapter on a plain language model.
    """

    base: str | None = None
    latent_length: int | None = None
    lora_alpha: float | None = None
    thinking_speed: str | int | None = None
    embeds_std: float | None = None
    backbone: str | None = None

    def __post_init__(self) -> None:
        """Check what can be known without the files.

        Raises:
            ModelError: a value out of its range.
        """
        speed = self.thinking_speed
        if isinstance(speed, int):
            speed = str(speed)
            object.__setattr__(self, "thinking_speed", speed)
        if speed is not None and speed not in _SPEEDS:
            raise ModelError(f"thinking_speed={speed!r}; allowed are {', '.join(_SPEEDS)}.")
        for name in ("lora_alpha", "embeds_std"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if value is not None and not (number and 0 < value < math.inf):
                raise ModelError(f"{name}={value!r}; allowed is a finite number above 0.")
        if self.latent_length is not None:
            integer_range(least=0).check("latent_length", self.latent_length)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint in the released format, in memory.

    Attributes:
        method: name of its backbone.
        config: the trunk's, with the method's fields.
        weights: by the names of the released format.
        tokenizer: has the markers as tokens.
        generation: fields of generation_config.json.
        files: what was read, by part: `weights` and, where they come from there, `base`.
        found: what was recognised, in words, one fact each.
        left_out: weights that are not used, by a name or a pattern of names.
        commit: of the checkpoint, where that lies on the hub.
        base_commit: of the base, likewise.
    """

    method: str
    config: PreTrainedConfig
    weights: Mapping[str, torch.Tensor]
    tokenizer: PreTrainedTokenizerBase
    generation: Mapping[str, object]
    files: Mapping[str, tuple[Path, ...]]
    found: tuple[str, ...]
    left_out: tuple[str, ...] = field(default=())
    commit: str | None = None
    base_commit: str | None = None


class Layout(Protocol):
    """One layout; `LAYOUTS` holds all of them.

    Attributes:
        title: whose layout it is, for messages.
    """

    title: ClassVar[str]

    def recognises(self, source: Source) -> bool:
        """Return whether the files are in this layout."""

    def read(self, source: Source, options: SourceOptions) -> Checkpoint:
        """Return the checkpoint.

        Raises:
            ModelError: something is missing, does not fit or must be chosen.
        """


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

    def files(self) -> tuple[Path, ...]:
        """Return the files of its weights."""
        folder = folder_of(self.folder)
        found = [*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")]
        return tuple(sorted(found))

    @property
    def commit(self) -> str | None:
        """The commit of a hub repository, None where it came from elsewhere."""
        return commit_of(folder_of(self.folder))

    def weights(self) -> dict[str, torch.Tensor]:
        """Return its weights in float32."""
        return dict(self.model().state_dict())

    def model(self) -> Any:
        """Return its model in float32."""
        return AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float32)

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
        return weights[name]

    def check(self, weights: Mapping[str, torch.Tensor], source: Source) -> None:
        """Raise ModelError unless the weights are all those of the trunk, in its shapes.

        A head that the trunk ties to its embedding need not be there, and must be equal to it.
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
        for name in wanted.keys() - weights.keys() - tied.keys():
            raise self._misfit(f"{source.name!r} lacks {name}")
        for name in weights.keys() - wanted.keys():
            raise self._misfit(f"{source.name!r} holds {name}, which the base's model has not")
        for name, other in tied.items():
            if name in weights and not torch.equal(weights[name], weights[other]):
                raise self._misfit(
                    f"{name} and {other} differ in {source.name!r}, and the base's config.json "
                    "says that they are one (tie_word_embeddings)"
                )

    def _tied(self, trunk: nn.Module) -> dict[str, str]:
        """Return weights that are another's: name -> that other's name."""
        if not self.config.get_text_config().tie_word_embeddings:
            return {}
        return dict(getattr(trunk, "_tied_weights_keys", None) or {})

    def _misfit(self, reason: str) -> ModelError:
        return ModelError(f"{reason}: base={self.name!r} is not the base of that checkpoint.")


def known_length(options: SourceOptions, source: Source) -> int:
    """Return the number of thoughts that the user gave.

    Raises:
        ModelError: none was given: it is in no file, and a guess would be a wrong number.
    """
    if options.latent_length is None:
        raise ModelError(
            f"{source.name!r} does not say how many thoughts the model was trained to think: give "
            "latent_length=, in --model_args. COCONUT's GSM8K recipe ends with 2 a step and 3 "
            "steps, which is latent_length=6."
        )
    return options.latent_length


def known_alpha(
    options: SourceOptions,
    source: Source,
    weights: Mapping[str, torch.Tensor],
    *,
    stated: float | None = None,
    published: int,
) -> float:
    """Return the scale of the low-rank updates among some weights; 0 where there are none.

    Args:
        options: what the user gave, which wins.
        source: for messages.
        weights: by name.
        stated: what the source's own settings say.
        published: what the method's published runs have, for the message.

    Raises:
        ModelError: there are updates, and nobody says their scale.
    """
    alpha = options.lora_alpha or stated
    if not any(".lora_" in name for name in weights):
        return 0.0
    if alpha is None:
        raise ModelError(
            f"{source.name!r} holds low-rank updates, whose scale alpha cannot be told from the "
            f"file: give lora_alpha=; the published scripts have lora_alpha={published}."
        )
    return alpha


def leave_out(
    weights: Mapping[str, torch.Tensor], prefixes: Sequence[str]
) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """Return the weights without those of some prefixes, and the patterns that were left out."""
    kept = {name: each for name, each in weights.items() if not name.startswith(tuple(prefixes))}
    gone = tuple(
        f"{prefix}* ({count} tensors)"
        for prefix in prefixes
        if (count := sum(name.startswith(prefix) for name in weights))
    )
    return kept, gone
