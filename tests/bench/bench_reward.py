"""What scoring all trajectories of a question together gains."""

import pytest
import torch

from latent_tts.reward import LatentRewardModel
from tests.reward.checkpoints import WIDTH, write_gpt2


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return LatentRewardModel.from_pretrained(write_gpt2(tmp_path_factory.mktemp("rm"))).eval()


def test_trajectories_together(versus, model):
    prompt = torch.randint(300, (1, 80), generator=torch.Generator().manual_seed(0))
    thoughts = torch.randn((1, 64, 6, WIDTH), generator=torch.Generator().manual_seed(1))

    def score(parts):
        with torch.inference_mode():
            for part in thoughts.split(64 // parts, dim=1):
                model.score(prompt, latent_thoughts=part)

    versus(bound=5.0, slow=lambda: score(64), fast=lambda: score(1))
