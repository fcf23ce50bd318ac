"""Which rows are in the batch: continuous batching over questions.

Questions wait in a queue. Rows join the batch in waves of half its size, so that there are always
rows enough for the processor, and leave it one by one. Every row's randomness is addressed and no
row sees another, so what is in the batch changes no sample; running out of memory sends the rows
back to the queue and goes on with half as many.
"""

import logging
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch

from .attention import PASS
from .config import LatentSettings
from .engine import advance, check_prompts, prefill, prompt_tokens, row_keys
from .errors import ModelError
from .fast import stop_packing
from .memory import free_memory, is_out_of_memory, release_memory
from .options import engine_options
from .prompts import Prompts
from .rows import LatentGenerateOutput, Record, Rows
from .samplers import make_sampler
from .tokens import pad_left

logger = logging.getLogger(__name__)

# Operations in a step that keep a thread of a CPU busy: more are hardly faster, and take memory.
_CPU_STEP = 1.1e10
_CPU_ROWS, _GPU_ROWS = (64, 512), 4096
_OWN_POSITIONS = 64  # that a row is reckoned to take after its prompt
_MEMORY_SHARE = 0.5  # of the free memory, for the keys and values of all rows


def generate(
    model: Any,
    *,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor | None,
    settings: LatentSettings,
    sample_offset: int = 0,
) -> LatentGenerateOutput:
    """Sample thoughts and answers; see `LatentBackbone.generate` for arguments and errors."""
    input_ids = input_ids.to(model.device)
    if attention_mask is None:
        attention_mask = torch.ones_like(input_ids)
    prompts = prompt_tokens(input_ids, attention_mask.to(model.device))
    records = dict(sample(model, prompts, settings, sample_offset=sample_offset))
    record = Record.join([records[place] for place in range(len(prompts))])
    return record.output(input_ids.repeat_interleave(settings.num_return_sequences, dim=0))


def sample(
    model: Any,
    prompts: Sequence[Sequence[int]],
    settings: LatentSettings,
    *,
    sample_offset: int = 0,
    batch_size: int | None = None,
) -> Iterator[tuple[int, Record]]:
    """Sample N trajectories of every prompt, in the order in which prompts are given.

    Args:
        model: the backbone.
        prompts: token ids; those of like length should stand together.
        settings: resolved settings.
        sample_offset: index of the first sample.
        batch_size: most prompts in the batch; as many as fit if None.

    Yields:
        Each prompt's place and its N rows, as soon as the last of them is done.

    Raises:
        ModelError: no prompts or such as do not fit, or hidden states that are not finite.
    """
    if batch_size is not None and batch_size < 1:
        raise ModelError(f"batch_size={batch_size}; allowed are whole numbers of at least 1.")
    if sample_offset < 0:
        raise ModelError(f"sample_offset={sample_offset}; allowed are whole numbers of at least 0.")
    check_prompts(model, prompts, settings)
    batch = _Batch(model, prompts, settings, sample_offset, batch_size)
    while batch.work_left:
        short = False
        try:
            with PASS, torch.no_grad(), batch.sampler.installed(model):
                while batch.work_left and not batch.complete:
                    batch.step()
        except Exception as error:
            short = batch.most_rows > 1 and is_out_of_memory(error)
            if not short:
                raise
        if short:  # outside of the handler, whose traceback holds the tensors
            batch.shrink()
        yield from batch.take()


