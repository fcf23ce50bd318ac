"""The model that a training starts from: a checkpoint, or a new one."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, set_seed

from ...models import ModelError, load_tokenizer, resolve_checkpoint
from ...models.engine.positions import position_limit
from ...models.training import Example, Objective
from ...models.training.objectives.protocol import written
from ...models.training.tokenizer import train_tokenizer

_LEARNED_FROM = 20_000  # examples that a tokenizer is trained on
_MEASURED = 64  # the longest examples, whose tokens are counted


def load_base(
    base: str | Mapping[str, Any], examples: Sequence[Example], *, seed: int
) -> tuple[Any, Any]:
    """Return the causal language model and its tokenizer that a training starts from.

    Args:
        base: a folder, a hub id or a name; or the config of a new model.
        examples: what a new model's tokenizer is trained on.
        seed: of new weights.

    Raises:
        ModelError: no such model, one that is not causal, or a tokenizer without digits.
    """
    set_seed(seed)
    if not isinstance(base, str):
        return _new_model(dict(base), examples)
    name = resolve_checkpoint(base)
    tokenizer: Any = load_tokenizer(name)
    try:
        model = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"base={base!r} cannot be loaded as a causal language model: {error}"
        ) from error
    _check_digits(tokenizer, base)
    return model, tokenizer


def _new_model(config: dict[str, Any], examples: Sequence[Example]) -> tuple[Any, Any]:
    try:
        kind, size = config.pop("model_type"), config.pop("vocab_size")
    except KeyError as error:
        raise ModelError(
            f"base says no {error}: a new model needs model_type, such as gpt2, and vocab_size, "
            "the tokens of the tokenizer that is trained for it."
        ) from error
    step = max(1, len(examples) // _LEARNED_FROM)
    tokenizer = train_tokenizer(
        (f"{e.question}\n{written(e.steps, e.answer)}" for e in examples[::step]), vocab_size=size
    )
    ids = {
        "bos_token_id": tokenizer.eos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    try:
        made = AutoConfig.for_model(kind, vocab_size=len(tokenizer), **ids, **config)
        return AutoModelForCausalLM.from_config(made), tokenizer
    except (ValueError, TypeError) as error:
        raise ModelError(f"base={config}: no causal language model can be made: {error}") from error


def _check_digits(tokenizer: Any, base: str) -> None:
    for digit in "0123456789":
        ids = tokenizer.encode(digit, add_special_tokens=False)
        if tokenizer.unk_token_id in ids or tokenizer.decode(ids).strip() != digit:
            raise ModelError(
                f"The tokenizer of base={base!r} does not know the digit {digit}: it reads "
                f"{tokenizer.decode(ids)!r}. Numbers could not be learned; give another base."
            )


def check_lengths(
    model: Any, tokenizer: Any, examples: Sequence[Example], objective: Objective
) -> None:
    """Raise ModelError where an example takes more positions than the model has."""
    limit = position_limit(model)

    def characters(number: int) -> int:
        return len(examples[number].question) + sum(map(len, examples[number].steps))

    for number in sorted(range(len(examples)), key=characters, reverse=True)[:_MEASURED]:
        needs = objective.longest(model, tokenizer, examples[number])
        if needs > limit:
            raise ModelError(
                f"Example {number} of data ({examples[number].question[:40]!r}…) takes {needs} "
                f"positions with objective {objective.name}; the model has {limit}. Leave long "
                "examples out, have fewer thoughts, or give a base with more positions."
            )
