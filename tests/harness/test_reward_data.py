"""What a reward model learns from, as a record of its training says it."""

import pytest
import torch

from latent_tts.harness.reward_data import read_reward_data
from latent_tts.reward.labels import LabelledQuestion
from latent_tts.reward.shard_index import ShardIndex
from latent_tts.reward.shards import Shards

OLD = {
    "latent_do_sample": True,
    "latent_do_sample_by": "noise",
    "dropout_p": 0.05,
    "noise_std": 0.6,
}
NEW = {
    "latent_do_sample": True,
    "latent_do_sample_by": "dropout",
    "dropout_p": 0.2,
    "sampler_strength": "dropout_p",
}


def write(folder, settings, *, prompt):
    index = ShardIndex(
        backbone="coconut",
        checkpoint="abc",
        settings={"num_return_sequences": 2, "seed": 0, **settings},
        rollouts=16,
        questions="def",
        count=1,
        shard_size=4,
    )
    entry = LabelledQuestion(
        id="q",
        gold="5",
        prompt=prompt,
        answers=("5", None),
        thoughts=torch.zeros(2, 3, 4).half(),
        lengths=torch.tensor([3, 3]),
        labels=torch.zeros(2, 3),
        right=torch.tensor([True, False]),
    )
    Shards.begin(folder, index).write({0: entry})
    return folder


@pytest.mark.parametrize(
    ("settings", "sampler", "strength"), [(OLD, "noise", 0.6), (NEW, "dropout", 0.2)]
)
def test_shards_say_how_they_were_sampled(tmp_path, settings, sampler, strength):
    """Those of before settings were recorded by their sampler, too."""
    learned = write(tmp_path / "learned", settings, prompt=(1,))
    held_out = write(tmp_path / "held-out", settings, prompt=(2,))
    made = {"digest": "abc", "backbone": "coconut", "pretrained": "tiny"}
    data = read_reward_data([learned], held_out, **made)
    assert [entry.prompt for entry in data.learned] == [(1,)]
    assert [entry.prompt for entry in data.held_out] == [(2,)]
    expected = {"questions": 1, "trajectories": 2, "rollouts": 16}
    assert data.about["annotated"] == [expected | {"sampler": sampler, "strength": strength}]