def most_rows(model: Any, settings: LatentSettings, *, longest: int) -> int:
    """Return how many rows fill a batch: enough for the processor, and no more than memory holds.

    Args:
        model: the backbone.
        settings: whether every row holds a prompt of its own.
        longest: tokens of the longest prompt.
    """
    options = engine_options(model)
    if options.max_rows is not None:
        return options.max_rows
    rows = _GPU_ROWS
    if model.device.type == "cpu":
        least, most = _CPU_ROWS
        row = 2 * model.num_parameters(exclude_embeddings=True)
        rows = max(least, min(most, int(_CPU_STEP * torch.get_num_threads() / row)))
    if make_sampler(settings).prompt_varies:
        rows //= 4  # reading a prompt for each row keeps the processor busy by itself
    return max(1, min(rows, most_positions(model) // row_positions(settings, longest)))


def row_positions(settings: LatentSettings, longest: int) -> int:
    """Return for how many tokens a row is reckoned to hold keys and values.

    That is its part of a prompt of `longest` tokens, all of it where every row reads it by itself,
    and what it reads after it.
    """
    sharing = 1 if make_sampler(settings).prompt_varies else settings.num_return_sequences
    return _OWN_POSITIONS + -(-longest // sharing)


def most_positions(model: Any) -> int:
    """Return for how many tokens keys and values may be held: the batch's token budget."""
    config = model.config
    kv_heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    position = 2 * config.num_hidden_layers * kv_heads * size * model.dtype.itemsize
    return int(free_memory(model.device) * _MEMORY_SHARE) // position


class _Batch:
    """The rows in the batch, what they have produced, and what waits.

    Attributes:
        sampler: makes the thoughts random.
        most_rows: rows in the batch at most.
        complete: prompts whose samples are all done, with them.
    """

    def __init__(
        self,
        model: Any,
        prompts: Sequence[Sequence[int]],
        settings: LatentSettings,
        sample_offset: int,
        batch_size: int | None,
    ) -> None:
        self._model, self._settings, self._prompts = model, settings, prompts
        self._offset, self._most_prompts = sample_offset, batch_size or sys.maxsize
        self.sampler = make_sampler(settings)
        lengths = [len(prompt) for prompt in prompts]
        longest = max(lengths)
        self.most_rows = most_rows(model, settings, longest=longest)
        self._row_positions = row_positions(settings, longest)
        self._most_positions = most_positions(model)
        self.complete: dict[int, Record] = {}
        everyone = range(settings.num_return_sequences)
        self._waiting = deque((place, list(everyone)) for place in range(len(prompts)))
        self._rows: Rows | None = None
        self._blocks = _Blocks(model, settings, shortest=min(lengths))
        # The last prompt that was read, for the other samples of the same question.
        self._read: tuple[int, torch.Tensor, Prompts] | None = None

    @property
    def work_left(self) -> bool:
        """Whether rows are in the batch or wait for it."""
        return self._rows is not None or bool(self._waiting)

    def step(self) -> None:
        """Let waiting rows join where there is room, and feed every row its next input."""
        while wave := self._next_wave():
            self._join(*wave)
        rows = self._rows
        if rows is None:
            return
        while rows.cache.positions > self._most_positions and len(rows) > 1:
            self._send_back(rows)
        left = advance(self._model, rows, self._settings, self.sampler, self._blocks.record)
        if not len(rows):
            self._rows = None
        for prompt, record in self._blocks.end(left.tolist()):
            self.complete[prompt] = record

    def _send_back(self, rows: Rows) -> None:
        """Return the rows that joined last to the queue, before memory itself runs out.

        Answers are longer than was reckoned, so fewer rows join from now on.
        """
        first, *others = rows.cache.groups
        kept, held = len(first), first.positions
        if held > self._most_positions:
            kept = max(1, kept // 2)
        for group in others:
            held += group.positions
            if held > self._most_positions // 2:
                break
            kept += len(group)
        everyone = torch.arange(len(rows), device=rows.index.device)
        for place, numbers in self._blocks.samples(rows.index[kept:].tolist()).items():
            self._waiting.appendleft((place, numbers))
        rows.leave(everyone < kept)
        self._row_positions *= 2
        fitting = self._most_positions // self._row_positions
        self.most_rows = max(1, min(self.most_rows, fitting))
        logger.info("Long answers: going on with %d samples in a batch.", self.most_rows)

    def shrink(self) -> None:
        """Send all rows back to the queue, and let half as many join."""
        undone = self._blocks.undone
        later = [entry for entry in self._waiting if entry[0] not in undone]
        waiting = sum(len(entry[1]) for entry in self._waiting if entry[0] in undone)
        rows = sum(map(len, undone.values())) - waiting
        self.most_rows = max(1, min(self.most_rows, rows) // 2)
        self._rows = self._read = None
        self._waiting = deque([(place, sorted(left)) for place, left in undone.items()] + later)
        stop_packing(self._model)
        release_memory()
        logger.warning("Out of memory: going on with %d samples in a batch.", self.most_rows)

    def take(self) -> list[tuple[int, Record]]:
        """Return the prompts that are complete, and forget them."""
        found, self.complete = list(self.complete.items()), {}
        return found

    def _next_wave(self) -> tuple[list[int], list[int]] | None:
        """Take prompts and the samples to draw of each from the queue; None if there is no room.

        A wave is part of a prompt's samples, or whole prompts.
        """
        if not self._waiting:
            return None
        place, samples = self._waiting[0]
        most = min(self.most_rows, self._most_prompts * len(samples))
        if self._most_prompts > 1 or most < len(samples):
            # Two waves, so that one joins while the other ends.
            most = max(1, most // 2)
        room = self.most_rows - (0 if self._rows is None else len(self._rows))
        begun = self._blocks.undone
        late = place not in begun and len(begun) >= self._most_prompts
        held = 0 if self._rows is None else self._rows.cache.positions
        late = late or (held > 0 and held + most * self._row_positions > self._most_positions)
        if late or (room < most and self._rows is not None):
            return None
        self._waiting.popleft()
        if len(samples) > most:
            each = -(-len(samples) // -(-len(samples) // most))  # parts of like size
            self._waiting.appendleft((place, samples[each:]))
            return [place], samples[:each]
        places = [place]
        free = self._most_prompts - len(begun.keys() | {place})
        while len(places) < most // len(samples) and self._waiting:
            place, others = self._waiting[0]
            free -= place not in begun
            if free < 0 or others != samples:
                break
            places.append(place)
            self._waiting.popleft()
        return places, samples

    def _join(self, places: list[int], samples: list[int]) -> None:
        """Read prompts and let the samples of each join the batch."""
        self._blocks.begin(places)  # first, so that none is lost where memory runs out below
        blocks = [self._blocks.of(place) for place in places]
        prompts = [self._prompts[place] for place in places]
        numbers = [number + self._offset for number in samples]
        keys = row_keys(prompts, self._settings, numbers, self._model.device)
        if self._read is None or places != [self._read[0]]:
            ids, mask = pad_left(prompts, self._model.latent_tokens.pad)
            device = self._model.device
            read = prefill(self._model, ids.to(device), mask.to(device), keys, self.sampler)
            self._read = (places[-1], *read)
        rows = Rows.begin(*self._read[1:], keys)
        each = self._settings.num_return_sequences
        rows.index = torch.tensor(
            [block * each + number for block in blocks for number in samples], device=keys.device
        )
        self._rows = rows if self._rows is None else Rows.join(self._rows, rows)
        shared = not self.sampler.prompt_varies and len(places) == 1
        if not shared or not self._waiting or self._waiting[0][0] != places[0]:
            self._read = None


class _Blocks:
    """The record of the prompts in the batch: N places for each, given to others afterwards.

    Attributes:
        record: of all blocks.
        undone: the samples of each prompt in the batch that are not done.
    """

    def __init__(self, model: Any, settings: LatentSettings, *, shortest: int) -> None:
        """Begin empty; no prompt has fewer than `shortest` tokens."""
        self._each = settings.num_return_sequences
        self._empty = Record.empty(model, settings, self._each, shortest=shortest)
        self.record = Record.join([self._empty])
        self.undone: dict[int, set[int]] = {}
        self._prompts: dict[int, int] = {}  # of each block that is taken
        self._taken: dict[int, int] = {}  # the block of each prompt
        self._free: list[int] = []

    def begin(self, prompts: Iterable[int]) -> None:
        """Note that the samples of prompts are to be drawn, if that is not yet known."""
        for prompt in prompts:
            self.undone.setdefault(prompt, set(range(self._each)))

    def of(self, prompt: int) -> int:
        """Return a prompt's block, an empty one if it has none yet."""
        if prompt in self._taken:
            return self._taken[prompt]
        block = self._free[-1] if self._free else len(self._prompts)
        if block * self._each >= len(self.record.tokens):
            more = [self._empty] * max(1, block)  # twice as many, so that few growths are enough
            self.record = Record.join([self.record, *more])
        self.record.write(self._slice(block), self._empty)
        self._prompts[block], self._taken[prompt] = prompt, block
        if self._free:
            self._free.pop()
        return block

    def samples(self, places: Iterable[int]) -> dict[int, list[int]]:
        """Return the numbers of the samples at places of the record, by prompt."""
        found: dict[int, list[int]] = {}
        for place in places:
            block, number = divmod(place, self._each)
            found.setdefault(self._prompts[block], []).append(number)
        return found

    def end(self, places: Iterable[int]) -> Iterator[tuple[int, Record]]:
        """Note which places of the record are done; yield the prompts that are complete."""
        for place in places:
            block, number = divmod(place, self._each)
            prompt = self._prompts[block]
            if self.undone[prompt] == {number}:
                yield prompt, self.record.read(self._slice(block))
                del self.undone[prompt], self._prompts[block], self._taken[prompt]
                self._free.append(block)
            else:
                self.undone[prompt].remove(number)

    def _slice(self, block: int) -> slice:
        return slice(block * self._each, (block + 1) * self._each)
