"""What a stopping rule is: after how many samples the answer to a question is settled."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

from ..errors import TaskError
from ..pools.pool import Candidate, Pool
from ..strategies.protocol import Strategy
from ..strategies.voting import Voting

Keys = Sequence[str | None]
Rewards = Sequence[float | None]

_VOTE = Voting()


@dataclass(frozen=True)
class StoppingRule(ABC):
    """A way to tell, from a question's first samples in order, that no more are needed.

    A rule is frozen; its fields are its parameters. It sees what each candidate votes for (None for
    no vote) and its reward, never the right answer. A subclass gives `name`, `source` and
    `settled`; `wait` too where it is known that some further samples cannot settle the question.

    Attributes:
        name: what users choose it by.
        source: the paper.
        strategy: how the samples that were drawn become one answer; the vote unless said.
        needs: what candidates must have: "rewards", or nothing.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    strategy: ClassVar[Strategy] = _VOTE
    needs: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def settled(self, keys: Keys, rewards: Rewards) -> bool:
        """Tell whether sampling stops after these, the first samples of a question.

        Args:
            keys: what each votes for; None for no vote.
            rewards: of each; None where there is none.
        """

    def wait(self, keys: Keys) -> int:
        """Return how many further samples must come before the question can be settled.

        A lower bound, at least 1: so many are drawn together without one in vain. With no samples
        yet it is how many are drawn of every question.
        """
        return 1

    def choose(self, pool: Pool) -> Candidate | None:
        """Return the candidate that is the answer of the samples that were drawn."""
        return self.strategy.choose(pool)

    @property
    def least(self) -> int:
        """Samples that are drawn of every question, whatever they say."""
        return self.wait(())

    def __str__(self) -> str:
        """Return the rule as users write it."""
        given = {field.name: getattr(self, field.name) for field in fields(self) if field.init}
        own = ",".join(f"{name}={value}" for name, value in given.items() if value is not None)
        return f"{self.name}:{own}" if own else self.name


def next_look(rule: StoppingRule, pool: Pool | None, *, most: int) -> int | None:
    """Return how many samples of a question are to be there when it is looked at again.

    Args:
        rule: when to stop.
        pool: its first samples; None where there are none yet.
        most: samples that may be spent on it.

    Returns:
        A number above that of the pool's candidates, None where the question is settled.
    """
    if pool is None:
        return min(most, rule.least)
    there, keys = len(pool.candidates), pool.keys
    if there >= most or rule.settled(keys, [one.reward for one in pool.candidates]):
        return None
    return min(most, there + rule.wait(keys))


def spent(rule: StoppingRule, pool: Pool, *, most: int) -> int:
    """Return after how many of a question's samples, in order, it is settled; else `most`.

    Raises:
        TaskError: the pool has fewer candidates than may be spent, or lacks what the rule needs.
    """
    if not 1 <= most <= len(pool.candidates):
        raise TaskError(
            f"max = {most} samples cannot be replayed from a pool of {len(pool.candidates)}. Ask "
            "for fewer, or sample more."
        )
    if "rewards" in rule.needs and all(one.reward is None for one in pool.candidates):
        raise TaskError(
            f"{rule.name} needs rewards, and no candidate of the pool has one. Score the run first "
            "(latent-tts score RUN --reward-model M), or choose another rule."
        )
    count = next_look(rule, None, most=most)
    while count is not None:
        there = count
        count = next_look(rule, first_of(pool, there), most=most)
    return there


def first_of(pool: Pool, count: int) -> Pool:
    """Return the pool of a question's first candidates, without beams."""
    return Pool(pool.candidates[:count], question=pool.question, judge=pool.judge)


def counts_of(keys: Keys) -> list[int]:
    """Return how often each answer was given, the most frequent first."""
    return sorted(Counter(key for key in keys if key is not None).values(), reverse=True)


def check_share(name: str, value: float, rule: str) -> None:
    """Raise TaskError for a threshold that is no probability below 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise TaskError(f"{rule}: {name}={value!r}; allowed are numbers between 0 and 1.")


def check_count(name: str, value: int, rule: str, *, least: int) -> None:
    """Raise TaskError for what is no whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise TaskError(f"{rule}: {name}={value!r}; allowed are whole numbers of at least {least}.")
