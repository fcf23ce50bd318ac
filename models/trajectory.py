"""One finished row of the engine: the thoughts of a sample, and its answer."""

from dataclasses import dataclass

import torch


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
    """

    question: int
    sample: int
    thoughts: torch.Tensor
    answer_ids: tuple[int, ...]
    truncated: bool

    @property
    def text_ids(self) -> list[int]:
        """The answer's tokens without the end-of-sequence token."""
        return list(self.answer_ids if self.truncated else self.answer_ids[:-1])
