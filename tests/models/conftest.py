"""The tiny backbones, loaded once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from latent_tts.models import AutoLatentModel, load_tokenizer
from latent_tts.models.engine.trial import check_model
from tests.models.reference import Reference
from tests.models.sampled import COMMON, SAMPLING, thought_length

transformers.utils.logging.disable_progress_bar()


@dataclass(frozen=True)
class Backbone:
    """A loaded checkpoint; tests do not change it."""

    kind: str
    folder: Path

    @cached_property
    def model(self) -> Any:
        model = AutoLatentModel.from_pretrained(self.folder)
        check_model(model)  # so that the passes of this are in no test's count
        return model

    @cached_property
    def tokenizer(self) -> Any:
        return load_tokenizer(str(self.folder))

    @cached_property
    def reference(self) -> Reference:
        return Reference(self.kind, self.folder)

    def prompts(self, count: int) -> list[list[int]]:
        """Token ids of `count` questions of mixed lengths."""
        questions = [
            f"Tom has {place * 7 % 50} pens and buys {place * 13 % 31}." + " So?" * (place % 4)
            for place in range(count)
        ]
        return [self.model.encode_prompt(self.tokenizer, question) for question in questions]

    def generate(
        self, prompts: Sequence[Sequence[int]], *, padding: int = 0, **settings: Any
    ) -> Any:
        """Generate from prompts padded on the left, by `padding` more than they need."""
        width = max(map(len, prompts)) + padding
        fill = self.model.latent_tokens.pad
        return self.model.generate(
            torch.tensor([[fill] * (width - len(ids)) + list(ids) for ids in prompts]),
            torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts]),
            return_dict_in_generate=True,
            **settings,
        )


@pytest.fixture(scope="session")
def backbones(checkpoints) -> dict[str, Backbone]:
    return {kind: Backbone(kind, folder) for kind, folder in checkpoints.items()}


@pytest.fixture(params=["coconut", "codi", "colar"])
def backbone(request, backbones) -> Backbone:
    return backbones[request.param]


@pytest.fixture(params=SAMPLING)
def sampling(request, backbone) -> dict[str, Any]:
    """Settings under which samples differ, by each of the samplers."""
    return {**COMMON, **thought_length(backbone, 5), **SAMPLING[request.param]}
