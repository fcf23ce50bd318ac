"""Samples of one setting that are kept in memory, for several reward models in one program."""

from collections.abc import Sequence
from dataclasses import replace

from .kept import Finished

Prompt = tuple[int, ...]


class Remembered:
    """What `Kept` is to a store: where finished samples are taken from and added to.

    Thoughts stay in the precision of the model, so a sample is scored as if it was just drawn.
    """

    def __init__(self) -> None:
        """Begin with no samples."""
        self._samples: dict[Prompt, dict[int, Finished]] = {}
        self._rewards: dict[Prompt, dict[int, tuple[float, ...] | None]] = {}

    def for_another(self) -> "Remembered":
        """Return the same samples, present and coming, to be scored by another reward model."""
        other = Remembered()
        other._samples = self._samples
        return other

    def find(self, prompt: Sequence[int], count: int) -> list[Finished]:
        """Return those of a question's first samples that are there."""
        key = tuple(prompt)
        rewards = self._rewards.get(key, {})
        return [
            replace(one, step_rewards=rewards.get(sample))
            for sample, one in sorted(self._samples.get(key, {}).items())
            if sample < count
        ]

    def keep(self, prompt: Sequence[int], samples: Sequence[Finished]) -> None:
        """Keep samples of a question that were just drawn."""
        own = self._samples.setdefault(tuple(prompt), {})
        own |= {one.sample: replace(one, step_rewards=None) for one in samples}

    def keep_scores(self, prompt: Sequence[int], samples: Sequence[Finished]) -> None:
        """Keep the rewards of a question's samples."""
        own = self._rewards.setdefault(tuple(prompt), {})
        own |= {one.sample: one.step_rewards for one in samples}

    def find_beams(self, prompt: Sequence[int], beams: tuple[int, int]) -> list[Finished] | None:
        """Return that no beams are kept."""
        return None

    def keep_beams(
        self, prompt: Sequence[int], beams: tuple[int, int], found: Sequence[Finished]
    ) -> None:
        """Keep no beams: each is searched once."""
