"""What a metric's name says: which strategy it judges, and with how many candidates."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ...registry import near
from ...tasks import LOWER_IS_BETTER, NEUTRAL, TaskError, find_strategy, strategy_of
from ..errors import ResultsError

_ORACLES = frozenset({"pass", "coverage"})  # they know the right answer, so they judge no strategy


class Judged(NamedTuple):
    """The strategy that a metric judges.

    Attributes:
        strategy: its name; that of a strategy which is not installed stands in the metric.
        k: candidates that it chose from; None where the metric does not say.
        has_k: whether the strategy is judged for several k.
    """

    strategy: str
    k: int | None
    has_k: bool


def judged_by(metric: str) -> Judged | None:
    """Return what a metric judges, None where that is no strategy, or one without k not known."""
    found = strategy_of(metric)
    if found is not None:
        return Judged(found[0].name, found[1], found[0].has_k)
    family, _, k = metric.partition("@")
    if k.isdecimal() and family not in _ORACLES:
        return Judged(family, int(k), True)
    return None


def is_accuracy(metric: str) -> bool:
    """Tell whether a metric says how many questions were answered right."""
    return metric not in NEUTRAL | LOWER_IS_BETTER


def largest_k(metrics: Iterable[str]) -> int:
    """Return the largest k that any metric speaks of, 1 where none does."""
    sizes = (name.rpartition("@")[2] for name in metrics if "@" in name)
    return max([1, *(int(size) for size in sizes if size.isdecimal())])


def find_metric(wanted: str, metrics: Sequence[str], *, where: str) -> str:
    """Return the metric that a user means.

    Args:
        wanted: a metric, or a strategy by its name or alias, with `@k` or with all candidates.
        metrics: that are known.
        where: whose they are, for the message.

    Raises:
        ResultsError: there is none.
    """
    if wanted in metrics:
        return wanted
    name, _, k = wanted.partition("@")
    try:
        strategy = find_strategy(name)
        found = strategy.metric(int(k) if k.isdecimal() else largest_k(metrics))
    except TaskError:
        # Coverage with k of N candidates is pass@k; `coverage@N` alone is logged by that name.
        found = f"pass@{k}" if name == "coverage" else wanted
    if found in metrics:
        return found
    raise ResultsError(
        f"{where} has no metric {wanted!r}; it has {', '.join(metrics)}.{near(wanted, metrics)}"
    )


def k_of(metric: str) -> tuple[int, ...]:
    """Return the k that a metric's name ends in, none where it ends in none."""
    k = metric.rpartition("@")[2] if "@" in metric else ""
    return (int(k),) if k.isdecimal() else ()


def strategies_at_most(metrics: Iterable[str]) -> dict[str, str]:
    """Return strategy -> its metric with the most candidates, in the metrics' order."""
    found: dict[str, tuple[int, str]] = {}
    for metric in metrics:
        judged = judged_by(metric)
        if judged is not None and (judged.k or 0) >= found.get(judged.strategy, (0, ""))[0]:
            found[judged.strategy] = judged.k or 0, metric
    return {strategy: metric for strategy, (_, metric) in found.items()}
