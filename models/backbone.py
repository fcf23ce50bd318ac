"""What a backbone is: a transformers model that knows how it thinks.

A backbone adds to a causal language model of transformers its prompt format, how a hidden state
becomes the next thought, when thinking ends, and how the answer is read from the text. The engine
asks for these and never for the backbone's name.
"""

import re
import warnings
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar

import torch
from transformers import GenerationConfig

from .config import CHECKPOINT_FIELDS, LatentGenerationConfig, LatentSettings
from .errors import ModelError
from .options import EngineOptions
from .rows import LatentGenerateOutput
from .scheduler import generate
from .tokens import LatentTokens

# Of a GenerationConfig: known otherwise, or about how outputs are returned.
_HARMLESS = {"bos_token_id", "eos_token_id", "pad_token_id", "return_dict_in_generate"}
_HARMLESS |= {"transformers_version", "use_cache"}
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+")


def last_number(text: str) -> str | None:
    """Return the last number written in `text`, thousands commas taken out, or None."""
    numbers = _NUMBER.findall(text)
    return numbers[-1].replace(",", "") if numbers else None


def _warn_of_unread(generation_config: Any) -> None:
    """Warn of what a user's config asks for beyond what `LatentSettings` knows."""
    if not isinstance(generation_config, GenerationConfig):
        return
    read = {field.name for field in fields(LatentSettings)} | _HARMLESS
    usual = vars(GenerationConfig())
    unread = [
        f"{name}={value!r}"
        for name, value in vars(generation_config).items()
        if name not in read and not name.startswith("_") and value not in (None, usual.get(name))
    ]
    if unread:
        warnings.warn(
            f"generation_config asks for {', '.join(unread)}, which sampling of thoughts does not "
            "know: it changes nothing.",
            stacklevel=3,
        )


class LatentBackbone:
    """Mixin that turns a `PreTrainedModel` with a language-model head into a latent reasoner.

    Subclasses set the class attributes, and override `next_thought` where a thought is not the
    hidden state itself. They stand before transformers' class in the bases, so that `generate`
    is this project's.

    Attributes:
        backbone: the name users type (`backbone=coconut`).
        latent_defaults: generation settings of the released evaluation (REFERENCE: the scripts'
            sampler strengths); a checkpoint's generation_config.json overrides them.
        chooses_length: whether the model ends its thinking itself, by predicting the end marker.
        dropout_while_answering: whether a dropout sampler stays on while the answer is decoded.
        dropout_modules: for each dropout site, the ends of the names of the modules after whose
            output a mask is applied.
        engine: how samples are computed.
    """

    backbone: ClassVar[str]
    latent_defaults: ClassVar[Mapping[str, Any]]
    chooses_length: ClassVar[bool] = False
    dropout_while_answering: ClassVar[bool] = False
    dropout_modules: ClassVar[Mapping[str, tuple[str, ...]]]
    start_marker: ClassVar[str] = "<|start-latent|>"
    end_marker: ClassVar[str] = "<|end-latent|>"

    latent_tokens: LatentTokens | None = None
    engine: EngineOptions = EngineOptions()

    def format_prompt(self, question: str) -> str:
        """Return the question in the frame that this backbone was trained to read."""
        raise NotImplementedError

    def read_answer(self, text: str) -> str | None:
        """Return the answer that a decoded continuation states, or None where it states none."""
        raise NotImplementedError

    def next_thought(self, hidden: torch.Tensor) -> torch.Tensor:
        """Turn last hidden states (after the final norm) into the next input embeddings.

        Args:
            hidden: f[R, D], the last layer's state at each row's last position.

        Returns:
            f[R, D].
        """
        return hidden

    def encode_prompt(self, tokenizer: Any, question: str) -> list[int]:
        """Tokenise the formatted prompt; no special tokens are added to what the format writes."""
        return tokenizer.encode(self.format_prompt(question), add_special_tokens=False)

    def settings(self, generation_config: Any = None, **overrides: Any) -> LatentSettings:
        """Resolve and validate generation settings.

        Precedence: `overrides`, then `generation_config`, then the checkpoint's own
        generation_config.json, then the backbone's released settings.

        Raises:
            ModelError: a setting is out of its range or unknown.
        """
        _warn_of_unread(generation_config)
        stored: Any = getattr(self, "generation_config", None)
        checkpoint = {name: getattr(stored, name, None) for name in CHECKPOINT_FIELDS}
        return LatentSettings.resolve(
            overrides, generation_config, checkpoint, self.latent_defaults, backbone=self
        )

    @torch.no_grad()
    def generate(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        generation_config: LatentGenerationConfig | None = None,
        *,
        return_dict_in_generate: bool | None = None,
        sample_offset: int = 0,
        **overrides: Any,
    ) -> LatentGenerateOutput | torch.Tensor:
        """Sample `num_return_sequences` thought trajectories and answers for each prompt.

        Args:
            input_ids: i64[B, P], prompts padded on the left.
            attention_mask: i64[B, P], 1 where `input_ids` is not padding; all ones if None.
            generation_config: settings; `overrides` by the same names win over it.
            return_dict_in_generate: return a `LatentGenerateOutput` instead of `sequences` alone.
            sample_offset: index of the first sample, so that a later call can go on where an
                earlier one stopped (samples 8 to 15 after 0 to 7).
            **overrides: any field of `LatentGenerationConfig`.

        Returns:
            `LatentGenerateOutput`, or its `sequences` i64[B * N, L]; rows are question-major, as
            transformers orders them.

        Raises:
            ModelError: unusable settings, beam search among them, a prompt longer than the model's
                positions, or hidden states that are not finite.
        """
        if not isinstance(input_ids, torch.Tensor) or input_ids.is_floating_point():
            raise ModelError(
                "generate() needs input_ids, a tensor i64[B, P] of token ids as a tokenizer gives "
                f'with return_tensors="pt"; given was {type(input_ids).__name__}.'
            )
        if return_dict_in_generate is None:
            return_dict_in_generate = bool(
                getattr(generation_config, "return_dict_in_generate", False)
            )
        settings = self.settings(generation_config, **overrides)
        if settings.beams:
            raise ModelError(
                f"num_beams={settings.num_beams}: beam search over thoughts is guided by a reward "
                "model. Use latent_tts.reward.beam_search, or leave num_beams out."
            )
        output = generate(
            self,
            input_ids=input_ids,
            attention_mask=attention_mask,
            settings=settings,
            sample_offset=sample_offset,
        )
        if return_dict_in_generate or output.sequences is None:
            return output
        return output.sequences
