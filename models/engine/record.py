"""What rows produce, in buffers that hold it until they are done."""

from collections.abc import Sequence

import torch

from ..backbones.mixture import Mixture
from ..backbones.protocol import LatentBackbone
from ..settings import LatentSettings

_FIRST_THOUGHTS = 64  # for which there is room to begin with: many may be allowed, and few needed


class Record:
    """What rows produce, at an index for each row, which is given to another when it is done."""

    def __init__(self, model: LatentBackbone, settings: LatentSettings) -> None:
        """Begin empty.

        Args:
            model: says size, precision and device.
            settings: most thoughts.
        """
        size = model.config.get_text_config().hidden_size
        self._most = settings.thought_limit
        length = min(self._most, _FIRST_THOUGHTS)
        self._thoughts = torch.zeros((0, length, size), dtype=model.dtype, device=model.device)
        # Of mixtures f[R, T, K]: what each thought is made of.
        self._mixtures: Mixture | None = None
        if settings.mixing is not None:
            shape = (0, length, settings.mixing.mixture_size)
            log_probs = torch.zeros(shape, device=model.device)
            self._mixtures = Mixture(log_probs.long(), log_probs)
        self._answers: list[list[int]] = []
        self._free: list[int] = []

    def take(self, count: int) -> list[int]:
        """Return free indices; the buffer grows when something is written at them."""
        lacking = count - len(self._free)
        if lacking > 0:
            old = len(self._answers)
            more = max(lacking, old)  # twice as many, so that few growths are enough
            self._answers += [[] for _ in range(more)]
            self._free = [*range(old + more - 1, old - 1, -1), *self._free]
        taken = [self._free.pop() for _ in range(count)]
        for index in taken:
            self._answers[index] = []
        return taken

    def fill(self, index: torch.Tensor, thoughts: torch.Tensor) -> None:
        """Write the thoughts f[R, t, D] that rows at `index` i64[R] begin with."""
        self._grow(thoughts.shape[1])
        self._thoughts[index, : thoughts.shape[1]] = thoughts.to(self._thoughts.dtype)

    def write(
        self,
        index: torch.Tensor,
        thoughts: torch.Tensor,
        inputs: torch.Tensor,
        mixture: Mixture | None = None,
        *,
        longest: int,
    ) -> None:
        """Write the next thoughts f[R, D] of rows at `index` i64[R] that have read `thoughts`.

        The host knows that each has read `longest` at most.
        """
        self._grow(longest + 1)
        self._thoughts[index, thoughts] = inputs.to(self._thoughts.dtype)
        if self._mixtures is not None and mixture is not None:
            self._mixtures.ids[index, thoughts] = mixture.ids
            self._mixtures.log_probs[index, thoughts] = mixture.log_probs

    def answer(self, index: int, token: int) -> None:
        """Append a token to a row's answer."""
        self._answers[index].append(token)

    def read(self, index: int, thoughts: int) -> tuple[torch.Tensor, Mixture | None, list[int]]:
        """Return a copy of a row's first thoughts, so many, f[T, D], and its answer.

        Between them stands what the thoughts were mixed of, where they are mixtures.
        """
        self._grow()
        mixture = None
        if self._mixtures is not None:
            mixture = Mixture(
                self._mixtures.ids[index, :thoughts].clone(),
                self._mixtures.log_probs[index, :thoughts].clone(),
            )
        return self._thoughts[index, :thoughts].clone(), mixture, self._answers[index]

    def give_back(self, index: Sequence[int]) -> None:
        """Let others have these indices."""
        self._free.extend(reversed(index))

    def _grow(self, length: int = 0) -> None:
        """Make room for all rows, and for so many thoughts of each."""
        rows, own = len(self._answers), self._thoughts.shape[1]
        length = own if length <= own else min(self._most, max(length, 2 * own))
        if (rows, length) != self._thoughts.shape[:2]:
            self._thoughts = _larger(self._thoughts, rows, length)
            if self._mixtures is not None:
                self._mixtures = Mixture(
                    _larger(self._mixtures.ids, rows, length),
                    _larger(self._mixtures.log_probs, rows, length),
                )


def _larger(buffer: torch.Tensor, rows: int, length: int) -> torch.Tensor:
    """Return a buffer of so many rows and thoughts that begins with what another holds."""
    larger = buffer.new_zeros((rows, length, buffer.shape[2]))
    larger[: buffer.shape[0], : buffer.shape[1]] = buffer
    return larger
