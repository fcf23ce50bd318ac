"""When finished samples go into the store: with their question, and once a second without it."""

import time
from collections.abc import Mapping

from .kept import Kept
from .pools import Sampled

_SECONDS = 1.0  # of sampling that a killed run may repeat; a store is written no oftener for it


class Keeping:
    """Brings what was drawn into a store, where there is one.

    A question whose samples are done is kept at once. Those of long questions would be lost with
    a run that is killed meanwhile, so once a second all that is finished is kept.
    """

    def __init__(self, kept: Kept | None, *, seconds: float = _SECONDS) -> None:
        """Begin.

        Args:
            kept: where to; None for nowhere.
            seconds: between two times at which samples of unfinished questions are kept.
        """
        self._kept, self._seconds, self._last = kept, seconds, time.monotonic()
        self._counts: dict[int, int] = {}

    def heed(self, begun: Mapping[int, Sampled], question: int) -> bool:
        """Keep what is due after one more sample was drawn.

        Args:
            begun: the questions of which some samples are lacking, by index.
            question: whose sample it was.

        Returns:
            Whether the question lacks none any more.

        Raises:
            StoreError: it cannot be written.
        """
        own = begun[question]
        done = len(own.drawn) == own.lacks
        if self._kept is not None:
            if done:
                self._keep(self._kept, own)
                del self._counts[question]
            elif time.monotonic() - self._last >= self._seconds:
                for other in begun.values():
                    self._keep(self._kept, other)
                self._last = time.monotonic()
        return done

    def _keep(self, kept: Kept, own: Sampled) -> None:
        before = self._counts.get(own.index, 0)
        if len(own.drawn) > before:
            kept.keep(own.prompt, own.drawn[before:])
        self._counts[own.index] = len(own.drawn)
