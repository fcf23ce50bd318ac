"""Questions that several processes answer, each taking the next when it has room."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..models import LatentSettings
from ..models.backbones import Explicit
from .loaded import Loaded
from .pools import Answered, Reader
from .sample import answer
from .stopping import Stop
from .team import Shift


@dataclass(frozen=True)
class Group:
    """Questions that are answered under the same settings.

    Attributes:
        settings: of their samples.
        until: texts that end an answer.
        prompts: their token ids by their indices.
        stop: when a question has samples enough; all N are drawn if None.
    """

    settings: LatentSettings
    until: tuple[str, ...]
    prompts: Mapping[int, Sequence[int]]
    stop: Stop | None = None

    @property
    def cost(self) -> int:
        """How much a question costs, next to those of other groups."""
        return self.settings.num_return_sequences * self.settings.max_new_tokens


@dataclass(frozen=True)
class Busy:
    """That a process found nothing more to do, after so many seconds of work."""

    seconds: float


def idle_share(busy: Sequence[float]) -> float:
    """Return how much of their time processes had nothing to do, until the last of them ended.

    Args:
        busy: seconds that each process worked; all began at the same time.
    """
    return 1 - sum(busy) / (len(busy) * max(busy))


def lead(loaded: Loaded, shift: Shift, groups: Sequence[Group]) -> Iterator[Answered | Busy]:
    """Yield what all processes answer, as soon as the first process knows of it.

    How long each process was busy comes among the answers.

    Args:
        loaded: what samples are made with.
        shift: of the processes; this is the first.
        groups: the questions.

    Raises:
        LostProcessError: another process has failed.
    """
    model = loaded.model
    chat_end = model.chat_end if isinstance(model, Explicit) else None
    groups, _ = shift.told("job", (sorted(groups, key=lambda group: -group.cost), chat_end))
    started = time.perf_counter()
    left = sum(len(group.prompts) for group in groups) + shift.size - 1
    for own in _answer(loaded, shift, groups):
        for done in (own, *shift.handed_in()):
            yield done
            left -= 1
    yield Busy(time.perf_counter() - started)
    while left:
        shift.wait()
        for done in shift.handed_in():
            yield done
            left -= 1


def help_out(loaded: Loaded, shift: Shift) -> None:
    """Answer questions of which the first process leads.

    Raises:
        LostProcessError: the first process has failed.
    """
    groups, chat_end = shift.told("job")
    started = time.perf_counter()
    if chat_end is not None and isinstance(loaded.model, Explicit):
        loaded.model.join_chats(chat_end)
    for own in _answer(loaded, shift, groups):
        shift.hand_in(own)
    shift.hand_in(Busy(time.perf_counter() - started))


def _answer(loaded: Loaded, shift: Shift, groups: Sequence[Group]) -> Iterator[Answered]:
    """Yield what this process answers."""
    for number, group in enumerate(groups):
        indices, settings = list(group.prompts), group.settings
        kept = None
        if loaded.stores is not None:
            kept = loaded.stores.of(settings, questions=len(indices))
        reader = Reader(
            loaded.model,
            loaded.tokenizer,
            settings,
            loaded.reward_model,
            group.until,
            kept,
            loaded.nearest,
            group.stop,
            mixtures=loaded.mixtures,
        )
        turns = shift.turns(f"{number}", len(indices))
        for own in answer(
            reader,
            list(group.prompts.values()),
            batch_size=loaded.arguments.questions_together,
            turns=turns,
        ):
            yield replace(own, index=indices[own.index])
