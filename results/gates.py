"""The tests behind `latent-tts check`, each tolerant of nothing but chance."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..tasks import vote_key
from .errors import ResultsError
from .falls import fall_p_value, holm
from .judged import NOT_ACCURACY
from .samples import RunSamples

_SCALARS = ("beam_search",)
_AT_LARGEST_K = ("voting", "best_of_n", "weighted_voting")


@dataclass(frozen=True)
class Fall:
    """Whether one metric of one run fell beyond chance.

    Attributes:
        run: task and settings, for the report.
        metric: that was tested.
        new: its mean over questions now.
        old: the baseline's.
        stderr: standard error of new - old over questions, paired.
        p: one-sided, adjusted for all tests of the check (Holm).
        failed: whether p is at most alpha.
    """

    run: str
    metric: str
    new: float
    old: float
    stderr: float
    p: float
    failed: bool


@dataclass(frozen=True)
class Speed:
    """Whether a speed ratio holds its bound.

    Attributes:
        name: of the benchmark.
        ratio: that was measured.
        bound: the least that is allowed.
    """

    name: str
    ratio: float
    bound: float

    @property
    def failed(self) -> bool:
        """Whether the ratio is below its bound; one that is not a number is."""
        return not self.ratio >= self.bound


def gated_metrics(new: pd.DataFrame, old: pd.DataFrame) -> list[str]:
    """Return the accuracies that a check tests, of those that both sides have.

    They are `pass@1`, the votes and choices among the most candidates that both have, and beam
    search. Every further test would cost the others power, so coverage, which says what could be
    chosen, and smaller k are left to `latent-tts compare`.
    """
    shared = [str(name) for name in old if name in new and name not in NOT_ACCURACY]
    chosen = [name for name in ("pass@1", *_SCALARS) if name in shared]
    for family in _AT_LARGEST_K:
        ks = [int(name.partition("@")[2]) for name in shared if name.startswith(f"{family}@")]
        if ks and (max(ks) > 1 or not chosen):
            chosen.append(f"{family}@{max(ks)}")
    return chosen


def find_falls(
    pairs: Mapping[str, tuple[pd.DataFrame, pd.DataFrame]], *, alpha: float
) -> list[Fall]:
    """Test whether accuracies fell, so that all tests together rarely cry wolf.

    A new seed makes each question's difference as likely as its negative, which the one-sided
    paired test takes as its null hypothesis. Holm's adjustment over all metrics of all runs keeps
    the chance that an unchanged model fails at alpha or less.

    Args:
        pairs: run -> its table now and the baseline's, a row a question, a column a metric.
        alpha: the false-alarm rate that is allowed.

    Returns:
        A finding for each metric of each run.

    Raises:
        ResultsError: alpha is not between 0 and 1, or a pair has fewer than two questions or no
            accuracy in common.
    """
    if not 0 < alpha < 1:
        raise ResultsError(f"alpha={alpha!r}; it must lie between 0 and 1, as 0.01 does.")
    tests = [
        (run, metric, new[metric], old[metric])
        for run, (new, old) in pairs.items()
        for metric in gated_metrics(new, old)
    ]
    untested = pairs.keys() - {run for run, *_ in tests}
    if untested:
        raise ResultsError(
            f"{', '.join(sorted(untested))}: no accuracy such as pass@1 is known of both sides, so "
            "nothing can be tested. Run again."
        )
    p_values = holm([fall_p_value(new, old) for _, _, new, old in tests])
    return [
        Fall(
            run=run,
            metric=metric,
            new=float(new.mean()),
            old=float(old.mean()),
            stderr=float((new - old).sem()),
            p=p,
            failed=p <= alpha,
        )
        for (run, metric, new, old), p in zip(tests, p_values, strict=True)
    ]


def changed_answers(new: RunSamples, old: RunSamples) -> list[tuple[str, str | None, str | None]]:
    """Return the questions whose answers differ, with the answer now and the baseline's.

    Equal numbers are one answer, however they are written.
    """
    answers = {
        question.id: pool.candidates[0].answer
        for question, pool in zip(new.questions, new.pools, strict=True)
    }
    changed = []
    for question, pool in zip(old.questions, old.pools, strict=True):
        # Candidates of a deterministic run are all the same: the first is the answer.
        before, now = pool.candidates[0].answer, answers[question.id]
        if vote_key(before) != vote_key(now):
            changed.append((question.id, now, before))
    return changed


def read_ratios(file: Path) -> list[Speed]:
    """Read `{"name": {"ratio": 2.1, "bound": 1.5}, …}`, as the benchmarks write it.

    Raises:
        ResultsError: the file is not such JSON.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        ratios = [
            Speed(str(name), float(entry["ratio"]), float(entry["bound"]))
            for name, entry in content.items()
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResultsError(
            f"{file} holds no ratios ({error!r}). Expected "
            '{"name": {"ratio": 2.1, "bound": 1.5}}, as `tox -e bench` writes it.'
        ) from error
    if not ratios:
        raise ResultsError(f"{file} holds no ratios. Run `tox -e bench`.")
    return ratios
