"""Sentences about runs, each held against paired numbers, all together tested once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec
import pandas as pd
import yaml

from ...registry import near
from ..errors import ResultsError
from ..runs.align import QuestionTable, Side, judge
from ..runs.collect import runs_by_task
from ..runs.metrics import find_metric, k_of
from ..runs.record import Problem, Run
from ..runs.same import same_questions, same_version
from ..statistics import drop_p_value, holm
from .budget import equal_counts
from .compare import compare_metrics
from .comparison import Row

VERDICTS = {"holds": "holds", "opposite": "the opposite holds", "open": "not shown"}
"""What may come of a claim: p at most alpha in its direction, in the other, or larger."""


class One(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One side of a claim.

    Attributes:
        run: a name in the file's `runs`.
        metric: of it, or a strategy, see `find_metric`.
    """

    run: str
    metric: str


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sentence and the two numbers that it is about.

    Attributes:
        says: the sentence.
        a: one number.
        b: the other.
        expects: how a lies to b if the sentence is true.
        equal: `samples` or `flops`: both metrics are named without k, and their k are the largest
            by which both runs spend as much, see `equal_counts`.
        tasks: that it is tested on; all that both runs have if not given.
    """

    says: str
    a: One
    b: One
    expects: Literal["higher", "lower"] = "higher"
    equal: Literal["samples", "flops"] | None = None
    tasks: tuple[str, ...] = ()


class Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of claims.

    Attributes:
        runs: name -> folder of a run with its sample log, seen from the file.
        claims: that are tested together.
        title: of the page.
        about: Markdown, what the runs are; it stands above what came of the claims.
        board: names of the runs that the board and the curves show; all if not given.
        planes: names of the runs whose thoughts are drawn in a plane; all if not given.
    """

    runs: dict[str, str]
    claims: tuple[Claim, ...]
    title: str = "Claims, tested"
    about: str = ""
    board: tuple[str, ...] = ()
    planes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What came of a claim on a task.

    Attributes:
        claim: that was tested.
        task: it was tested on.
        row: both numbers and their paired difference.
        p: two-sided, adjusted for all tests of the file (Holm).
        verdict: of `VERDICTS`.
    """

    claim: Claim
    task: str
    row: Row
    p: float
    verdict: str


def read_claims(path: Path) -> Claims:
    """Read a file of claims.

    Raises:
        ResultsError: no YAML, or no claims in it; a claim names a run that the file does not.
    """
    try:
        found = msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), Claims)
    except (OSError, UnicodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise ResultsError(
            f"{path} is no file of claims: {error}. It needs `runs` (a name and a folder each) and "
            "`claims` (says, a and b with run and metric each)."
        ) from error
    if not found.claims:
        raise ResultsError(f"{path} makes no claim.")
    named = {repr(claim.says): (claim.a.run, claim.b.run) for claim in found.claims}
    for where, names in (*named.items(), ("board", found.board), ("planes", found.planes)):
        for name in names:
            if name not in found.runs:
                raise ResultsError(
                    f"{path}: {where} names the run {name!r}; the file has "
                    f"{', '.join(found.runs)}.{near(name, list(found.runs))}"
                )
    return found


def find_runs(claims: Claims, folder: Path) -> tuple[dict[str, Mapping[str, Run]], list[Problem]]:
    """Return the runs that a file names, by name and task, and what is not used of them.

    Args:
        claims: that name them.
        folder: that their folders are seen from.

    Raises:
        ResultsError: a folder holds no run, or several of a task.
    """
    found: dict[str, Mapping[str, Run]] = {}
    problems: list[Problem] = []
    for name, where in claims.runs.items():
        found[name], bad = runs_by_task(folder / where)
        problems += bad
    return found, problems


def judge_claims(
    claims: Sequence[Claim], runs: Mapping[str, Mapping[str, Run]], *, alpha: float = 0.05
) -> list[Finding]:
    """Test all claims on all their tasks.

    Every test is exact and paired by question (`drop_p_value`, both ways), and all of them are
    adjusted together, so that a file of claims that are all untrue says `holds` of any with a
    probability of at most alpha.

    Args:
        claims: to test.
        runs: by name and task.
        alpha: largest adjusted p of what is shown.

    Raises:
        ResultsError: runs that share no task or cannot be paired, or a metric that is not there.
    """
    if not 0 < alpha < 1:
        raise ResultsError(f"alpha={alpha!r}; it must lie between 0 and 1, as 0.05 does.")
    tests = [
        (_counted(claim, task, runs), task) for claim in claims for task in _tasks(claim, runs)
    ]
    judged, p_values = _Judged(tests, runs), []
    rows: list[Row] = []
    for claim, task in tests:
        sides = judged.sides(claim, task)
        rows += compare_metrics(sides, claim.a.metric, claim.b.metric).metrics
        first = _values(sides[0], claim.a.metric)
        second = _values(sides[-1], claim.b.metric)
        p_values.append(min(1.0, 2 * min(drop_p_value(first, second), drop_p_value(second, first))))
    return [
        Finding(claim=claim, task=task, row=row, p=p, verdict=_verdict(claim, row, p <= alpha))
        for (claim, task), row, p in zip(tests, rows, holm(p_values), strict=True)
    ]


def _tasks(claim: Claim, runs: Mapping[str, Mapping[str, Run]]) -> list[str]:
    own, other = runs[claim.a.run], runs[claim.b.run]
    shared = [task for task in own if task in other]
    wanted = list(claim.tasks) or shared
    if missing := [task for task in wanted if task not in shared]:
        raise ResultsError(
            f"{claim.says!r}: {claim.a.run} and {claim.b.run} have not both run "
            f"{', '.join(missing)}; they share {', '.join(shared) or 'no task'}."
        )
    if not wanted:
        raise ResultsError(f"{claim.says!r}: {claim.a.run} and {claim.b.run} share no task.")
    return wanted


def _counted(claim: Claim, task: str, runs: Mapping[str, Mapping[str, Run]]) -> Claim:
    """Return a claim whose metrics have the k at which both sides spend as much."""
    if claim.equal is None:
        return claim
    sides = (claim.a, claim.b)
    for one in sides:
        if "@" in one.metric:
            raise ResultsError(
                f"{claim.says!r}: {one.metric} with equal: {claim.equal}. Name the metric without "
                "@k, such as voting or pass: the k follow from what both runs spend."
            )
    counts = equal_counts(runs[claim.a.run][task], runs[claim.b.run][task], by=claim.equal)
    a, b = (
        msgspec.structs.replace(one, metric=f"{one.metric}@{k}")
        for one, k in zip(sides, counts, strict=True)
    )
    return msgspec.structs.replace(claim, a=a, b=b)


class _Judged:
    """The runs of a file of claims question by question, each log read once."""

    def __init__(
        self, tests: Sequence[tuple[Claim, str]], runs: Mapping[str, Mapping[str, Run]]
    ) -> None:
        self._runs = runs
        self._ks: dict[tuple[str, str], set[int]] = {}
        for claim, task in tests:
            for one in (claim.a, claim.b):
                self._ks.setdefault((one.run, task), set()).update(k_of(one.metric))
        self._tables: dict[tuple[str, str], QuestionTable] = {}

    def sides(self, claim: Claim, task: str) -> list[Side]:
        """Return the one or two sides of a claim, paired."""
        names = list(dict.fromkeys((claim.a.run, claim.b.run)))
        members = [self._runs[name][task] for name in names]
        tables = [self._table(name, task) for name in names]
        same_version(members)
        same_questions(tables[0].questions, tables[-1].questions, names=(names[0], names[-1]))
        order = tables[0].metrics.index
        return [
            Side(name, (run,), (table.metrics.loc[order],))
            for name, run, table in zip(names, members, tables, strict=True)
        ]

    def _table(self, name: str, task: str) -> QuestionTable:
        if (name, task) not in self._tables:
            run = replace(self._runs[name][task], name=name)
            self._tables[name, task] = judge(run, ks=sorted(self._ks[name, task]))
        return self._tables[name, task]


def _values(side: Side, wanted: str) -> pd.Series:
    table = side.means
    return table[find_metric(wanted, list(map(str, table)), where=side.name)]


def _verdict(claim: Claim, row: Row, shown: bool) -> str:
    if not shown:
        return "open"
    above = row.paired.difference > 0
    return "holds" if above == (claim.expects == "higher") else "opposite"
