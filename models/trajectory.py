"""One finished row of the engine: the thoughts of a sample, and its answer."""

from dataclasses import dataclass

import torch

from .backbones.mixture import Mixture


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """What one sample of one question thought and answered.

    Attributes:
        question: index of the prompt among those that were given.
        sample: the sample's index among those of its question; with seed and prompt, the address of
            all of its random numbers.
        thoughts: f[T, D], the input embeddings that were fed as thoughts.
        answer_ids: tokens of the answer, the end-of-sequence token included where it came.
        truncated: whether the answer was cut off before its end.
        mixture: of which tokens each of the T thoughts was mixed, and with what weights; None where
            thoughts are no mixtures, and where some were given, as to completions and beams.
    """

    question: int
    sample: int
    thoughts: torch.Tensor
    answer_ids: tuple[int, ...]
    truncated: bool
    mixture: Mixture | None = None

    @property
    def text_ids(self) -> list[int]:
        """The answer's tokens without the end-of-sequence token."""
        return list(self.answer_ids if self.truncated else self.answer_ids[:-1])
