"""Optimal Bayesian stopping: the posterior of the most probable answer, given what is usual."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from .aggregated import Posterior
from .priors import DEFAULT_SHAPES, read_shapes
from .protocol import Keys, Rewards, StoppingRule, check_share, counts_of

_AHEAD = 4  # samples for which all continuations are looked at
Told = tuple[int, int, int]  # votes for the leading answer, for the second one, and all


@dataclass(frozen=True)
class Bayes(StoppingRule):
    """Stop when the leading answer is the mode of the model's answers with enough probability.

    The prior says how answers are usually distributed: some shapes, equally probable, each the
    probabilities of a question's answers in descending order. Samples without an answer are spent
    and not counted.

    Attributes:
        threshold: posterior probability at which to stop, see `aggregated`.
        prior: file of the shapes, as `latent-tts adaptive --write-prior` makes it; None for
            `DEFAULT_SHAPES`.
    """

    name: ClassVar[str] = "bayes"
    source: ClassVar[str] = "arXiv 2602.05395"

    threshold: float = 0.95
    prior: str | None = None
    _posterior: Posterior = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the parameters, and read the prior."""
        check_share("threshold", self.threshold, self.name)
        shapes = DEFAULT_SHAPES if self.prior is None else read_shapes(Path(self.prior))
        object.__setattr__(self, "_posterior", Posterior(shapes))

    def settled(self, keys: Keys, rewards: Rewards) -> bool:
        """Tell whether the leading answer is probable enough."""
        return self._enough(_told(keys))

    def wait(self, keys: Keys) -> int:
        """Return after how many samples some continuation settles the question, 5 at most."""
        reached = {_told(keys)}
        for more in range(1, _AHEAD + 1):
            reached = {after for told in reached for after in _after(*told)}
            if any(map(self._enough, sorted(reached))):
                return more
        return _AHEAD + 1

    def _enough(self, told: Told) -> bool:
        return self._posterior.of(*told) >= self.threshold


def _told(keys: Keys) -> Told:
    first, second, *rest = [*counts_of(keys), 0, 0]
    return first, second, first + second + sum(rest)


def _after(first: int, second: int, total: int) -> Iterator[Told]:
    """Yield what one more vote may make of the counts."""
    yield first + 1, second, total + 1
    if second < first:
        yield first, second + 1, total + 1
    if second:  # for a third answer, given less often
        yield first, second, total + 1
