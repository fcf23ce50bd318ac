"""Reward models in the released format, and backbones whose answers are right now and then."""

from pathlib import Path
from typing import Any

import pytest
import transformers

transformers.utils.logging.disable_progress_bar()


@pytest.fixture(scope="session")
def reward_models(tmp_path_factory) -> dict[str, Path]:
    """Folders of tiny reward models, by architecture."""
    from tests.reward.checkpoints import WRITERS

    folder = tmp_path_factory.mktemp("reward")
    return {kind: write(folder / kind) for kind, write in WRITERS.items()}


def read_parity(text: str) -> str:
    """An answer that random text gives as often as not: whether its letters' sum is odd."""
    return str(sum(map(ord, text)) % 2)


@pytest.fixture(scope="session")
def backbones(checkpoints) -> dict[str, Any]:
    """Loaded tiny checkpoints and tokenizers, by backbone; their answers are 0 or 1."""
    from latent_tts.models import AutoLatentModel, load_tokenizer

    loaded = {}
    for kind, folder in checkpoints.items():
        model = AutoLatentModel.from_pretrained(folder)
        model.read_answer = read_parity
        loaded[kind] = model, load_tokenizer(str(folder))
    return loaded
