"""Samples of questions as work for the scheduler: what `generate` and every evaluation run."""

from collections.abc import Iterable, Iterator, Sequence

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


def sample(
    model: LatentBackbone,
    prompts: Sequence[Sequence[int]],
    settings: LatentSettings,
    *,
    samples: Sequence[int] | None = None,
    batch_size: int | None = None,
) -> Iterator[Trajectory]:
    """Sample trajectories of every prompt.

    Args:
        model: the backbone.
        prompts: token ids; those of like length should stand together.
        settings: resolved settings.
        samples: indices of the samples of each prompt; 0 to N - 1 if None.
        batch_size: most prompts in the batch; as many as fit if None.

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
    source = Candidates(prompts, numbers, own_prompts=settings.sampler.prompt_varies)
    for _, trajectory in run(model, settings, source, most_work=batch_size):
        yield trajectory


class Candidates:
    """N samples of each of some prompts; see `scheduler.Source`."""

    def __init__(
        self, prompts: Sequence[Sequence[int]], samples: Sequence[int], *, own_prompts: bool
    ) -> None:
        """Take what is to be sampled; with `own_prompts` each sample reads its prompt by itself."""
        lengths = [len(prompt) for prompt in prompts]
        self.longest = max(lengths)
        self.sharing, self.own_prompts = len(samples), own_prompts
        self._prompts, self._samples = prompts, samples
        # The prompt that was read last, for other samples of the same question.
        self._read: tuple[Sequence[int], torch.Tensor, Prompts] | None = None

    def work(self) -> Iterable[tuple[int, Sequence[int]]]:
        """Return every prompt with all samples."""
        return ((index, self._samples) for index in range(len(self._prompts)))

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
