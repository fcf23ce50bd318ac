"""The losses against values computed by hand."""

import math

import pytest
import torch

from latent_tts.reward.losses import LOSSES, bce, contrastive


def tensors(*values):
    return [torch.tensor(value) for value in values]


def test_contrastive_by_hand():
    # One question, two trajectories, two thoughts. Step 1: softmax of (0, ln 3) is (1/4, 3/4).
    # Step 2: of (ln 4, 0) it is (4/5, 1/5).
    rewards, labels, lengths = tensors(
        [[[0.0, math.log(4)], [math.log(3), 0.0]]], [[[0.5, 1.0], [0.25, 0.0]]], [[2, 2]]
    )
    expected = -(0.5 * math.log(1 / 4) + 0.25 * math.log(3 / 4) + math.log(4 / 5))
    assert contrastive(rewards, labels, lengths).item() == pytest.approx(expected, rel=1e-6)


def test_contrastive_compares_only_trajectories_that_have_the_step():
    nan = math.nan
    rewards, labels, lengths = tensors(
        [[[0.0, 5.0], [math.log(3), nan], [nan, nan]]],
        [[[0.5, 1.0], [1.0, nan], [nan, 1.0]]],
        [[2, 1, 0]],
    )
    # Alone at step 2, the first trajectory has softmax 1 and adds nothing.
    expected = -(0.5 * math.log(1 / 4) + math.log(3 / 4))
    assert contrastive(rewards, labels, lengths).item() == pytest.approx(expected, rel=1e-6)


def test_contrastive_is_a_mean_over_questions():
    rewards, labels = torch.randn(3, 4, 5), torch.rand(3, 4, 5)
    lengths = torch.randint(0, 6, (3, 4))
    alone = [contrastive(*(x[[k]] for x in (rewards, labels, lengths))) for k in range(3)]
    together = contrastive(rewards, labels, lengths)
    torch.testing.assert_close(together, torch.stack(alone).mean())


def test_bce_by_hand():
    nan = math.nan
    rewards, labels, lengths = tensors(
        [[[0.0, math.log(4)], [math.log(3), nan]]], [[[1.0, 0.25], [0.0, nan]]], [[2, 1]]
    )
    first = -math.log(1 / 2)
    second = -(0.25 * math.log(4 / 5) + 0.75 * math.log(1 / 5))
    third = -math.log(1 / 4)
    expected = (first + second + third) / 3
    assert bce(rewards, labels, lengths).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_finite_and_zero_beyond_the_lengths(name):
    rewards = torch.randn(2, 3, 4, requires_grad=True)
    lengths = torch.tensor([[4, 0, 2], [0, 0, 0]])
    loss = LOSSES[name](rewards, torch.rand(2, 3, 4), lengths)
    loss.backward()
    there = torch.arange(4) < lengths.unsqueeze(-1)
    assert torch.isfinite(loss)
    assert torch.isfinite(rewards.grad).all()
    assert not rewards.grad[~there].any()
    assert rewards.grad[there].any()


@pytest.mark.parametrize("name", LOSSES)
def test_better_trajectories_gain_reward(name):
    rewards = torch.zeros(1, 3, 1, requires_grad=True)
    labels = torch.tensor([[[0.0], [0.25], [1.0]]])
    LOSSES[name](rewards, labels, torch.ones(1, 3).long()).backward()
    change = -rewards.grad.flatten()
    assert change[0] < change[1] < change[2]
    assert change[0] < 0 < change[2]
