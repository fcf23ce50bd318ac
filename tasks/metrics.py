"""The numbers of one question, all from its pool."""

from collections.abc import Sequence
from decimal import Decimal

from .errors import TaskError
from .judges import find_judge
from .pools.estimators import coverage_at_n, pass_at_k
from .pools.judged import judge_pool
from .pools.pool import Pool, Stopped
from .strategies import STRATEGIES
from .strategies.protocol import is_number

NEUTRAL = frozenset({"thoughts", "answer_tokens", "samples"})
"""Metrics of which neither more nor less is better."""

LOWER_IS_BETTER = frozenset({"unparsed", "truncated", "unscored"})
"""Metrics of what went wrong."""


def default_ks(n: int) -> tuple[int, ...]:
    """Return the powers of two up to n, and n itself: 1, 2, 4, …, n.

    Args:
        n: candidates in the pool.

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
    """Judge the candidates of a question by its pool's judge.

    An answer that the judge cannot read, such as one that is no number, counts as unparsed and as
    wrong.

    Args:
        pool: the N candidates.
        gold: the right answer.
        ks: subset sizes for the metrics that have a k; N is added. None means `default_ks`.
        tolerance: the largest difference from gold, see `is_correct`, that counts as right.

    Returns:
        `pass@k` for every k and `coverage@N`; the metrics of each strategy that the pool holds
        enough for, such as `voting@k`, and `best_of_n@k` where candidates are scored; `unscored`,
        the share of scored candidates whose reward is no number; `unparsed`, unless outcomes alone
        are known, and `truncated`, shares of the candidates; `thoughts` and `answer_tokens`, means
        per candidate. Of a pool whose sampling stopped early see `_stopped_metrics`.

    Raises:
        TaskError: not 1 <= k <= N for some k, or gold cannot be judged.
    """
    judge = find_judge(pool.judge)
    if not judge.can_judge(gold):
        raise TaskError(
            f"the gold answer {gold!r} is not {judge.golds}, so no answer can be compared with it. "
            "Mend it, or choose another judge (number, text, math) in the task's metadata."
        )
    if pool.stop is not None:
        return _stopped_metrics(pool, pool.stop, gold, ks=ks, tolerance=tolerance)
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
    if judge.knows_answers:
        metrics["unparsed"] = sum(judge.key(one.answer) is None for one in candidates) / n
    return metrics | {
        "truncated": sum(candidate.truncated for candidate in candidates) / n,
        "thoughts": sum(candidate.thoughts for candidate in candidates) / n,
        "answer_tokens": sum(candidate.answer_tokens for candidate in candidates) / n,
    }


def _stopped_metrics(
    pool: Pool,
    stop: Stopped,
    gold: str,
    *,
    ks: Sequence[int] | None,
    tolerance: Decimal,
) -> dict[str, float]:
    """Return what is known of a question whose sampling ended where its vote was settled.

    Which samples there are depends on what they say, so pass@k, coverage and means over all of them
    would be biased. The first `least` samples are drawn whatever they say: of these there are all
    metrics but coverage, for k up to `least`.

    Returns:
        The metrics of the first samples; `voting@N`, the vote of all that were drawn, where N
        is how many might have been; `samples`, how many were drawn.
    """
    head = Pool(pool.candidates[: stop.least], question=pool.question, judge=pool.judge)
    size = len(head.candidates)
    sizes = default_ks(size) if ks is None else tuple(k for k in ks if k <= size)
    metrics = pool_metrics(head, gold, ks=sizes, tolerance=tolerance)
    metrics = {name: value for name, value in metrics.items() if not name.startswith("coverage@")}
    vote = STRATEGIES["voting"]
    right = judge_pool(pool, gold, tolerance=tolerance).is_right(vote.choose(pool))
    return metrics | {vote.metric(stop.most): float(right), "samples": len(pool.candidates)}
