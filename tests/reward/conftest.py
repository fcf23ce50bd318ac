"""Reward models in the released format."""

from pathlib import Path

import pytest
import transformers

transformers.utils.logging.disable_progress_bar()


@pytest.fixture(scope="session")
def reward_models(tmp_path_factory) -> dict[str, Path]:
    """Folders of tiny reward models, by architecture."""
    from tests.reward.checkpoints import WRITERS

    folder = tmp_path_factory.mktemp("reward")
    return {kind: write(folder / kind) for kind, write in WRITERS.items()}
