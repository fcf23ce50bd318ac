"""The tiny backbones, loaded once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from latent_tts.models import (
    AutoLatentModel,
    EngineOptions,
    LatentSettings,
    Trajectory,
    load_tokenizer,
    sample,
)
from latent_tts.models.engine.trial import check_model
from tests.marks import slow_but
from tests.models.reference import Reference
from tests.models.sampled import COMMON, PAIRS, QUICK, SAMPLING, thought_length

transformers.utils.logging.disable_progress_bar()
TRUNKS = ("coconut", "colar")  # a backbone on GPT-2, and one on Llama


@dataclass(frozen=True)
class Backbone:
    """A loaded checkpoint; tests do not change it."""

    kind: str
    folder: Path
    named: str | None = None  # backbone=, where config.json does not say

    @cached_property
    def model(self) -> Any:
        model = AutoLatentModel.from_pretrained(self.folder, backbone=self.named)
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
            f"Tom has {number * 7 % 50} pens and buys {number * 13 % 31}." + " So?" * (number % 4)
            for number in range(count)
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

    def sample(
        self,
        settings: dict[str, Any] | LatentSettings,
        *,
        prompts: Sequence[Sequence[int]] | None = None,
        questions: int = 5,
        samples: Sequence[int] | None = None,
        batch_size: int | None = None,
        **options: Any,
    ) -> dict[tuple[int, int], Trajectory]:
        """Sample by the engine; return the trajectories by question and sample.

        Args:
            settings: resolved, or what `settings` of the model is given.
            prompts: token ids; those of `questions` questions if None.
            questions: how many.
            samples: as `latent_tts.models.sample` takes them.
            batch_size: as well.
            **options: of the engine.
        """
        if not isinstance(settings, LatentSettings):
            settings = self.model.settings(**settings)
        prompts = self.prompts(questions) if prompts is None else prompts
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self.model, "engine_options", EngineOptions(**options))
            found = list(
                sample(self.model, prompts, settings, samples=samples, batch_size=batch_size)
            )
        numbers = range(settings.num_return_sequences) if samples is None else samples
        by_name = {(one.question, one.sample): one for one in found}
        expected = [(question, number) for question in range(len(prompts)) for number in numbers]
        assert sorted(by_name) == sorted(expected)  # each exactly once
        assert len(found) == len(expected)
        return by_name


@pytest.fixture(scope="session")
def backbones(checkpoints) -> dict[str, Backbone]:
    return {kind: Backbone(kind, folder) for kind, folder in checkpoints.items()}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let tests run with the two trunks' backbones, those under `sampling` with `PAIRS`.

    Of the pairs all are slow but `QUICK`, of the backbones all but a module's `QUICK_BACKBONES`.
    """
    if "sampling" in metafunc.fixturenames:
        metafunc.parametrize(("backbone", "sampling"), slow_but(PAIRS, *QUICK), indirect=True)
    elif "backbone" in metafunc.fixturenames:
        marks = metafunc.definition.iter_markers("parametrize")
        if all(mark.args[0] != "backbone" for mark in marks):
            quick = getattr(metafunc.module, "QUICK_BACKBONES", TRUNKS)
            metafunc.parametrize("backbone", slow_but(TRUNKS, *quick), indirect=True)


@pytest.fixture
def backbone(request, backbones) -> Backbone:
    return backbones[request.param]


@pytest.fixture
def sampling(request, backbone) -> dict[str, Any]:
    """Settings under which samples differ, by each of the samplers."""
    return {**COMMON, **thought_length(backbone, 5), **SAMPLING[request.param]}
