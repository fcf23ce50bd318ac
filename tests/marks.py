"""Which cases of a grid run while one works."""

from collections.abc import Iterable
from typing import Any

import pytest


def slow_but(cases: Iterable[Any], *quick: Any) -> list[Any]:
    """Cases to parametrize by, all marked slow but some.

    Args:
        cases: values, or tuples of them where there are several names.
        *quick: those of `cases` that are not.
    """
    cases = list(cases)
    assert all(case in cases for case in quick), "a quick case that is none"
    return [
        pytest.param(
            *(case if isinstance(case, tuple) else (case,)),
            marks=() if case in quick else pytest.mark.slow,
        )
        for case in cases
    ]


def nightly_but(cases: Iterable[Any], *quick: Any) -> list[Any]:
    """Cases to parametrize by, all marked nightly but some; see `slow_but`."""
    cases = list(cases)
    assert all(case in cases for case in quick), "a quick case that is none"
    return [
        pytest.param(case, marks=() if case in quick else pytest.mark.nightly) for case in cases
    ]
