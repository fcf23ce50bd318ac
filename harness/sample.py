"""From questions to pools: tokenise, sample, score, decode."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
import torch

from ..models import LatentBackbone, LatentSettings, Trajectory, sample
from ..models.engine.budget import in_parts
from ..reward import beam_search
from ..reward.model import LatentRewardHead
from ..tasks import Candidate, Pool, Question, pool_metrics
from .kept import Finished, Kept
from .stopping import Stop, stopped_samples

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
    kept: Kept | None = None,
    stop: Stop | None = None,
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
        kept: where finished samples are taken from and added to.
        stop: when a question has samples enough; all N are drawn if None.
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
    reader = _Reader(model, tokenizer, settings, reward_model, until, kept)
    count, together = settings.num_return_sequences, 1
    if reward_model is not None:
        most = min(model.engine_options.max_rows or _SCORED_TOGETHER, _SCORED_TOGETHER)
        together = min(batch_size or len(prompts), -(-most // count))
    pools: dict[int, Pool] = {}
    complete: list[_Sampled] = []

    def finish(last: bool) -> None:
        if len(complete) < together and not last:
            return
        for own, pool in zip(complete, reader.pools(complete), strict=True):
            pool = Pool(pool.candidates, pool.beams, None if ids is None else ids[own.index])
            pool = pool if stop is None else stop.mark(pool, most=count)
            pools[own.index] = pool
            if done is not None:
                done(own.index, pool)
        complete.clear()

    for own in _samples(
        model, prompts, settings, batch_size=batch_size, kept=kept, stop=stop, reader=reader
    ):
        complete.append(own)
        finish(last=len(pools) + len(complete) == len(prompts))
    return [pools[index] for index in range(len(questions))]


def _samples(
    model: LatentBackbone,
    prompts: Sequence[Sequence[int]],
    settings: LatentSettings,
    *,
    batch_size: int | None,
    kept: Kept | None,
    stop: Stop | None,
    reader: "_Reader",
) -> Iterator["_Sampled"]:
    """Yield the samples of each prompt as soon as all of them are there."""
    count = settings.num_return_sequences
    # Longest first, so that a lack of memory shows at once; those of like length share a batch.
    order = sorted(range(len(prompts)), key=lambda index: (-len(prompts[index]), index))
    if stop is not None:
        for one in stopped_samples(
            model,
            prompts,
            order,
            settings,
            stop,
            read=reader.unscored,
            batch_size=batch_size,
            kept=kept,
        ):
            yield _Sampled(one.index, one.prompt, one.first)
        return
    lacking: dict[tuple[int, ...], list[_Sampled]] = {}
    for index in order:
        own = _Sampled(index, prompts[index])
        own.samples.extend(() if kept is None else kept.find(prompts[index], count))
        there = {one.sample for one in own.samples}
        missing = tuple(sample for sample in range(count) if sample not in there)
        if missing:
            lacking.setdefault(missing, []).append(own)
        else:
            yield own
    for missing, members in lacking.items():
        drawn: list[list[Finished]] = [[] for _ in members]
        for trajectory in sample(
            model,
            [own.prompt for own in members],
            settings.without_beams(),
            samples=missing,
            batch_size=batch_size,
        ):
            own, new = members[trajectory.question], drawn[trajectory.question]
            new.append(Finished.of(trajectory))
            if len(new) < len(missing):
                continue
            if kept is not None:
                kept.keep(own.prompt, new)
            own.samples.extend(new)
            yield own


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
    """A question's index, its prompt's token ids, and its samples."""

    index: int
    prompt: Sequence[int]
    samples: list[Finished] = field(default_factory=list)


@dataclass(frozen=True)
class _Reader:
    """What turns samples into pools: rewards, beam search, and the tokenizer."""

    model: LatentBackbone
    tokenizer: Any
    settings: LatentSettings
    reward_model: LatentRewardHead | None
    until: Sequence[str]
    kept: Kept | None

    def unscored(self, samples: Sequence[Finished]) -> Pool:
        """Return samples as a pool without rewards."""
        return Pool(tuple(self._candidate(replace(one, step_rewards=None)) for one in samples))

    def pools(self, sampled: Sequence[_Sampled]) -> list[Pool]:
        """Return the pools of questions, fewer at a time where memory runs out."""
        parts = in_parts(
            len(sampled), len(sampled), lambda part: self._pools(sampled[part]), what="questions"
        )
        return [pool for _, found in parts for pool in found]

    def _pools(self, sampled: Sequence[_Sampled]) -> list[Pool]:
        pools = [sorted(own.samples, key=lambda one: one.sample) for own in sampled]
        if self.reward_model is None:
            return [Pool(tuple(self._candidate(one) for one in pool)) for pool in pools]
        prompts = [own.prompt for own in sampled]
        pools = self._scored(self.reward_model, prompts, pools)
        found = [tuple(self._candidate(one) for one in pool) for pool in pools]
        beams: list[tuple[Candidate, ...]] = [()] * len(pools)
        if self.settings.beams:
            searched = beam_search(self.model, self.reward_model, prompts, self.settings)
            beams = [
                tuple(
                    self._candidate(
                        replace(Finished.of(beam.trajectory), step_rewards=beam.step_rewards)
                    )
                    for beam in own
                )
                for own in searched
            ]
        _warn_of_missing_rewards(found)
        return [Pool(*own) for own in zip(found, beams, strict=True)]

    def _scored(
        self,
        reward_model: LatentRewardHead,
        prompts: Sequence[Sequence[int]],
        pools: Sequence[Sequence[Finished]],
    ) -> list[list[Finished]]:
        """Return the samples with their rewards, of which those that are not known are computed."""
        unscored = [
            Trajectory(
                question=number,
                sample=one.sample,
                thoughts=torch.as_tensor(one.states).to(self.model.device, self.model.dtype),
                answer_ids=one.answer_ids,
                truncated=one.truncated,
            )
            for number, pool in enumerate(pools)
            for one in pool
            if one.step_rewards is None
        ]
        found = reward_model.score_trajectories(prompts, unscored)
        rewards = {
            (one.question, one.sample): tuple(own) for one, own in zip(unscored, found, strict=True)
        }
        scored = []
        for number, (prompt, pool) in enumerate(zip(prompts, pools, strict=True)):
            new = [
                replace(one, step_rewards=rewards[number, one.sample])
                for one in pool
                if one.step_rewards is None
            ]
            if self.kept is not None:
                self.kept.keep_scores(prompt, new)
            known = [one for one in pool if one.step_rewards is not None]
            scored.append(sorted(known + new, key=lambda one: one.sample))
        return scored

    def _candidate(self, sample: Finished) -> Candidate:
        text = self.tokenizer.decode(sample.text_ids)
        cuts = [text.find(stop) for stop in self.until if stop and stop in text]
        text = text[: min(cuts)] if cuts else text
        rewards = sample.step_rewards
        return Candidate(
            text=text,
            answer=self.model.read_answer(text),
            thoughts=sample.thoughts,
            answer_tokens=len(sample.answer_ids),
            truncated=sample.truncated and not cuts,
            # From the sixth decimal on they depend on what else was in the batch.
            reward=None if rewards is None else round(sum(rewards), 6),
            step_rewards=None if rewards is None else tuple(round(r, 6) for r in rewards),
            sample=sample.sample,
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
