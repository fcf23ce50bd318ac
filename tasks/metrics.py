"""The numbers of one question, all from its pool."""

from collections.abc import Sequence
from decimal import Decimal

from .answers import canonical
from .errors import TaskError
from .pools.estimators import coverage_at_n, pass_at_k
from .pools.judged import judge_pool
from .pools.pool import Pool
from .strategies import STRATEGIES
from .strategies.protocol import is_number

NEUTRAL = frozenset({"thoughts", "answer_tokens"})
"""Metrics of which neither more nor less is better."""

LOWER_IS_BETTER = frozenset({"unparsed", "truncated", "unscored"})
"""Metrics of what went wrong."""


def default_ks(n: int) -> tuple[int, ...]:
    """Returns the powers of two up to n, and n itself: 1, 2, 4, …, n.

    Args:
        n: Candidates in the pool.

    Returns:
        Subset sizes, ascending.

    Raises:
        TaskError: n < 1.
    """
    if n < 1:
        raise TaskError(f"n = {n} candidates; a pool has at least 1.")
    return tuple(sorted({1 << power for power in range(n.bit_length())} | {n}))


def pool_metrics(
    pool: Pool,
    gold: str,
    *,
    ks: Sequence[int] | None = None,
    tolerance: Decimal = Decimal(0),
) -> dict[str, float]:
    """Judges the candidates of a question whose answer is a number.

    Only numbers vote here: an answer that is none counts as unparsed and as wrong.

    Args:
        pool: The N candidates.
        gold: The right answer.
        ks: Subset sizes for the metrics that have a k; N is added. None means `default_ks`.
        tolerance: The largest absolute difference from gold that counts as right.

    Returns:
        `pass@k` and `voting@k` for every k, `coverage@N`; `unparsed` and `truncated`, shares of
        the candidates; `thoughts` and `answer_tokens`, means per candidate. Where candidates are
        scored, `best_of_n@k` and `weighted_voting@k` for every k, and `unscored`, the share whose
        reward is no number. Where there are beams, `beam_search`, whether the best is right.

    Raises:
        TaskError: Not 1 <= k <= N for some k, or gold is not a number.
    """
    if canonical(gold) is None:
        raise TaskError(
            f"the gold answer {gold!r} is not a number, so no answer can be compared with it. "
            "Give it as a plain decimal."
        )
    judged = judge_pool(pool, gold, tolerance=tolerance)
    n, c = len(judged.keys), sum(judged.correct)
    sizes = default_ks(n) if ks is None else tuple(sorted({*ks, n}))
    metrics = {f"pass@{k}": pass_at_k(n=n, c=c, k=k) for k in sizes}
    metrics[f"coverage@{n}"] = coverage_at_n(n=n, c=c)
    for strategy in STRATEGIES.values():
        if strategy.fits(pool):
            values = strategy.at_k(judged, sizes)
            metrics |= {strategy.metric(k): value for k, value in values.items()}
    if any(reward is not None for reward in judged.rewards):
        metrics["unscored"] = 1 - sum(map(is_number, judged.rewards)) / n
    candidates = pool.candidates
    return metrics | {
        "unparsed": sum(canonical(candidate.answer) is None for candidate in candidates) / n,
        "truncated": sum(candidate.truncated for candidate in candidates) / n,
        "thoughts": sum(candidate.thoughts for candidate in candidates) / n,
        "answer_tokens": sum(candidate.answer_tokens for candidate in candidates) / n,
    }
