"""From samples to pools: rewards, beam search, and texts."""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from ..models import LatentBackbone, LatentSettings, Trajectory
from ..models.engine.budget import in_parts
from ..reward import beam_search
from ..reward.model import LatentRewardHead
from ..tasks import Candidate, Pool
from .kept import Finished, Kept
from .nearest import Nearest, NearestTokens
from .stopping import Stop

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answered:
    """A question that is done.

    Attributes:
        index: of the question.
        pool: of its candidates.
        drawn: how many of them were drawn, and not found in a store.
    """

    index: int
    pool: Pool
    drawn: int


@dataclass(frozen=True)
class Sampled:
    """A question and its samples.

    Attributes:
        index: of the question.
        prompt: its token ids.
        found: samples that were in the store.
        lacks: how many were not.
        drawn: those that were drawn since.
    """

    index: int
    prompt: Sequence[int]
    found: tuple[Finished, ...]
    lacks: int
    drawn: list[Finished] = field(default_factory=list)


@dataclass(frozen=True)
class Reader:
    """What samples are made with and turned into pools by.

    Attributes:
        model: a backbone.
        tokenizer: the model's.
        settings: resolved settings.
        reward_model: scores every candidate; None for no rewards.
        until: texts that end an answer; what follows them is cut off.
        kept: where finished samples are taken from and added to.
        nearest: finds the tokens that thoughts are near to; None for no such tokens.
        stop: when a question has samples enough; all N are drawn if None.
    """

    model: LatentBackbone
    tokenizer: Any
    settings: LatentSettings
    reward_model: LatentRewardHead | None = None
    until: Sequence[str] = ()
    kept: Kept | None = None
    nearest: NearestTokens | None = None
    stop: Stop | None = None

    def unscored(self, samples: Sequence[Finished]) -> Pool:
        """Return samples as a pool without rewards."""
        return Pool(tuple(self._candidate(replace(one, step_rewards=None)) for one in samples))

    def answered(self, sampled: Sequence[Sampled]) -> Iterator[Answered]:
        """Yield the pools of questions, of fewer at a time where memory runs out."""
        parts = in_parts(
            len(sampled), len(sampled), lambda part: self._pools(sampled[part]), what="questions"
        )
        for part, pools in parts:
            for own, pool in zip(sampled[part], pools, strict=True):
                if self.stop is not None:
                    pool = self.stop.mark(pool, most=self.settings.num_return_sequences)
                yield Answered(own.index, pool, own.lacks)

    def _pools(self, sampled: Sequence[Sampled]) -> list[Pool]:
        pools = [sorted([*own.found, *own.drawn], key=lambda one: one.sample) for own in sampled]
        near = self._near(pools)
        prompts = [own.prompt for own in sampled]
        if self.reward_model is not None:
            pools = self._scored(self.reward_model, prompts, pools)
        found = [
            tuple(map(self._candidate, pool, own)) for pool, own in zip(pools, near, strict=True)
        ]
        if self.reward_model is None:
            return [Pool(own) for own in found]
        beams = self._searched(self.reward_model, prompts)
        _warn_of_missing_rewards(found)
        return [Pool(*own) for own in zip(found, beams, strict=True)]

    def _near(self, pools: Sequence[Sequence[Finished]]) -> Sequence[Sequence[Nearest | None]]:
        if self.nearest is None:
            return [[None] * len(pool) for pool in pools]
        return [
            [None if one.states is None else self.nearest.of(one.states) for one in pool]
            for pool in pools
        ]

    def _searched(
        self, reward_model: LatentRewardHead, prompts: Sequence[Sequence[int]]
    ) -> list[tuple[Candidate, ...]]:
        """Return the beams of questions, of which those that are not known are searched."""
        size, kept = self.settings.beams, self.kept
        if not size:
            return [()] * len(prompts)
        beams = [None if kept is None else kept.find_beams(prompt, size) for prompt in prompts]
        lacking = [index for index, own in enumerate(beams) if own is None]
        searched = (
            beam_search(self.model, reward_model, [prompts[i] for i in lacking], self.settings)
            if lacking
            else []
        )
        for index, own in zip(lacking, searched, strict=True):
            found = [
                replace(Finished.of(beam.trajectory), step_rewards=tuple(beam.step_rewards))
                for beam in own
            ]
            beams[index] = found
            if kept is not None:
                kept.keep_beams(prompts[index], size, found)
        return [tuple(self._candidate(one) for one in own or ()) for own in beams]

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

    def _candidate(self, sample: Finished, nearest: Nearest | None = None) -> Candidate:
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
            nearest=nearest,
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
