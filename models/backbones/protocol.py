"""What a backbone is: a method of latent reasoning over any causal language model.

A backbone says its prompt format, its extra modules, how a hidden state becomes the next thought,
when thinking ends, and how the answer is read from the text. The trunk is whatever transformers
loads. The engine asks for these and never for a backbone's or a model's name.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from ..options import EngineOptions
from .mixture import Mixing
from .prompts import PromptEncoder
from .tokens import LatentTokens


class Readable(Protocol):
    """What the engine reads with: a transformers model, its trunk, its embeddings and its head.

    Attributes:
        base_model: the trunk.
        config: transformers' config; sizes come from its `get_text_config()`.
        generation_config: transformers' config of how it generates.
        name_or_path: where it was loaded from, for messages.
        training: whether it is being trained.
        engine_options: how the engine may compute with it.
    """

    base_model: nn.Module
    config: Any
    generation_config: Any
    name_or_path: str
    training: bool
    engine_options: EngineOptions

    @property
    def device(self) -> torch.device:
        """Where the weights are."""

    @property
    def dtype(self) -> torch.dtype:
        """In what precision they are."""

    def post_init(self) -> None:
        """Finish building, as transformers' models do."""

    def num_parameters(self, *, exclude_embeddings: bool = False) -> int:
        """Return how many weights there are."""

    def __call__(self, input_ids: torch.Tensor, /, **kwargs: Any) -> Any:
        """Return the output of the model's own forward pass."""

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the token embeddings."""

    def get_output_embeddings(self) -> nn.Module | None:
        """Return the language-model head; None where there is none."""

    def modules(self) -> Iterator[nn.Module]:
        """Return all modules."""

    def named_modules(self) -> Iterator[tuple[str, nn.Module]]:
        """Return all modules with their names."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return all weights."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Return all weights with their names."""

    def state_dict(self) -> Mapping[str, torch.Tensor]:
        """Return all weights and buffers with their names."""


if TYPE_CHECKING:
    _Model = Readable
else:
    _Model = object  # the methods that transformers' model brings must not be hidden


class LatentBackbone(_Model):
    """Base of the methods; stands before a causal language model of transformers in the bases.

    `models.joined` joins a method and a model to one class, so that released names of weights and
    classes stay what they are: `Coconut` over `GPT2LMHeadModel` is `COCONUTGPT2`. A subclass sets
    the class attributes, and overrides `next_thought` where a thought is not the hidden state
    itself. One with modules of its own builds them in `__init__(config)`, after
    `super().__init__(config)`, and calls `self.post_init()`.

    Attributes:
        backbone: the name users type (`backbone=coconut`).
        class_prefix: what the joined class's name begins with; the method's class name if empty.
        latent_defaults: generation settings of the released evaluation; a checkpoint's
            generation_config.json overrides them.
        mixing: how the next tokens become a thought, where it is a mixture of their embeddings
            and not made of the hidden state.
        chooses_length: whether the model ends its thinking itself, by predicting the end marker.
        dropout_while_answering: whether a dropout sampler stays on while the answer is decoded.
        least_thoughts: how many it thinks before it may end its thinking.
        dropout_modules: for each dropout site, the ends of the names of the modules after whose
            output a mask is applied; the sampler knows those of transformers' usual decoders.
        start_marker: text that ends the prompt and begins thinking.
        end_marker: text whose token ends thinking.
        ends_by: which token of the end marker ends thinking: `all`, where it must be one token, as
            the start marker must; or, where it is text of one or several tokens, `first` (and then
            all are fed) or `last` (which alone is fed).
        reads_chats: whether prompts may be written in the checkpoint's own chat format, by a method
            `chat`, and its generation_config.json says how answers are sampled where they are.
        tokenizer: the checkpoint's, set when it is loaded; None where it has none.
        latent_tokens: ids of the markers, found when the checkpoint is loaded.
        engine_options: how samples are computed.
    """

    backbone: ClassVar[str]
    class_prefix: ClassVar[str] = ""
    latent_defaults: ClassVar[Mapping[str, Any]]
    mixing: ClassVar[Mixing | None] = None
    chooses_length: ClassVar[bool] = False
    dropout_while_answering: ClassVar[bool] = False
    least_thoughts: int = 0
    dropout_modules: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    start_marker: ClassVar[str] = "<|start-latent|>"
    end_marker: ClassVar[str] = "<|end-latent|>"
    ends_by: ClassVar[str] = "all"
    reads_chats: ClassVar[bool] = False

    tokenizer: PreTrainedTokenizerBase | None = None
    latent_tokens: LatentTokens
    engine_options: EngineOptions = EngineOptions()

    if TYPE_CHECKING:

        def __init__(self, config: Any) -> None:
            """Build the model, which comes next in the bases, with random weights."""
            self.config = config

    def format_prompt(self, question: str) -> str:
        """Return the question in the frame that this backbone was trained to read."""
        raise NotImplementedError

    def read_answer(self, text: str) -> str | None:
        """Return the answer that a decoded continuation states, or None where it states none."""
        raise NotImplementedError

    def next_thought(self, hidden: torch.Tensor) -> torch.Tensor:
        """Turn last hidden states (after the final norm) into the next input embeddings.

        Args:
            hidden: f[R, D], the last layer's state at each row's last position; under `mixing` the
                mixtures of the next tokens' embeddings instead.

        Returns:
            f[R, D].
        """
        return hidden

    @property
    def has_thought_spread(self) -> bool:
        """Whether the next thought is a distribution, whose mean `next_thought` returns."""
        return False

    def thought_spread(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the standard deviations of the next thoughts after hidden states, both f[R, D]."""
        raise NotImplementedError

    def encode_prompt(
        self,
        tokenizer: PreTrainedTokenizerBase,
        question: str,
        format_prompt: Callable[[str], str] | None = None,
    ) -> list[int]:
        """Tokenise the formatted prompt, after the tokens in `config.latent_prompt_prefix`.

        Those are what a tokenizer puts before every text, where the checkpoint was trained with
        them; no other special tokens are added to what the format writes. The question is text:
        where it spells a control token, its characters are encoded.

        Args:
            tokenizer: the checkpoint's.
            question: the text.
            format_prompt: another frame than the backbone's `format_prompt`.

        Raises:
            ModelError: it spells one that the tokenizer cannot encode otherwise.
        """
        encoder = PromptEncoder.of(tokenizer, self.start_marker, self.end_marker)
        prefix = getattr(self.config, "latent_prompt_prefix", ())
        return [*prefix, *encoder.encode(question, format_prompt or self.format_prompt)]
