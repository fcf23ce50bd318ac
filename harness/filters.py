"""lm-eval filters that turn the responses to a question into one answer text.

A response may be a pool as JSON or plain text, and all responses to a question (`repeats`) vote
together. Each question gets a list of one text, as from lm-eval's `majority_vote`, so that further
filters can follow; `take_first` comes last:

    filter_list:
      - name: voting
        filter:
          - function: latent_tts_voting
          - function: take_first
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, ClassVar

from lm_eval.api.filter import Filter

from ..tasks import STRATEGIES, Strategy, TaskError, join_pools, read_response


class StrategyFilter(Filter):
    """Keeps what a strategy picks of each question's candidates; subclasses name the strategy."""

    strategy: ClassVar[Strategy]

    def __init__(self, regex: str | None = None) -> None:
        """Prepare the reading of plain text.

        Args:
            regex: where the answer stands in plain text: the first match, of it the first group
                that matched. Without it the answer is the last number. Pools hold their answers.

        Raises:
            TaskError: the expression is malformed.
        """
        try:
            self.pattern = None if regex is None else re.compile(regex)
        except (re.error, TypeError) as error:
            raise TaskError(
                f"regex {regex!r} is not a regular expression: {error}. Mind that YAML needs "
                "single quotes around backslashes."
            ) from error

    def apply(
        self, resps: Iterable[Sequence[str]], docs: Sequence[dict[str, Any]] | None = None
    ) -> list[list[str]]:
        """Choose among each question's responses.

        Args:
            resps: the responses to each question.
            docs: the questions' rows, not used.

        Returns:
            For each question a list of one text: the chosen candidate's, or the empty text where
            no candidate can be chosen.
        """
        questions = [list(responses) for responses in resps]
        # Several processes pad the last question with copies, which must not vote.
        repeats = min(map(len, questions), default=0)
        return [[self._choose(responses[:repeats])] for responses in questions]

    def _choose(self, responses: list[str]) -> str:
        pool = join_pools([read_response(r, pattern=self.pattern) for r in responses])
        candidate = self.strategy.pick(pool)
        return "" if candidate is None else candidate.text


@cache
def _filter_of(name: str) -> type[StrategyFilter]:
    # Pickle finds a class by its module and name, so it is called as `__getattr__` knows it.
    return type(name, (StrategyFilter,), {"strategy": STRATEGIES[name], "__module__": __name__})


def __getattr__(name: str) -> type[StrategyFilter]:
    """Return the filter of the strategy of that name: what entry points name, any package's."""
    if name not in STRATEGIES:
        raise AttributeError(f"no strategy is called {name!r}")
    return _filter_of(name)
