"""How right a model is on questions it does not learn from."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ...models import ModelError
from ...models.engine.positions import position_limit
from ...models.training.objectives.explicit import format_prompt, read_answer
from ...tasks import Question, is_correct
from ..sample import sampled_metrics

_TOGETHER = 32  # questions


def measure_explicit(
    model: Any, tokenizer: Any, questions: Sequence[Question], *, max_new_tokens: int = 128
) -> Mapping[str, float]:
    """Return the accuracy of greedy written chains with its standard error, and their number."""
    right = []
    order = sorted(questions, key=lambda question: len(question.text))
    for start in range(0, len(order), _TOGETHER):
        part = order[start : start + _TOGETHER]
        given = tokenizer(
            [format_prompt(question.text) for question in part],
            add_special_tokens=False,
            padding=True,
            return_tensors="pt",
        ).to(model.device)
        width = given["input_ids"].shape[1]
        room = position_limit(model) - width
        if room < 1:
            raise ModelError(
                f"A validation question takes {width} tokens, and the model has only "
                f"{width + room} positions. Leave it out, or give a base with more positions."
            )
        with torch.no_grad():
            found = model.generate(
                **given,
                do_sample=False,
                max_new_tokens=min(max_new_tokens, room),
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        texts = tokenizer.batch_decode(found[:, width:], skip_special_tokens=True)
        answers = [read_answer(text) for text in texts]
        right += [is_correct(a, q.gold) for a, q in zip(answers, part, strict=True)]
    return share(right)


def measure_latent(
    model: Any, tokenizer: Any, questions: Sequence[Question], how: Mapping[str, Any]
) -> Mapping[str, float]:
    """Return the accuracy of deterministic thoughts, sampled by the engine, as `share` does.

    Args:
        model: a backbone.
        tokenizer: the model's.
        questions: with their gold answers.
        how: generation settings, such as `latent_length`.
    """
    settings = model.settings(latent_do_sample=False, num_return_sequences=1, **how)
    return share(list(sampled_metrics(model, tokenizer, questions, settings)["pass@1"]))


def share(right: Sequence[bool | float]) -> Mapping[str, float]:
    """Return the mean of what is right, its standard error, and how many there are."""
    count = len(right)
    mean = sum(right) / count
    return {
        "accuracy": mean,
        "stderr": (mean * (1 - mean) / max(1, count - 1)) ** 0.5,
        "n": float(count),
    }
