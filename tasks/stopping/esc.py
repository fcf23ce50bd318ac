"""ESC, early-stopping self-consistency: stop when a whole window agrees."""

from dataclasses import dataclass
from typing import ClassVar

from .protocol import Keys, Rewards, StoppingRule, check_count


@dataclass(frozen=True)
class ESC(StoppingRule):
    """Stop when all samples of a window give the same answer.

    Windows follow each other and do not overlap; a sample without an answer agrees with none. The
    answer is the vote of all samples that were drawn, the windows before included.

    Attributes:
        window: samples in a window.
    """

    name: ClassVar[str] = "esc"
    source: ClassVar[str] = "arXiv 2401.10480"

    window: int = 5

    def __post_init__(self) -> None:
        """Check the parameter."""
        check_count("window", self.window, self.name, least=2)

    def settled(self, keys: Keys, rewards: Rewards) -> bool:
        """Tell whether a window has just ended that agrees."""
        return bool(keys) and len(keys) % self.window == 0 and _agree(keys[-self.window :])

    def wait(self, keys: Keys) -> int:
        """Return how many samples the first window lacks that can still agree."""
        begun = len(keys) % self.window
        lost = begun > 0 and not _agree(keys[-begun:])
        return self.window * (1 + lost) - begun


def _agree(keys: Keys) -> bool:
    return keys[0] is not None and len(set(keys)) == 1
