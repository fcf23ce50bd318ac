"""Samples of questions as work for the scheduler: what `generate` and every evaluation run."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from ..backbones.protocol import LatentBackbone
from ..errors import ModelError
from ..settings import LatentSettings
from ..trajectory import Trajectory
from .positions import position_limit
from .prompts import Prompts
from .rows import Rows
from .scheduler import run
from .step import Stepper
from .trial import check_model


class Turns(Protocol):
    """Which samples of which prompts are drawn here, in order.

    It is asked for the next when there is room, so that processes may share the prompts.
    """

    def __iter__(self) -> Iterator[tuple[int, Sequence[int]]]:
        """Return an iterator over a prompt's index and the indices of its samples, one or more."""

    def share(self) -> int:
        """Return how many prompts may be in the batch, of which as many are left for others."""


@dataclass(frozen=True)
class EveryTurn:
    """The same samples of every prompt: `Turns` of a process that is alone.

    Attributes:
        count: of prompts.
        samples: of each.
    """

    count: int
    samples: Sequence[int]

    def __iter__(self) -> Iterator[tuple[int, Sequence[int]]]:
        return ((index, self.samples) for index in range(self.count))

    def share(self) -> int:
        """Return that nobody else waits."""
        return sys.maxsize


def sample(
    model: LatentBackbone,
    prompts: Sequence[Sequence[int]],
    settings: LatentSettings,
    *,
    samples: Sequence[int] | None = None,
    batch_size: int | None = None,
    turns: Turns | None = None,
) -> Iterator[Trajectory]:
    """Sample trajectories of every prompt.

    Args:
        model: the backbone.
        prompts: token ids; those of like length should stand together.
        settings: resolved settings.
        samples: indices of the samples of each prompt; 0 to N - 1 if None.
        batch_size: most prompts in the batch; as many as fit if None.
        turns: which samples of which prompts, where not all of them are to be drawn here.

    Yields:
        Each trajectory as soon as it is done; prompts begin in the order in which they are given.

    Raises:
        ModelError: no prompts or such as do not fit, or hidden states that are not finite.
    """
    if batch_size is not None and batch_size < 1:
        raise ModelError(f"batch_size={batch_size}; allowed are whole numbers of at least 1.")
    numbers = range(settings.num_return_sequences) if samples is None else list(samples)
    if not numbers or min(numbers) < 0:
        raise ModelError(f"samples={samples!r}; allowed are indices of at least 0, one or more.")
    check_prompts(model, prompts, settings)
    turns = EveryTurn(len(prompts), numbers) if turns is None else turns
    source = Candidates(
        prompts, turns, sharing=len(numbers), own_prompts=settings.sampler.prompt_varies
    )
    most = sys.maxsize if batch_size is None else batch_size
    for _, trajectory in run(
        model, settings, source, most_work=lambda: min(most, source.turns.share())
    ):
        yield trajectory


class Candidates:
    """Samples of some prompts; see `scheduler.Source`."""

    def __init__(
        self,
        prompts: Sequence[Sequence[int]],
        turns: Turns,
        *,
        sharing: int,
        own_prompts: bool,
    ) -> None:
        """Take what is to be sampled.

        Args:
            prompts: token ids.
            turns: which samples of them.
            sharing: samples of a prompt at most.
            own_prompts: whether each sample reads its prompt by itself.
        """
        lengths = [len(prompt) for prompt in prompts]
        self.longest = max(lengths)
        self.sharing, self.own_prompts = sharing, own_prompts
        self._prompts, self.turns = prompts, turns
        # The prompt that was read last, for other samples of the same question.
        self._read: tuple[Sequence[int], torch.Tensor, Prompts] | None = None

    def work(self) -> Iterable[tuple[int, Sequence[int]]]:
        """Return the prompts whose turn it is, with their samples."""
        return self.turns

    def together(self, index: int) -> int:
        """Return the same for all: any prompts may be read together."""
        return 0

    def begin(
        self, stepper: Stepper, index: Sequence[int], samples: Sequence[int]
    ) -> tuple[Rows, None]:
        """Read the prompts, unless that is done, and return the rows of the samples."""
        prompts = [self._prompts[one] for one in index]
        keys = stepper.keys(prompts, samples)
        if self.own_prompts:
            return Rows.begin(*stepper.prefill(prompts, keys), keys), None
        if self._read is None or self._read[0] != index:
            self._read = None  # before another is read, so that memory holds one at most
            self._read = (index, *stepper.prefill(prompts, keys))
        return Rows.begin(*self._read[1:], keys), None

    def forget(self) -> None:
        """Read the prompt again when it is needed."""
        self._read = None


def check_prompts(
    model: LatentBackbone, prompts: Sequence[Sequence[int]], settings: LatentSettings
) -> None:
    """Raise ModelError for a model that the engine cannot read, unknown tokens or long prompts."""
    check_model(model)
    if not prompts or not all(prompts):
        raise ModelError("No prompt, or one without tokens; give at least one token per prompt.")
    smallest = min(min(prompt) for prompt in prompts)
    largest = max(max(prompt) for prompt in prompts)
    vocabulary = model.config.get_text_config().vocab_size
    if smallest < 0 or largest >= vocabulary:
        raise ModelError(
            f"input_ids from {smallest} to {largest}; the checkpoint "
            f"{model.name_or_path!r} knows 0 to {vocabulary - 1}. Use its own tokenizer."
        )
    longest = max(map(len, prompts))
    positions = position_limit(model)
    needed = settings.thought_limit + len(model.latent_tokens.ending) + 1
    if longest + needed > positions:
        raise ModelError(
            f"A prompt of {longest} tokens with {settings.thought_limit} thoughts, the end marker "
            f"and an answer needs {longest + needed} positions; {model.name_or_path!r} has "
            f"{positions}. Shorten the question (fewer few-shot examples) or think fewer thoughts."
        )
