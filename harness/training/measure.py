"""How right a model is on questions it does not learn from."""

from collections.abc import Mapping, Sequence
from typing import Any

from ...models.generation import GeneratesLatents
from ...tasks import Question
from ..sample import sampled_metrics


def accuracy(
    model: GeneratesLatents, tokenizer: Any, questions: Sequence[Question], how: Mapping[str, Any]
) -> Mapping[str, float]:
    """Return the accuracy of deterministic thoughts or greedy chains, its stderr, and n.

    Args:
        model: a backbone.
        tokenizer: the model's.
        questions: with their gold answers.
        how: generation settings, such as `latent_length`.
    """
    settings = model.settings(latent_do_sample=False, num_return_sequences=1, **how)
    right = sampled_metrics(model, tokenizer, questions, settings)["pass@1"]
    stderr = 0.0 if len(right) == 1 else float(right.sem())
    return {"accuracy": float(right.mean()), "stderr": stderr, "n": float(len(right))}
