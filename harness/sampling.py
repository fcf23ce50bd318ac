"""From questions to pools: tokenise, batch, generate, decode."""

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from accelerate.utils.memory import should_reduce_batch_size

from ..models import LatentGenerateOutput, LatentSettings
from ..models.tokens import pad_left
from ..reward import beam_search
from ..tasks import Candidate, Pool

logger = logging.getLogger(__name__)

# Rows in one batch when batch_size=auto on a CPU: enough to fill its matrix units, and little
# memory.
_CPU_ROWS = 256
# Share of the free accelerator memory that batch_size=auto plans with.
_MEMORY_SHARE = 0.5


def draw_pools(
    model: Any,
    tokenizer: Any,
    questions: Sequence[str],
    settings: LatentSettings,
    *,
    batch_size: int | None = None,
    max_batch_size: int | None = None,
    reward_model: Any = None,
    sample_offset: int = 0,
    until: Sequence[str] = (),
    done: Callable[[int, Pool], None] | None = None,
) -> list[Pool]:
    """Sample `num_return_sequences` candidates for every question.

    Questions of like length share a batch. What a batch holds changes no sample, so running out
    of memory halves the batch and goes on.

    Args:
        model: a backbone.
        tokenizer: the model's.
        questions: texts, without the backbone's prompt format.
        settings: resolved settings; beam search comes on top where they ask for it.
        batch_size: questions in a batch; None chooses it.
        max_batch_size: most questions in a batch that is chosen.
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
    order = sorted(range(len(prompts)), key=lambda place: (-len(prompts[place]), place))
    size = batch_size or min(
        automatic_batch_size(model, settings, longest=len(prompts[order[0]])),
        max_batch_size or len(prompts),
    )
    pools: dict[int, Pool] = {}
    start = 0
    while start < len(order):
        batch = order[start : start + size]
        try:
            drawn = _draw_batch(
                model,
                tokenizer,
                [prompts[place] for place in batch],
                settings,
                reward_model,
                sample_offset,
                until,
            )
        except Exception as error:
            if len(batch) == 1 or not should_reduce_batch_size(error):
                raise
            size = len(batch) // 2
            logger.warning("Out of memory: going on with %d questions in a batch.", size)
            _release_memory()
            continue
        if reward_model is not None:
            _warn_of_missing_rewards(drawn)
        start += len(batch)
        for place, pool in zip(batch, drawn, strict=True):
            pools[place] = pool
            if done is not None:
                done(place, pool)
    return [pools[place] for place in range(len(questions))]


def automatic_batch_size(model: Any, settings: LatentSettings, *, longest: int) -> int:
    """Return how many questions fill a batch: by memory on an accelerator, by rows on a CPU."""
    rows = _CPU_ROWS
    if model.device.type == "cuda":
        config = model.config
        positions = longest + settings.max_new_tokens
        # Keys and values of every layer, twice over because a growing cache is copied.
        row_bytes = 4 * positions * config.num_hidden_layers * config.hidden_size
        row_bytes *= torch.finfo(model.dtype).bits // 8
        free, _ = torch.cuda.mem_get_info(model.device)
        rows = int(free * _MEMORY_SHARE) // row_bytes
    return max(1, rows // settings.num_return_sequences)


def _draw_batch(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    settings: LatentSettings,
    reward_model: Any,
    sample_offset: int,
    until: Sequence[str],
) -> list[Pool]:
    input_ids, mask = pad_left(prompts, model.latent_tokens.pad)
    output = model.generate(
        input_ids=input_ids,
        attention_mask=mask,
        generation_config=settings.without_beams(),
        sample_offset=sample_offset,
        return_dict_in_generate=True,
    )
    rewards = None
    if reward_model is not None:
        thoughts, lengths = (
            torch.as_tensor(field).unflatten(0, (len(prompts), -1))
            for field in (output.latent_thoughts, output.latent_lengths)
        )
        scores = reward_model.score(input_ids, mask, latent_thoughts=thoughts, lengths=lengths)
        rewards = scores.flatten(0, 1)
    candidates = list(_candidates(model, tokenizer, output, until, rewards))
    beams: list[list[Candidate]] = [[] for _ in prompts]
    if settings.beams:
        found = beam_search(
            model,
            reward_model,
            input_ids=input_ids,
            attention_mask=mask,
            settings=settings,
            sample_offset=sample_offset,
        )
        rows = _candidates(model, tokenizer, found.output, until, found.step_rewards)
        for place, candidate in zip(found.questions.tolist(), rows, strict=True):
            beams[place].append(candidate)
    count = settings.num_return_sequences
    return [
        Pool(tuple(candidates[place * count : (place + 1) * count]), tuple(own))
        for place, own in enumerate(beams)
    ]


def _candidates(
    model: Any,
    tokenizer: Any,
    output: LatentGenerateOutput,
    until: Sequence[str],
    rewards: torch.Tensor | None,
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
        text = tokenizer.decode(answer_ids)
        cuts = [text.find(stop) for stop in until if stop and stop in text]
        text = text[: min(cuts)] if cuts else text
        yield Candidate(
            text=text,
            answer=model.read_answer(text),
            thoughts=thoughts,
            answer_tokens=tokens,
            truncated=truncated and not cuts,
            # What lies below the sixth decimal depends on what else was in the batch.
            reward=None if steps is None else round(sum(steps[:thoughts]), 6),
            step_rewards=None if steps is None else tuple(round(r, 6) for r in steps[:thoughts]),
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


def _release_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
