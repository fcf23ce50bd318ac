"""Does a run still hold what the baseline promised?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pandas as pd

from ..errors import ResultsError
from ..runs.align import judge, with_equal_pools
from ..runs.lenient import decode
from ..runs.pair import Pairing, label
from ..runs.record import Run
from ..runs.same import same_questions
from .drops import Drop, changed_answers, find_drops
from .table import plain

_SHOWN = 5  # changed answers in a report; more say no more


@dataclass(frozen=True)
class Finding:
    """What one part of a check says, as text, and whether it fails the check."""

    text: str
    failed: bool = False


class Speed(msgspec.Struct):
    """A speed ratio that was measured, and the least that is allowed."""

    ratio: float
    bound: float

    @property
    def failed(self) -> bool:
        """Whether the ratio is below its bound; one that is not a number is."""
        return not self.ratio >= self.bound


_SPEEDS = msgspec.json.Decoder(dict[str, Speed])


def check_runs(
    pairing: Pairing, *, alpha: float, max_changed: int = 0, partial: bool = False
) -> list[Finding]:
    """Hold new runs against their baselines: sampled ones by a test, others by their answers.

    Args:
        pairing: the new runs and those of the baseline.
        alpha: the false-alarm rate that is allowed.
        max_changed: answers of a deterministic run that may change.
        partial: whether runs of the baseline may be missing.

    Returns:
        The findings, in the order of a report.

    Raises:
        ResultsError: see `find_drops`.
    """
    missing = "not run" if partial else "not run, MISSING"
    found = [Finding(f"{label(run)}: {missing}", not partial) for run in pairing.missing]
    found += [
        Finding(f"{label(one.run)} ({one.run.name}): NOT CHECKED: {one.reason}.", True)
        for one in pairing.untested
    ]
    steady = [pair for pair in pairing.pairs if all(run.config.deterministic for run in pair)]
    found += _check_sampled([pair for pair in pairing.pairs if pair not in steady], alpha)
    for new, old in steady:
        found.append(_check_deterministic(new, old, max_changed=max_changed))
    return found


def check_ratios(file: Path) -> Finding:
    """Hold speed ratios against their bounds.

    Args:
        file: `{"name": {"ratio": 2.1, "bound": 1.5}, …}`, as the benchmarks write it.

    Raises:
        ResultsError: the file is not such JSON.
    """
    try:
        speeds = decode(file.read_bytes(), _SPEEDS)
    except (ValueError, RecursionError) as error:
        raise ResultsError(
            f"{file} holds no ratios ({error}). Expected "
            '{"name": {"ratio": 2.1, "bound": 1.5}}, as `tox -e bench` writes it.'
        ) from error
    if not speeds:
        raise ResultsError(f"{file} holds no ratios. Run `tox -e bench`.")
    rows = {
        name: {"ratio": s.ratio, "bound": s.bound, "": "SLOWER" if s.failed else "ok"}
        for name, s in speeds.items()
    }
    table = plain(pd.DataFrame.from_dict(rows, orient="index"), decimals=2)
    return Finding(table, any(speed.failed for speed in speeds.values()))


def _check_sampled(pairs: Sequence[tuple[Run, Run]], alpha: float) -> list[Finding]:
    tables, found = {}, []
    for new, old in pairs:
        try:
            now, before = with_equal_pools(_named(new, "run"), _named(old, "baseline"))
        except ResultsError as error:
            found.append(_not_checked(new, old, error))
            continue
        fewer, more = sorted(run.config.samples or 0 for run in (new, old))
        part = "" if fewer == more else f"; the first {fewer} of {more} candidates"
        name = f"{label(old)} ({len(now)} questions{part}; {new.name} against {old.name})"
        tables[name] = now, before
    drops = find_drops(tables, alpha=alpha)
    for run in tables:
        own = [drop for drop in drops if drop.run == run]
        found.append(Finding(f"{run}\n{_table(own, alpha)}", any(drop.failed for drop in own)))
    return found


def _check_deterministic(new: Run, old: Run, *, max_changed: int) -> Finding:
    try:
        now, before = judge(_named(new, "run")), judge(_named(old, "baseline"))
        same_questions(now.questions, before.questions, names=("the run", "the baseline"))
    except ResultsError as error:
        return _not_checked(new, old, error)
    changed = changed_answers(now, before)
    failed = len(changed) > max_changed
    lines = [
        f"{label(old)}: {len(changed)} of {old.questions} answers changed, {max_changed} may: "
        f"{'CHANGED' if failed else 'ok'}"
    ]
    lines += [f"  question {key}: now {one!r}, was {was!r}" for key, one, was in changed[:_SHOWN]]
    if len(changed) > _SHOWN:
        lines.append(f"  … and {len(changed) - _SHOWN} more")
    return Finding("\n".join(lines), failed)


def _named(run: Run, name: str) -> Run:
    return replace(run, name=f"the {name}")


def _not_checked(new: Run, old: Run, error: ResultsError) -> Finding:
    """Report a pair that cannot be checked, which must not keep others from being checked."""
    return Finding(f"{label(old)} ({new.name} against {old.name}): NOT CHECKED: {error}", True)


def _table(drops: Sequence[Drop], alpha: float) -> str:
    rows = {
        drop.metric: {
            "now": drop.new,
            "baseline": drop.old,
            "difference": drop.new - drop.old,
            "stderr": drop.stderr,
            "p": drop.p,
            "": f"DROPPED: p <= {alpha:g}" if drop.failed else "ok",
        }
        for drop in drops
    }
    return plain(pd.DataFrame.from_dict(rows, orient="index"))
