"""The numbers of one question, all from its pool."""

from collections.abc import Sequence
from decimal import Decimal

from .aggregation import aggregate
from .answers import canonical, is_correct
from .errors import TaskError
from .estimators import coverage_at_n, pass_at_k, voting_at_k
from .pool import Pool
from .reward_estimators import best_of_n_at_k, scored, weighted_voting_at_k

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
    candidates = pool.candidates
    n = len(candidates)
    sizes = default_ks(n) if ks is None else tuple(sorted({*ks, n}))
    answers = [canonical(candidate.answer) for candidate in candidates]
    right = {a for a in answers if a is not None and is_correct(a, gold, tolerance=tolerance)}
    correct = [answer in right for answer in answers]
    c = sum(correct)
    voting = voting_at_k(answers, right=right, ks=sizes)
    metrics = {
        **{f"pass@{k}": pass_at_k(n=n, c=c, k=k) for k in sizes},
        f"coverage@{n}": coverage_at_n(n=n, c=c),
        **{f"voting@{k}": voting[k] for k in sizes},
        "unparsed": answers.count(None) / n,
        "truncated": sum(candidate.truncated for candidate in candidates) / n,
        "thoughts": sum(candidate.thoughts for candidate in candidates) / n,
        "answer_tokens": sum(candidate.answer_tokens for candidate in candidates) / n,
    }
    rewards = [candidate.reward for candidate in candidates]
    if any(reward is not None for reward in rewards):
        best = best_of_n_at_k(rewards, right=correct, ks=sizes)
        weighted = weighted_voting_at_k(answers, rewards, right=right, ks=sizes)
        metrics |= {f"best_of_n@{k}": best[k] for k in sizes}
        metrics |= {f"weighted_voting@{k}": weighted[k] for k in sizes}
        metrics["unscored"] = 1 - float(scored(rewards).mean())
    if pool.beams:
        beam = aggregate(pool, "beam_search")
        answer = canonical(beam.answer) if beam else None
        metrics["beam_search"] = float(is_correct(answer, gold, tolerance=tolerance))
    return metrics
