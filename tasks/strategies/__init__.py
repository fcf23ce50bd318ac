"""Every way to make one answer of N candidates, one file each, and the table of them."""

from collections.abc import Iterator

from ...registry import Registry, near
from ..errors import TaskError
from .beam_search import BeamSearch
from .best_of_n import BestOfN
from .first import First
from .protocol import Strategy
from .voting import Voting
from .weighted_voting import WeightedVoting

_ORACLES = ("pass", "coverage")
_TAKEN = frozenset({*_ORACLES, "unparsed", "truncated", "thoughts", "answer_tokens", "unscored"})


def _finish(name: str, thing: object) -> Strategy:
    """Return another package's strategy, an object of it where a class was named."""
    strategy = thing() if isinstance(thing, type) and issubclass(thing, Strategy) else thing
    if not isinstance(strategy, Strategy):
        raise TaskError(
            f"The strategy {name!r} of an installed package is {thing!r}, no Strategy. Mend that "
            "package, or uninstall it."
        )
    if strategy.name != name or not name.isidentifier() or name in _TAKEN:
        raise TaskError(
            f"The strategy {name!r} of an installed package calls itself {strategy.name!r}. Both "
            f"must be one identifier other than {', '.join(sorted(_TAKEN))}."
        )
    return strategy


_OWN: tuple[Strategy, ...] = (First(), Voting(), BestOfN(), WeightedVoting(), BeamSearch())

STRATEGIES: Registry[Strategy] = Registry(
    "latent_tts.strategies",
    what="strategy",
    error=TaskError,
    things={strategy.name: strategy for strategy in _OWN},
    check=_finish,
)
"""Every strategy by its name, those of other installed packages included."""


def find_strategy(name: str) -> Strategy:
    """Return the strategy that users call so.

    Args:
        name: a strategy's name or alias, or a metric of it, such as `voting@16`.

    Returns:
        The strategy.

    Raises:
        TaskError: there is none; `coverage@N` and `pass@k` for k > 1 presuppose the right answer.
    """
    found = next(_called(str(name)), None) or _of_metric(str(name))
    if found is not None:
        return found
    if str(name).partition("@")[0] in _ORACLES:
        raise TaskError(
            f"aggregation {name!r} would need to know the right answer, so no candidate can be "
            f"chosen by it. Choose one of {', '.join(STRATEGIES)}."
        )
    known = [*STRATEGIES, *(alias for each in STRATEGIES.values() for alias in each.aliases)]
    raise TaskError(
        f"no aggregation is called {name!r}; there are {', '.join(STRATEGIES)}.{near(name, known)}"
    )


def strategy_of(metric: str) -> tuple[Strategy, int | None] | None:
    """Return the strategy that a metric judges and its k, None where there is no k.

    Returns:
        None for metrics that judge no strategy, and for those of strategies not installed.
    """
    found = _of_metric(metric)
    k = metric.partition("@")[2]
    return None if found is None else (found, int(k) if k else None)


def _called(name: str) -> Iterator[Strategy]:
    if name in STRATEGIES:
        yield STRATEGIES[name]
    yield from (each for each in STRATEGIES.values() if name in each.aliases)


def _of_metric(metric: str) -> Strategy | None:
    k = metric.partition("@")[2]
    size = int(k) if k.isdecimal() else 1
    return next((each for each in STRATEGIES.values() if each.metric(size) == metric), None)
