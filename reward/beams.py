"""Beam search over thoughts, guided by cumulative step rewards (arXiv 2510.07745, section 4).

Each of k beams proposes m stochastic next thoughts, and the best k of the k * m by the sum of their
r_t survive. A proposal equal to another one, thought by thought, is dropped; where fewer than k
beams are left, they share all k * m proposals. Candidate 0 of a beam keeps the beam's address, the
others get addresses of their own, so k = m = 1 is sample 0.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ..models import LatentBackbone, LatentSettings, Trajectory
from ..models.engine.budget import Budget, in_parts
from ..models.engine.candidates import check_prompts
from ..models.engine.continued import Thought, answer
from ..models.engine.prompts import pad_left
from ..models.engine.rows import Rows
from ..models.engine.step import Step, Stepper, stepping
from ..models.samplers.randomness import branch_keys
from .checks import check_fit, check_positions
from .errors import RewardError
from .model import LatentRewardHead
from .reader import RewardReader

# Equal thoughts may differ in their last bits where they stand in other rows of a batch.
_SAME = 1e-5


@dataclass(frozen=True, kw_only=True)
class Beam:
    """A beam that survived the search.

    Attributes:
        trajectory: what it thought and answered; `sample` is its rank.
        step_rewards: r_t of each thought; the beam's score is the sum.
    """

    trajectory: Trajectory
    step_rewards: tuple[float, ...]


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
        return _Search(model, reward_model, prompts[part], settings).beams()

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


@dataclass(kw_only=True)
class _Beam:
    """One beam or proposal.

    Attributes:
        question: which prompt.
        rewards: r_t so far.
        row: its row in the batch, or in the group where its thinking has ended.
        parent: beam that proposed it; -1 for one that ended earlier.
        thought: f32[D], the proposed thought; None where thinking has ended.
        group: number of the rows that it was set aside with; None while it thinks.
    """

    question: int
    rewards: list[float]
    row: int
    parent: int
    thought: NDArray[np.float32] | None = None
    group: int | None = None

    @property
    def score(self) -> float:
        total = sum(self.rewards)
        return total if np.isfinite(total) else -np.inf

    def equals(self, other: "_Beam") -> bool:
        """Whether both hold the same thoughts; those of different parents never do."""
        if self.parent != other.parent or self.parent < 0:
            return False
        if self.thought is None or other.thought is None:
            return self.thought is other.thought
        return bool(np.allclose(self.thought, other.thought, rtol=_SAME, atol=_SAME))


class _Search:
    """The rows of all beams of some prompts, in the batch or set aside."""

    def __init__(
        self,
        model: LatentBackbone,
        reward_model: LatentRewardHead,
        prompts: Sequence[Sequence[int]],
        settings: LatentSettings,
    ) -> None:
        self.model, self.settings, self.prompts = model, settings, prompts
        self.reader = RewardReader(reward_model, *pad_left(prompts, model.latent_tokens.pad))
        self.width, self.candidates = settings.beams or (1, 1)
        # Rows whose thinking has ended, with their thoughts.
        self.aside: list[Thought] = []

    def beams(self) -> list[list[Beam]]:
        """Return the surviving beams of every prompt, the best first."""
        with stepping(self.model, self.settings) as stepper:
            ended = self._think(stepper)
        chosen = [(beam.group or 0, beam.row) for beam in ended]
        answers = dict(answer(self.model, self.settings, self.aside, chosen))
        found: list[list[Beam]] = [[] for _ in self.prompts]
        for index, beam in enumerate(ended):
            found[beam.question].append(
                Beam(trajectory=answers[index], step_rewards=tuple(beam.rewards))
            )
        return found

    def _think(self, stepper: Stepper) -> list[_Beam]:
        """Return the last beams, question by question and the best first."""
        rows, parents, owners = self._begin(stepper)
        thoughts = rows.hidden.new_empty(len(rows), 0, rows.hidden.shape[1])
        ended: list[_Beam] = []
        for depth in range(self.settings.thought_limit + 1):
            step, _ = stepper.propose(rows)
            best = self._best(ended + self._proposals(step, parents, owners))
            ended = self._set_aside(best, rows, thoughts)
            parents = [beam for beam in best if beam.thought is not None]
            if not parents:
                break
            last = depth + 1 == self.settings.thought_limit
            shares = [1] * len(parents) if last else self._shares(parents, ended)
            owners = [number for number, share in enumerate(shares) for _ in range(share)]
            chosen = torch.tensor([parents[owner].row for owner in owners], device=rows.keys.device)
            # The reader holds the thinking rows only.
            self.reader.select((step.thinks.cumsum(dim=0) - 1)[chosen])
            rows, step = rows.select(chosen), step.select(chosen)
            thoughts = torch.cat((thoughts[chosen], step.inputs.unsqueeze(1)), dim=1)
            rows = replace(rows, keys=_keys_of_proposals(rows.keys, shares, depth + 1))
            rows = stepper.feed(rows, step)
        return ended

    def _begin(self, stepper: Stepper) -> tuple[Rows, list[_Beam], list[int]]:
        """Return the first rows, their parents, and the parent of each row.

        Before the first thought all beams of a question are equal: they have one parent.
        """
        keys = stepper.keys(self.prompts, range(self.width)).unsqueeze(-1)
        others = branch_keys(keys.squeeze(-1), 0, self.candidates)[..., 1:]
        keys = torch.cat((keys, others), dim=-1).flatten(1)
        rows = Rows.begin(*stepper.prefill(self.prompts, keys), keys)
        questions = torch.arange(len(self.prompts), device=keys.device)
        owners = questions.repeat_interleave(keys.shape[1])
        self.reader.select(owners)
        parents = [
            _Beam(question=number, rewards=[], row=number, parent=0)
            for number in range(len(self.prompts))
        ]
        return rows, parents, owners.tolist()

    def _proposals(self, step: Step, parents: list[_Beam], owners: list[int]) -> list[_Beam]:
        """Return what every row proposes, with its reward."""
        proposals = []
        for row, (owner, reward) in enumerate(zip(owners, self._score(step), strict=True)):
            parent = parents[owner]
            proposals.append(
                _Beam(
                    question=parent.question,
                    rewards=[*parent.rewards, *([] if reward is None else [reward])],
                    row=row,
                    parent=owner,
                    thought=None if reward is None else step.inputs[row].float().cpu().numpy(),
                )
            )
        return proposals

    def _shares(self, parents: list[_Beam], ended: list[_Beam]) -> list[int]:
        """Return how many thoughts each beam proposes next.

        Each proposes m. Where a question has fewer than k beams, because others were equal, those
        that still think share the proposals that are left over.
        """
        thinking = Counter(beam.question for beam in parents)
        done = Counter(beam.question for beam in ended)
        shares = []
        for question, count in thinking.items():
            budget = self.candidates * (self.width - done[question])
            shares += [budget // count + (number < budget % count) for number in range(count)]
        return shares

    def _score(self, step: Step) -> list[float | None]:
        """Return r_t of every row that proposes a thought; None for the others."""
        thinking = step.thinks.nonzero().squeeze(1)
        self.reader.select(thinking)
        rewards: list[float | None] = [None] * len(step.thinks)
        if len(thinking):
            found = self.reader.read(step.inputs[thinking].unsqueeze(1)).squeeze(1)
            for row, reward in zip(thinking.tolist(), found.tolist(), strict=True):
                rewards[row] = reward
        return rewards

    def _best(self, beams: list[_Beam]) -> list[_Beam]:
        """Return the best k different beams of every question."""
        different: dict[int, list[_Beam]] = {}
        for beam in beams:
            own = different.setdefault(beam.question, [])
            # The earliest of equal ones: their scores differ in last bits, which no batch may do.
            if not any(beam.equals(other) for other in own):
                own.append(beam)
        return [
            beam
            for _, own in sorted(different.items())
            for beam in sorted(own, key=lambda beam: -beam.score)[: self.width]
        ]

    def _set_aside(self, best: list[_Beam], rows: Rows, thoughts: torch.Tensor) -> list[_Beam]:
        """Copy the rows whose thinking has ended out of the batch; return all that have."""
        new = [beam for beam in best if beam.thought is None and beam.group is None]
        if new:
            chosen = torch.tensor([beam.row for beam in new], device=thoughts.device)
            for row, beam in enumerate(new):
                beam.row, beam.parent, beam.group = row, -1, len(self.aside)
            self.aside.append(Thought(rows.select(chosen), thoughts[chosen]))
        return [beam for beam in best if beam.thought is None]


def _keys_of_proposals(keys: torch.Tensor, shares: list[int], step: int) -> torch.Tensor:
    """Return the addresses i64[R] of rows that leave the beams at `keys` i64[R], so many each."""
    number = torch.cat([torch.arange(share, device=keys.device) for share in shares])
    others = branch_keys(keys, step, max(shares))
    return torch.where(number == 0, keys, others.gather(1, number.unsqueeze(1)).squeeze(1))
