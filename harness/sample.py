"""From questions to pools: tokenise, sample, score, decode."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from ..models import LatentBackbone, LatentSettings, Trajectory, sample
from ..models.engine.budget import in_parts
from ..reward import beam_search
from ..reward.model import LatentRewardHead
from ..tasks import Candidate, Pool, Question, pool_metrics

logger = logging.getLogger(__name__)

_SCORED_TOGETHER = 512  # trajectories: more gain no speed


def sample_pools(
    model: LatentBackbone,
    tokenizer: Any,
    questions: Sequence[str],
    settings: LatentSettings,
    *,
    ids: Sequence[str | None] | None = None,
    batch_size: int | None = None,
    reward_model: LatentRewardHead | None = None,
    until: Sequence[str] = (),
    done: Callable[[int, Pool], None] | None = None,
) -> list[Pool]:
    """Sample `num_return_sequences` candidates for every question.

    What is in a batch changes no sample, so running out of memory goes on with less in it.

    Args:
        model: a backbone.
        tokenizer: the model's.
        questions: texts, without the backbone's prompt format.
        settings: resolved settings; beam search comes on top where they ask for it.
        ids: the questions' ids, which their pools carry.
        batch_size: most questions in the batch; None for as many as fit.
        reward_model: scores every candidate; None for no rewards.
        until: texts that end an answer; what follows them is cut off.
        done: called with each question's index and pool as soon as it is there.

    Returns:
        One pool a question, in the order of `questions`.

    Raises:
        ModelError: a prompt that does not fit, or hidden states that are not finite.
        RewardError: a prompt that does not fit the reward model. Questions without any reward that
            is a number are warned of and go on.
    """
    if not questions:
        return []
    prompts = [model.encode_prompt(tokenizer, question) for question in questions]
    # Longest first, so that a lack of memory shows at once; those of like length share a batch.
    order = sorted(range(len(prompts)), key=lambda index: (-len(prompts[index]), index))
    reader = _Reader(model, tokenizer, settings, reward_model, until)
    count, together = settings.num_return_sequences, 1
    if reward_model is not None:
        most = min(model.engine_options.max_rows or _SCORED_TOGETHER, _SCORED_TOGETHER)
        together = min(batch_size or len(prompts), -(-most // count))
    pools: dict[int, Pool] = {}
    sampled: dict[int, _Sampled] = {}
    complete: list[_Sampled] = []
    for trajectory in sample(
        model,
        [prompts[index] for index in order],
        settings.without_beams(),
        batch_size=batch_size,
    ):
        index = order[trajectory.question]
        own = sampled.setdefault(index, _Sampled(index, prompts[index]))
        own.trajectories.append(trajectory)
        if len(own.trajectories) < count:
            continue
        complete.append(sampled.pop(index))
        if len(complete) < min(together, len(questions) - len(pools)):
            continue
        for own, pool in zip(complete, reader.pools(complete), strict=True):
            pool = Pool(pool.candidates, pool.beams, None if ids is None else ids[own.index])
            pools[own.index] = pool
            if done is not None:
                done(own.index, pool)
        complete = []
    return [pools[index] for index in range(len(questions))]


def sampled_metrics(
    model: LatentBackbone,
    tokenizer: Any,
    questions: Sequence[Question],
    settings: LatentSettings,
    *,
    ks: Sequence[int] | None = None,
    reward_model: LatentRewardHead | None = None,
) -> pd.DataFrame:
    """Sample questions and return their metrics: a row a question, a column a metric.

    Args:
        model: a backbone.
        tokenizer: the model's.
        questions: with their gold answers and judges.
        settings: as for `sample_pools`.
        ks: sample counts of metrics; None as in `pool_metrics`.
        reward_model: scores every candidate; None for no rewards.
    """
    pools = sample_pools(
        model,
        tokenizer,
        [question.text for question in questions],
        settings,
        ids=[question.id for question in questions],
        reward_model=reward_model,
    )
    return pd.DataFrame(
        pool_metrics(
            pool.judged_by(question.judge), question.gold, ks=ks, tolerance=question.tolerance
        )
        for pool, question in zip(pools, questions, strict=True)
    )


@dataclass(frozen=True)
class _Sampled:
    """A question's index, its prompt's token ids, and its trajectories so far."""

    index: int
    prompt: Sequence[int]
    trajectories: list[Trajectory] = field(default_factory=list)


@dataclass(frozen=True)
class _Reader:
    """What turns trajectories into pools: rewards, beam search, and the tokenizer."""

    model: LatentBackbone
    tokenizer: Any
    settings: LatentSettings
    reward_model: LatentRewardHead | None
    until: Sequence[str]

    def pools(self, sampled: Sequence[_Sampled]) -> list[Pool]:
        """Return the pools of questions, fewer at a time where memory runs out."""
        parts = in_parts(
            len(sampled), len(sampled), lambda part: self._pools(sampled[part]), what="questions"
        )
        return [pool for _, found in parts for pool in found]

    def _pools(self, sampled: Sequence[_Sampled]) -> list[Pool]:
        pools = [sorted(own.trajectories, key=lambda one: one.sample) for own in sampled]
        if self.reward_model is None:
            return [Pool(tuple(self._candidate(one) for one in pool)) for pool in pools]
        prompts = [own.prompt for own in sampled]
        scored = [replace(one, question=i) for i, pool in enumerate(pools) for one in pool]
        rewards = iter(self.reward_model.score_trajectories(prompts, scored))
        found = [tuple(self._candidate(one, next(rewards)) for one in pool) for pool in pools]
        beams: list[tuple[Candidate, ...]] = [()] * len(pools)
        if self.settings.beams:
            searched = beam_search(self.model, self.reward_model, prompts, self.settings)
            beams = [
                tuple(self._candidate(beam.trajectory, beam.step_rewards) for beam in own)
                for own in searched
            ]
        _warn_of_missing_rewards(found)
        return [Pool(*own) for own in zip(found, beams, strict=True)]

    def _candidate(
        self, trajectory: Trajectory, rewards: Sequence[float] | None = None
    ) -> Candidate:
        text = self.tokenizer.decode(trajectory.text_ids)
        cuts = [text.find(stop) for stop in self.until if stop and stop in text]
        text = text[: min(cuts)] if cuts else text
        return Candidate(
            text=text,
            answer=self.model.read_answer(text),
            thoughts=len(trajectory.thoughts),
            answer_tokens=len(trajectory.answer_ids),
            truncated=trajectory.truncated and not cuts,
            # From the sixth decimal on they depend on what else was in the batch.
            reward=None if rewards is None else round(sum(rewards), 6),
            step_rewards=None if rewards is None else tuple(round(r, 6) for r in rewards),
            sample=trajectory.sample,
        )


def _warn_of_missing_rewards(pools: Sequence[Sequence[Candidate]]) -> None:
    unscored = sum(
        not any(math.isfinite(candidate.reward or 0.0) for candidate in pool) for pool in pools
    )
    if unscored:
        logger.warning(
            "%d questions have no reward that is a number: what needs one counts as wrong for them "
            "(the metric `unscored`). Is the precision too low? Try dtype=float32.",
            unscored,
        )
