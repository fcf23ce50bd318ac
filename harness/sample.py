"""From questions to pools: tokenise, sample, score, decode."""

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from ..models import LatentBackbone, LatentSettings, sample
from ..reward.model import LatentRewardHead
from ..tasks import Pool, Question, pool_metrics
from .keeping import Keeping
from .kept import Finished, Kept
from .pools import Answered, Reader, Sampled
from .settling import settled_samples
from .stopping import Stop
from .turns import Turns

_SCORED_TOGETHER = 512  # trajectories: more gain no speed


def sample_pools(
    model: LatentBackbone,
    tokenizer: Any,
    questions: Sequence[str],
    settings: LatentSettings,
    *,
    batch_size: int | None = None,
    reward_model: LatentRewardHead | None = None,
    until: Sequence[str] = (),
    kept: Kept | None = None,
    stop: Stop | None = None,
) -> list[Pool]:
    """Return `num_return_sequences` candidates for every question: a pool each, in their order.

    Args:
        model: a backbone.
        tokenizer: the model's.
        questions: texts, without the backbone's prompt format.
        settings: resolved settings; beam search comes on top where they ask for it.
        batch_size: most questions in the batch; None for as many as fit.
        reward_model: scores every candidate; None for no rewards.
        until: texts that end an answer; what follows them is cut off.
        kept: where finished samples are taken from and added to.
        stop: when a question has samples enough; all N are drawn if None.

    Raises:
        ModelError: a prompt that does not fit, or hidden states that are not finite.
        RewardError: a prompt that does not fit the reward model. Questions without any reward that
            is a number are warned of and go on.
    """
    reader = Reader(model, tokenizer, settings, reward_model, until, kept, stop=stop)
    prompts = [model.encode_prompt(tokenizer, question) for question in questions]
    found = {own.index: own.pool for own in answer(reader, prompts, batch_size=batch_size)}
    return [found[index] for index in range(len(questions))]


def answer(
    reader: Reader,
    prompts: Sequence[Sequence[int]],
    *,
    batch_size: int | None = None,
    turns: Turns | None = None,
) -> Iterator[Answered]:
    """Yield the pool of each question as soon as it is there.

    What is in a batch changes no sample, so running out of memory goes on with less in it.

    Args:
        reader: what samples are made with, and how they are read.
        prompts: token ids of the questions.
        batch_size: most questions in the batch; None for as many as fit.
        turns: which questions are answered here, where processes share them.

    Raises:
        ModelError, RewardError: as `sample_pools`.
    """
    if not prompts:
        return
    together = 1
    if reader.reward_model is not None:
        most = min(reader.model.engine_options.max_rows or _SCORED_TOGETHER, _SCORED_TOGETHER)
        count = reader.settings.num_return_sequences
        together = min(batch_size or len(prompts), -(-most // count))
    complete: list[Sampled] = []
    for own in _samples(reader, prompts, turns=turns, batch_size=batch_size):
        complete.append(own)
        if len(complete) == together:
            yield from reader.answered(complete)
            complete.clear()
    yield from reader.answered(complete)


def _samples(
    reader: Reader,
    prompts: Sequence[Sequence[int]],
    *,
    turns: Turns | None,
    batch_size: int | None,
) -> Iterator[Sampled]:
    """Yield the samples of each prompt as soon as all of them are there."""
    if reader.stop is not None:
        yield from settled_samples(
            reader,
            reader.stop,
            prompts,
            _longest_first(prompts),
            turns=turns,
            batch_size=batch_size,
        )
        return
    own_turns, keeping = _Lacking(prompts, reader, turns), Keeping(reader.kept)
    for trajectory in sample(
        reader.model,
        prompts,
        reader.settings.without_beams(),
        turns=own_turns,
        batch_size=batch_size,
    ):
        while own_turns.complete:
            yield own_turns.complete.popleft()
        own_turns.begun[trajectory.question].drawn.append(Finished.of(trajectory))
        if keeping.heed(own_turns.begun, trajectory.question):
            yield own_turns.begun.pop(trajectory.question)
    yield from own_turns.complete


def _longest_first(prompts: Sequence[Sequence[int]]) -> list[int]:
    """Return the prompts' indices, so that a lack of memory shows at once.

    Those of like length share a batch.
    """
    return sorted(range(len(prompts)), key=lambda index: (-len(prompts[index]), index))


class _Lacking:
    """Which samples are drawn, namely those that the store lacks; see the engine's `Turns`.

    Attributes:
        begun: questions of which some are to be drawn, by their indices.
        complete: questions of which all samples were found.
    """

    def __init__(
        self, prompts: Sequence[Sequence[int]], reader: Reader, turns: Turns | None
    ) -> None:
        self._order = _longest_first(prompts)
        self._prompts, self._reader, self._turns = prompts, reader, turns
        self.begun: dict[int, Sampled] = {}
        self.complete: deque[Sampled] = deque()

    def __iter__(self) -> Iterator[tuple[int, Sequence[int]]]:
        count = self._reader.settings.num_return_sequences
        for number in range(len(self._order)) if self._turns is None else self._turns:
            index = self._order[number]
            kept, prompt = self._reader.kept, self._prompts[index]
            found = [] if kept is None else kept.find(prompt, count)
            there = {one.sample for one in found}
            missing = [sample for sample in range(count) if sample not in there]
            own = Sampled(index, prompt, tuple(found), len(missing))
            if missing:
                self.begun[index] = own
                yield index, missing
            else:
                self.complete.append(own)

    def share(self) -> int:
        """Return how many prompts may be in the batch."""
        return sys.maxsize if self._turns is None else self._turns.share()


def sampled_metrics(
    model: LatentBackbone,
    tokenizer: Any,
    questions: Sequence[Question],
    settings: LatentSettings,
    *,
    ks: Sequence[int] | None = None,
    reward_model: LatentRewardHead | None = None,
    kept: Kept | None = None,
) -> pd.DataFrame:
    """Sample questions and return their metrics: a row a question, a column a metric.

    Args:
        model: a backbone.
        tokenizer: the model's.
        questions: with their gold answers and judges.
        settings: as for `sample_pools`.
        ks: sample counts of metrics; None as in `pool_metrics`.
        reward_model: scores every candidate; None for no rewards.
        kept: where finished samples are taken from and added to.
    """
    pools = sample_pools(
        model,
        tokenizer,
        [question.text for question in questions],
        settings,
        reward_model=reward_model,
        kept=kept,
    )
    return pd.DataFrame(
        pool_metrics(
            pool.judged_by(question.judge), question.gold, ks=ks, tolerance=question.tolerance
        )
        for pool, question in zip(pools, questions, strict=True)
    )
