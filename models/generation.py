"""`generate` and `settings`: what users of transformers expect of a model."""

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase

from .backbones.protocol import LatentBackbone
from .engine.candidates import sample
from .engine.prompts import pad_left
from .errors import ModelError
from .generation_config import LatentGenerationConfig, checkpoint_fields
from .output import LatentGenerateOutput
from .resolve import resolve_settings
from .settings import LatentSettings, setting_names

# Of a GenerationConfig: known otherwise, or about how outputs are returned.
_HARMLESS = {"bos_token_id", "eos_token_id", "pad_token_id", "return_dict_in_generate"}
_HARMLESS |= {"transformers_version", "use_cache"}


class GeneratesLatents(LatentBackbone):
    """Mixin of every loaded backbone."""

    def settings(self, generation_config: Any = None, **overrides: Any) -> LatentSettings:
        """Resolve and validate generation settings.

        Precedence: `overrides`, then `generation_config`, then the checkpoint's own
        generation_config.json, then the backbone's released settings.

        Raises:
            ModelError: a setting is out of its range or unknown.
        """
        _warn_of_unread(generation_config)
        stored: Any = getattr(self, "generation_config", None)
        names = checkpoint_fields()
        samples = overrides.get("do_sample", getattr(generation_config, "do_sample", False))
        if self.reads_chats and samples:
            names += ("temperature", "top_p", "top_k")
        checkpoint = {name: getattr(stored, name, None) for name in names}
        return resolve_settings(
            overrides, generation_config, checkpoint, self.latent_defaults, backbone=self
        )

    def encode_prompts(
        self, tokenizer: PreTrainedTokenizerBase, questions: Sequence[str]
    ) -> dict[str, torch.Tensor]:
        """Return what `generate` reads of questions, padded on the left.

        Args:
            tokenizer: the model's.
            questions: at least one text without prompt format; control tokens in it are text.

        Returns:
            `input_ids` and `attention_mask`, both i64[B, P].

        Raises:
            ModelError: no question, or a control token that cannot be encoded as text.
        """
        if isinstance(questions, str) or not questions:
            raise ModelError(f"questions={questions!r}; needed is a list of at least one text.")
        prompts = [self.encode_prompt(tokenizer, question) for question in questions]
        input_ids, attention_mask = pad_left(prompts, self.latent_tokens.pad)
        return {"input_ids": input_ids, "attention_mask": attention_mask}

    @torch.no_grad()
    def generate(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        generation_config: LatentGenerationConfig | None = None,
        *,
        return_dict_in_generate: bool | None = None,
        **overrides: Any,
    ) -> LatentGenerateOutput | torch.Tensor:
        """Sample `num_return_sequences` thought trajectories and answers for each prompt.

        Args:
            input_ids: i64[B, P], prompts padded on the left.
            attention_mask: i64[B, P], 1 where `input_ids` is not padding; all ones if None.
            generation_config: settings; `overrides` by the same names win over it.
            return_dict_in_generate: return a `LatentGenerateOutput` instead of `sequences` alone.
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
                "generate() needs input_ids, a tensor i64[B, P] of token ids as encode_prompts() "
                f"gives; given was {type(input_ids).__name__}."
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
        input_ids = input_ids.to(self.device)
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        prompts = prompt_tokens(input_ids, mask.to(self.device))
        found = sorted(sample(self, prompts, settings), key=lambda one: (one.question, one.sample))
        repeated = input_ids.repeat_interleave(settings.num_return_sequences, dim=0)
        output = LatentGenerateOutput.of(found, repeated, self)
        return output if return_dict_in_generate else torch.as_tensor(output.sequences)


def prompt_tokens(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> list[list[int]]:
    """Return the attended tokens of each prompt i64[B, P].

    Raises:
        ModelError: prompts that are not padded on the left, or none.
    """
    if input_ids.dim() != 2 or input_ids.shape != attention_mask.shape:
        raise ModelError(
            f"input_ids of shape {tuple(input_ids.shape)} with attention_mask of shape "
            f"{tuple(attention_mask.shape)}; both must be [B, P]."
        )
    if input_ids.shape[0] == 0 or not bool(attention_mask[:, -1:].all()) or not input_ids.shape[1]:
        raise ModelError(
            "Every prompt must end with an attended token: pad on the left "
            '(tokenizer.padding_side = "left"), and give at least one token per prompt.'
        )
    pairs = zip(input_ids, attention_mask.bool(), strict=True)
    return [ids[mask].tolist() for ids, mask in pairs]


def _warn_of_unread(generation_config: Any) -> None:
    """Warn of what a user's config asks for beyond what `LatentSettings` knows."""
    if not isinstance(generation_config, GenerationConfig):
        return
    read = {*setting_names(), *_HARMLESS}
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
