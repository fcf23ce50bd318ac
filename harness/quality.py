"""A run whose candidates state no answers ends with a warning, not like a good one."""

from collections import Counter
from dataclasses import dataclass, field

from ..tasks import Candidate, Pool
from .lm_eval_seam import logger

_SHOWN = 200  # characters of an answer in the warning


@dataclass
class Quality:
    """How many candidates of each task can be used, and one that cannot."""

    candidates: Counter[str] = field(default_factory=Counter)
    unusable: Counter[str] = field(default_factory=Counter)
    example: dict[str, Candidate] = field(default_factory=dict)

    def note(self, task: str, pool: Pool | None) -> None:
        """Count the candidates of a question; None where its pool is not known."""
        for one in () if pool is None else pool.candidates:
            self.candidates[task] += 1
            if one.answer is None or one.truncated:
                self.unusable[task] += 1
                self.example.setdefault(task, one)

    def warn(self, prompt_format: str) -> None:
        """Warn of tasks of whose candidates more than half are unparsed or truncated."""
        for task, count in self.unusable.items():
            if 2 * count > self.candidates[task]:
                one = self.example[task]
                logger.warning(
                    "%s: %d of %d candidates state no answer or were cut off, so its numbers say "
                    "little. One of them, %s: %r. The prompt was %r. Does the checkpoint know this "
                    "format, and do max_new_tokens and latent_length suit it?",
                    task,
                    count,
                    self.candidates[task],
                    "cut off" if one.truncated else "without an answer",
                    one.text[:_SHOWN],
                    prompt_format,
                )
