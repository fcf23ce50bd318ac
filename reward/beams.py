"""Beam search over thoughts, guided by cumulative step rewards (arXiv 2510.07745, section 4).

Each of k beams proposes m stochastic next thoughts, and the best k of the k * m by the sum of their
r_t survive. A proposal equal to another one, thought by thought, is dropped; where fewer than k
beams are left, they share all k * m proposals. Candidate 0 of a beam keeps the beam's address, the
others get addresses of their own, so k = m = 1 is sample 0.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from ..models import LatentBackbone, LatentSettings
from ..models.engine.budget import Budget, in_parts
from ..models.engine.candidates import check_prompts
from .checks import check_fit, check_positions
from .errors import RewardError
from .model import LatentRewardHead
from .search import Beam, Search


@torch.no_grad()
def beam_search(
    model: LatentBackbone,
    reward_model: LatentRewardHead,
    prompts: Sequence[Sequence[int]],
    settings: LatentSettings,
) -> list[list[Beam]]:
    """Search for the thoughts of the highest cumulative reward, and answer after them.

    A beam that ends its thinking by itself competes with what it has; it proposes no more.

    Args:
        model: the backbone.
        reward_model: a LatentRM of its thoughts.
        prompts: token ids.
        settings: the sampler, `num_beams` k and `num_beam_candidates` m.

    Returns:
        The surviving beams of every prompt, at most k and fewer where proposals were equal, the
        best first; of equal scores the earliest, and a score that is not finite last.

    Raises:
        RewardError: settings without beams, a reward model of another backbone, or a prompt too
            long for it.
        ModelError: a prompt too long for the backbone, or hidden states that are not finite.
    """
    if settings.beams is None:
        raise RewardError(
            f"num_beams={settings.num_beams} asks for no beam search; give num_beams and "
            "num_beam_candidates."
        )
    check_prompts(model, prompts, settings)
    check_fit(model, reward_model)
    longest = max(map(len, prompts))
    check_positions(reward_model, longest, settings.thought_limit)
    rows = settings.beams[0] * settings.beams[1]
    budget = Budget(
        model, longest=longest, sharing=rows, own_prompts=settings.sampler.prompt_varies
    )

    def search(part: slice) -> list[list[Beam]]:
        return Search(model, reward_model, prompts[part], settings).beams()

    parts = in_parts(len(prompts), budget.rows // rows, search, what="beam searches")
    return [
        _of_question(own, part.start + number)
        for part, found in parts
        for number, own in enumerate(found)
    ]


def _of_question(beams: list[Beam], question: int) -> list[Beam]:
    """Return the beams of one prompt, numbered among all."""
    return [
        replace(beam, trajectory=replace(beam.trajectory, question=question, sample=rank))
        for rank, beam in enumerate(beams)
    ]
