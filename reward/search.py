"""The rows of beams: proposed, scored, selected, fed, and set aside where their thinking ends."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ..models import LatentBackbone, LatentSettings, Trajectory
from ..models.engine.continued import Thought, answer
from ..models.engine.fed import Step
from ..models.engine.prompts import pad_left
from ..models.engine.rows import Rows
from ..models.engine.step import Stepper, stepping
from ..models.samplers.randomness import branch_keys
from .model import LatentRewardHead
from .proposals import Proposal, keys_of_proposals, select_best, share_out
from .reader import RewardReader


@dataclass(frozen=True, kw_only=True)
class Beam:
    """A beam that survived the search.

    Attributes:
        trajectory: what it thought and answered; `sample` is its rank.
        step_rewards: r_t of each thought; the beam's score is the sum.
    """

    trajectory: Trajectory
    step_rewards: tuple[float, ...]


class Search:
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

    def _think(self, stepper: Stepper) -> list[Proposal]:
        """Return the last beams, question by question and the best first."""
        rows, parents, owners = self._begin(stepper)
        thoughts = rows.hidden.new_empty(len(rows), 0, rows.hidden.shape[1])
        ended: list[Proposal] = []
        for depth in range(self.settings.thought_limit + 1):
            step, _ = stepper.propose(rows)
            best = select_best(ended + self._proposals(step, parents, owners), self.width)
            ended = self._set_aside(best, rows, thoughts)
            parents = [beam for beam in best if beam.thought is not None]
            if not parents:
                break
            last = depth + 1 == self.settings.thought_limit
            shares = [1] * len(parents)
            if not last:
                shares = share_out(parents, ended, width=self.width, candidates=self.candidates)
            owners = [number for number, share in enumerate(shares) for _ in range(share)]
            chosen = torch.tensor([parents[owner].row for owner in owners], device=rows.keys.device)
            # The reader holds the thinking rows only.
            self.reader.select((step.thinks.cumsum(dim=0) - 1)[chosen])
            rows, step = rows.select(chosen), step.select(chosen)
            thoughts = torch.cat((thoughts[chosen], step.inputs.unsqueeze(1)), dim=1)
            rows = replace(rows, keys=keys_of_proposals(rows.keys, shares, depth + 1))
            rows = stepper.feed(rows, step)
        return ended

    def _begin(self, stepper: Stepper) -> tuple[Rows, list[Proposal], list[int]]:
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
            Proposal(question=number, rewards=[], row=number, parent=0)
            for number in range(len(self.prompts))
        ]
        return rows, parents, owners.tolist()

    def _proposals(self, step: Step, parents: list[Proposal], owners: list[int]) -> list[Proposal]:
        """Return what every row proposes, with its reward."""
        proposals = []
        for row, (owner, reward) in enumerate(zip(owners, self._score(step), strict=True)):
            parent = parents[owner]
            proposals.append(
                Proposal(
                    question=parent.question,
                    rewards=[*parent.rewards, *([] if reward is None else [reward])],
                    row=row,
                    parent=owner,
                    thought=None if reward is None else step.inputs[row].float().cpu().numpy(),
                )
            )
        return proposals

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

    def _set_aside(
        self, best: list[Proposal], rows: Rows, thoughts: torch.Tensor
    ) -> list[Proposal]:
        """Copy the rows whose thinking has ended out of the batch; return all that have."""
        new = [beam for beam in best if beam.thought is None and beam.group is None]
        if new:
            chosen = torch.tensor([beam.row for beam in new], device=thoughts.device)
            for row, beam in enumerate(new):
                beam.row, beam.parent, beam.group = row, -1, len(self.aside)
            self.aside.append(Thought(rows.select(chosen), thoughts[chosen]))
        return [beam for beam in best if beam.thought is None]
