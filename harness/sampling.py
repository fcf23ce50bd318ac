"""From questions to pools: tokenise, sample, score, decode."""

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..models import LatentGenerateOutput, LatentSettings
from ..models.memory import is_out_of_memory, release_memory
from ..models.rows import Record
from ..models.scheduler import most_rows, sample
from ..models.tokens import pad_left
from ..reward import beam_search
from ..tasks import Candidate, Pool

logger = logging.getLogger(__name__)


def draw_pools(
    model: Any,
    tokenizer: Any,
    questions: Sequence[str],
    settings: LatentSettings,
    *,
    batch_size: int | None = None,
    reward_model: Any = None,
    sample_offset: int = 0,
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
        batch_size: most questions in the batch; None for as many as fit.
        reward_model: scores every candidate; None for no rewards.
        sample_offset: index of the first sample of each question.
        until: texts that end an answer; what follows them is cut off.
        done: called with each question's place and pool as soon as it is there.

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
    order = sorted(range(len(prompts)), key=lambda place: (-len(prompts[place]), place))
    reader = _Reader(model, tokenizer, settings, reward_model, sample_offset, until)
    longest = len(prompts[order[0]])
    together = 1
    if reward_model is not None:
        rows = most_rows(model, settings, longest=longest)
        together = min(batch_size or len(prompts), -(-rows // settings.num_return_sequences))
    pools: dict[int, Pool] = {}
    drawn: list[_Drawn] = []
    trajectories = sample(
        model,
        [prompts[place] for place in order],
        settings.without_beams(),
        sample_offset=sample_offset,
        batch_size=batch_size,
    )
    for number, record in trajectories:
        drawn.append(_Drawn(order[number], prompts[order[number]], record))
        if len(drawn) < min(together, len(questions) - len(pools)):
            continue
        for own, pool in zip(drawn, reader.pools(drawn), strict=True):
            pools[own.place] = pool
            if done is not None:
                done(own.place, pool)
        drawn = []
    return [pools[place] for place in range(len(questions))]


@dataclass(frozen=True)
class _Drawn:
    """A question's place, its prompt's token ids, and its N rows."""

    place: int
    prompt: Sequence[int]
    record: Record


@dataclass(frozen=True)
class _Reader:
    """What turns rows into pools: rewards, beam search, and the tokenizer."""

    model: Any
    tokenizer: Any
    settings: LatentSettings
    reward_model: Any
    sample_offset: int
    until: Sequence[str]

    def pools(self, drawn: Sequence[_Drawn]) -> list[Pool]:
        """Return the pools of questions, fewer at a time where memory runs out."""
        try:
            return self._pools(drawn)
        except Exception as error:
            if len(drawn) == 1 or not is_out_of_memory(error):
                raise
        # Outside of the handler, whose traceback holds the tensors.
        release_memory()
        half = len(drawn) // 2
        logger.warning("Out of memory: scoring %d questions at once.", half)
        return self.pools(drawn[:half]) + self.pools(drawn[half:])

    def _pools(self, drawn: Sequence[_Drawn]) -> list[Pool]:
        input_ids, mask = pad_left([own.prompt for own in drawn], self.model.latent_tokens.pad)
        count = self.settings.num_return_sequences
        record = Record.join([own.record for own in drawn])
        output = record.output(input_ids.to(record.tokens.device).repeat_interleave(count, dim=0))
        rewards = None
        if self.reward_model is not None:
            thoughts, lengths = (
                torch.as_tensor(values).unflatten(0, (len(drawn), -1))
                for values in (output.latent_thoughts, output.latent_lengths)
            )
            rewards = self.reward_model.score(
                input_ids, mask, latent_thoughts=thoughts, lengths=lengths
            ).flatten(0, 1)
        candidates = list(self._candidates(output, rewards))
        beams: list[list[Candidate]] = [[] for _ in drawn]
        if self.settings.beams:
            found = beam_search(
                self.model,
                self.reward_model,
                input_ids=input_ids,
                attention_mask=mask,
                settings=self.settings,
                sample_offset=self.sample_offset,
            )
            rows = self._candidates(found.output, found.step_rewards)
            for place, candidate in zip(found.questions.tolist(), rows, strict=True):
                beams[place].append(candidate)
        pools = [
            Pool(tuple(candidates[place * count : (place + 1) * count]), tuple(own))
            for place, own in enumerate(beams)
        ]
        if self.reward_model is not None:
            _warn_of_missing_rewards(pools)
        return pools

    def _candidates(
        self, output: LatentGenerateOutput, rewards: torch.Tensor | None
    ) -> Iterable[Candidate]:
        ids = output.answer_ids()
        rows = zip(
            ids,
            torch.as_tensor(output.latent_lengths).tolist(),
            torch.as_tensor(output.answer_lengths).tolist(),
            torch.as_tensor(output.truncated).tolist(),
            [None] * len(ids) if rewards is None else rewards.tolist(),
            strict=True,
        )
        for answer_ids, thoughts, tokens, truncated, steps in rows:
            text = self.tokenizer.decode(answer_ids)
            cuts = [text.find(stop) for stop in self.until if stop and stop in text]
            text = text[: min(cuts)] if cuts else text
            steps = None if steps is None else steps[:thoughts]
            yield Candidate(
                text=text,
                answer=self.model.read_answer(text),
                thoughts=thoughts,
                answer_tokens=tokens,
                truncated=truncated and not cuts,
                # From the sixth decimal on they depend on what else was in the batch.
                reward=None if steps is None else round(sum(steps), 6),
                step_rewards=None if steps is None else tuple(round(r, 6) for r in steps),
            )


def _warn_of_missing_rewards(pools: Sequence[Pool]) -> None:
    unscored = sum(
        not any(math.isfinite(candidate.reward or 0.0) for candidate in pool.candidates)
        for pool in pools
    )
    if unscored:
        logger.warning(
            "%d questions have no reward that is a number: what needs one counts as wrong for them "
            "(the metric `unscored`). Is the precision too low? Try dtype=float32.",
            unscored,
        )
