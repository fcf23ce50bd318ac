"""A store as it is used while sampling: what is there already, and what is added."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

import torch

from ..models import Trajectory
from ..models.identity import checkpoint_digest
from ..results.store import Beam, Sampled, Scored, Searched, Store, question_digest
from ..reward.model import LatentRewardHead

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finished:
    """A finished sample, drawn now or found in a store.

    Attributes:
        sample: its index.
        answer_ids: tokens of the answer.
        thoughts: how many.
        truncated: whether the answer was cut off before its end.
        states: f[T, D], the thoughts; None where the store does not keep them.
        step_rewards: of each thought, where a reward model has scored it.
    """

    sample: int
    answer_ids: tuple[int, ...]
    thoughts: int
    truncated: bool
    states: torch.Tensor | None = None
    step_rewards: tuple[float, ...] | None = None

    @classmethod
    def of(cls, trajectory: Trajectory) -> "Finished":
        """Return a sample that was just drawn."""
        return cls(
            trajectory.sample,
            trajectory.answer_ids,
            len(trajectory.thoughts),
            trajectory.truncated,
            trajectory.thoughts,
        )

    @property
    def text_ids(self) -> list[int]:
        """The answer's tokens without the end-of-sequence token."""
        return list(self.answer_ids if self.truncated else self.answer_ids[:-1])


class Kept:
    """Samples of one model under one setting, in a store.

    Attributes:
        store: where they lie.
    """

    def __init__(
        self,
        store: Store,
        *,
        keep_thoughts: bool,
        reward_model: LatentRewardHead | None,
        need_thoughts: bool = False,
    ) -> None:
        """Open it for a run.

        Args:
            store: of the model and the setting.
            keep_thoughts: whether to keep thoughts too, so that other reward models may score.
            reward_model: that of the run, if any; a sample without its reward or thoughts is none.
            need_thoughts: whether a sample without thoughts is none, scored or not.
        """
        self.store = store
        self._keep_thoughts, self._need_thoughts = keep_thoughts, need_thoughts
        self._scored = None if reward_model is None else checkpoint_digest(reward_model)

    def find(self, prompt: Sequence[int], count: int) -> list[Finished]:
        """Return those of a question's first samples that are there."""
        question = question_digest(prompt)
        scores: Mapping[int, tuple[float | None, ...]] = {}
        if self._scored is not None:
            scores = self.store.scores(question, self._scored)
        found = []
        for sample, row in sorted(self.store.samples(question).items()):
            own, states = scores.get(sample), None
            if sample >= count:
                continue
            if self._need_thoughts or (self._scored is not None and own is None):
                thoughts = self.store.thoughts(row)
                if thoughts is None:
                    continue
                states = torch.from_numpy(thoughts)
            rewards = None if own is None else _read(own)
            found.append(
                Finished(sample, row.answer_ids, row.thoughts, row.truncated, states, rewards)
            )
        return found

    def keep(self, prompt: Sequence[int], samples: Sequence[Finished]) -> None:
        """Keep samples of a question that were just drawn.

        Raises:
            StoreError: they cannot be written.
        """
        question = question_digest(prompt)
        rows = [
            Sampled(question, one.sample, one.thoughts, one.answer_ids, one.truncated)
            for one in samples
        ]
        if not self._keep_thoughts:
            self.store.append(rows)
            return
        half = [torch.as_tensor(one.states).half().cpu() for one in samples]
        fits = [bool(one.isfinite().all()) for one in half]
        if not all(fits):
            logger.warning(
                "Thoughts beyond the range of half precision (65504) are not kept in the store: "
                "their samples are drawn again where thoughts are needed."
            )
        self.store.append(list(compress(rows, fits)), [one.numpy() for one in compress(half, fits)])
        self.store.append([row for row, fit in zip(rows, fits, strict=True) if not fit])

    def keep_scores(self, prompt: Sequence[int], samples: Sequence[Finished]) -> None:
        """Keep the rewards of a question's samples.

        Raises:
            StoreError: they cannot be written.
        """
        if self._scored is None or not samples:
            return
        question = question_digest(prompt)
        self.store.append_scores(
            [Scored(question, one.sample, self._scored, _written(one)) for one in samples]
        )

    def find_beams(self, prompt: Sequence[int], beams: tuple[int, int]) -> list[Finished] | None:
        """Return the beams that a search of a question ended with; None if none has ended.

        Args:
            prompt: token ids.
            beams: how many, and how many candidates of each.
        """
        found = self.store.searched(question_digest(prompt), self._search(beams))
        if found is None:
            return None
        return [
            Finished(
                rank,
                one.answer_ids,
                one.thoughts,
                one.truncated,
                step_rewards=_read(one.step_rewards),
            )
            for rank, one in enumerate(found.beams)
        ]

    def keep_beams(
        self, prompt: Sequence[int], beams: tuple[int, int], found: Sequence[Finished]
    ) -> None:
        """Keep what a beam search of a question found.

        Raises:
            StoreError: it cannot be written.
        """
        rows = tuple(
            Beam(one.thoughts, one.answer_ids, one.truncated, _written(one)) for one in found
        )
        self.store.append_scores([Searched(question_digest(prompt), self._search(beams), rows)])

    def _search(self, beams: tuple[int, int]) -> str:
        return f"{beams[0]} of {beams[1]} by {self._scored}"


def _written(sample: Finished) -> tuple[float | None, ...]:
    return tuple(r if math.isfinite(r) else None for r in sample.step_rewards or ())


def _read(rewards: Sequence[float | None]) -> tuple[float, ...]:
    return tuple(math.nan if reward is None else reward for reward in rewards)
