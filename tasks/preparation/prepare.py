"""Sources in, training text out: equations, variants, no test questions, no copies."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from ..answers import canonical
from ..solved import Solved
from .contamination import Match, TestQuestions, masked, normalised, shipped_tests
from .equations import read_equation
from .search import search_steps
from .vary import vary

_APART = "a question set apart, with other numbers"


@dataclass(frozen=True)
class Source:
    """Where questions come from.

    Attributes:
        name: for the report.
        questions: in order.
        count: most of them that are used, chosen by the seed; None for all.
        variants: with other numbers, of each question.
    """

    name: str
    questions: Sequence[Solved]
    count: int | None = None
    variants: int = 0


@dataclass(frozen=True)
class Dropped:
    """A question that is left out, and why."""

    source: str
    question: str
    reason: str


@dataclass
class Prepared:
    """Training text and how it came about.

    Attributes:
        examples: in an order mixed by the seed.
        validation: set apart; no example is one of them with other numbers.
        dropped: what was left out.
        counts: of each source the questions read, kept for training, set apart, and variants.
    """

    examples: list[Solved] = field(default_factory=list)
    validation: list[Solved] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)


def prepare(
    sources: Iterable[Source],
    *,
    seed: int,
    most_steps: int | None = None,
    longest: int | None = None,
    validation: int = 0,
    excluded: Mapping[str, Iterable[str]] | None = None,
    tests: TestQuestions | None = None,
) -> Prepared:
    """Return training text made of some sources.

    Test questions are dropped, exact ones and those with other numbers; so are questions without
    steps that are equations, and copies. Every choice is drawn from the seed and the question
    alone, so that what one source gives does not depend on the others.

    Args:
        sources: in order; of two copies the first is kept.
        seed: of variants, choices and order.
        most_steps: of a question that is used; None for any number.
        longest: question that is used, in words; None for any length.
        validation: questions to set apart.
        excluded: questions by the name of their file, dropped as test questions are.
        tests: test questions; those of every benchmark by default.
    """
    every = (tests or shipped_tests(), TestQuestions.of(excluded or {}))
    made = Prepared()
    seen: set[str] = set()
    kept = list(_keep(made, sources, every, seen, seed, most_steps=most_steps, longest=longest))
    covers = sorted({masked(one.question) for _, one in kept}, key=lambda text: _draw(seed, text))
    apart = set(covers[:validation])
    taken: set[str] = set()
    for source, solved in kept:
        cover = masked(solved.question)
        if cover not in apart:
            made.examples.append(solved)
            _add_variants(made, source, solved, seed=seed, seen=seen)
            continue
        made.counts[source.name]["kept"] -= 1
        if cover in taken:
            made.dropped.append(Dropped(source.name, solved.question, _APART))
        else:
            taken.add(cover)
            made.counts[source.name]["set apart"] += 1
            made.validation.append(solved)
    made.examples.sort(key=lambda one: _rank(seed, one))
    return made


def _keep(
    made: Prepared,
    sources: Iterable[Source],
    tests: Sequence[TestQuestions],
    seen: set[str],
    seed: int,
    **limits: int | None,
) -> Iterator[tuple[Source, Solved]]:
    """Yield the questions that are used, with equations for steps; the others are noted."""
    for source in sources:
        counts = made.counts.setdefault(source.name, Counter())
        room = source.count
        order = sorted(source.questions, key=lambda one: _rank(seed, one))
        for question in order if room is not None else source.questions:
            if room is not None and counts["kept"] >= room:
                break
            counts["read"] += 1
            solved = _with_steps(question)
            match = next(filter(None, (one.find(question.question) for one in tests)), None)
            reason = _reason(solved, match, seen, **limits)
            if solved is None or reason:
                made.dropped.append(Dropped(source.name, question.question, reason or ""))
                continue
            seen.add(normalised(question.question))
            counts["kept"] += 1
            yield source, solved


def _with_steps(solved: Solved) -> Solved | None:
    """Return a question whose steps are equations; searched for where there are none."""
    steps = [step for one in solved.steps if (step := read_equation(one))]
    if steps and len(steps) == len(solved.steps):
        return Solved(question=solved.question, steps=tuple(map(str, steps)), answer=solved.answer)
    found = None if solved.steps else search_steps(solved.question, solved.answer)
    if found is None:
        return None
    return Solved(question=solved.question, steps=found, answer=solved.answer)


def _reason(
    solved: Solved | None,
    match: Match | None,
    seen: set[str],
    *,
    most_steps: int | None,
    longest: int | None,
) -> str | None:
    if match is not None:
        return f"test question: {match}"
    if solved is None:
        return "no equations"
    if not all(step and step.rounds for step in map(read_equation, solved.steps)):
        return "a step is wrong"
    if not _ends_in_answer(solved):
        return "the steps do not end in the answer"
    if most_steps is not None and len(solved.steps) > most_steps:
        return "too many steps"
    if longest is not None and len(solved.question.split()) > longest:
        return "too long"
    return "a copy" if normalised(solved.question) in seen else None


def _ends_in_answer(solved: Solved) -> bool:
    last = read_equation(solved.steps[-1])
    answer = canonical(solved.answer)
    return last is not None and answer is not None and Fraction(answer) == Fraction(last.right)


def _add_variants(
    made: Prepared, source: Source, solved: Solved, *, seed: int, seen: set[str]
) -> None:
    for number in range(source.variants):
        new = vary(solved, seed=seed, variant=number)
        if new is not None and normalised(new.question) not in seen:
            seen.add(normalised(new.question))
            made.counts[source.name]["varied"] += 1
            made.examples.append(new)


def _rank(seed: int, solved: Solved) -> float:
    return _draw(seed, solved.question)


def _draw(seed: int, text: str) -> float:
    return random.Random(f"{seed}/{text}").random()
