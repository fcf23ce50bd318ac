"""The model that a training starts from: a checkpoint, or a new one."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    GenerationConfig,
    set_seed,
)

from ...models import BACKBONES, ModelError, latent_class, load_tokenizer, resolve_checkpoint
from ...models.adapted import grow_vocabulary
from ...models.backbones.tokens import LatentTokens
from ...models.engine.positions import position_limit
from ...models.identity import checkpoint_digest
from ...models.training import Example, Objective
from ...models.training.objectives.protocol import written
from ...models.training.tokenizer import LATENT_TOKENS, train_tokenizer
from ...models.weights import load_weights

_LEARNED_FROM = 20_000  # examples that a tokenizer is trained on
_MEASURED = 1024  # the longest examples, whose tokens are counted


def load_base(
    base: str | Mapping[str, Any], examples: Sequence[Example], objective: Objective, *, seed: int
) -> tuple[Any, Any, str]:
    """Return the model that a training starts from, its tokenizer, and its weights' digest.

    Args:
        base: a folder, a hub id or a name; or the config of a new model.
        examples: what a new model's tokenizer is trained on.
        objective: whose method is joined to the model, with its markers and modules.
        seed: of new weights.

    Raises:
        ModelError: no such model, one that is not causal, or a tokenizer without digits.
    """
    set_seed(seed)
    if isinstance(base, str):
        name = resolve_checkpoint(base)
        tokenizer: Any = load_tokenizer(name)
        _check_digits(tokenizer, base)
        try:
            config = AutoConfig.from_pretrained(name)
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"base={base!r} cannot be loaded: {error}") from error
    else:
        name, tokenizer, config = None, *_new_config(dict(base), examples)
    model, digest = _load(name, config, tokenizer, objective)
    return model, tokenizer, digest


def _load(name: str | None, config: Any, tokenizer: Any, objective: Objective) -> tuple[Any, str]:
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise ModelError(
            f"base={name or config.model_type!r} is a {config.model_type} model, which "
            "transformers knows as no causal language model. Give one of those."
        )
    kind: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    joined = False
    if objective.backbone is not None:
        kind = latent_class(BACKBONES[objective.backbone], kind)
        joined = kind.__name__ in (config.architectures or ())
        for key, value in ({} if joined else objective.config(config)).items():
            setattr(config, key, value)
    # The base's own may be a latent reasoner's, which transformers refuses, or a chat model's.
    generation = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    model: Any
    if name is None:
        model = kind(config)
    else:
        model = load_weights(
            kind,
            name,
            what="base",
            advice="Give a base that was saved completely.",
            error=ModelError,
            new=() if joined else objective.own_modules,
            config=config,
            dtype=torch.float32,
            generation_config=generation,
        )
    model.generation_config = generation
    digest = checkpoint_digest(model, without=() if joined else objective.own_modules)
    if objective.backbone is not None:
        add_markers(model, tokenizer)
        model.tokenizer = tokenizer
        if not joined:
            objective.settle(model)
    return model, digest


def add_markers(model: Any, tokenizer: Any) -> None:
    """Give a backbone the tokens that frame its thoughts; new rows are the mean of all others.

    One whose markers are ordinary text needs none.
    """
    if model.ends_by != "all":
        model.latent_tokens = LatentTokens.find(model, tokenizer)
        return
    markers = {"latent_start_id": model.start_marker, "latent_end_id": model.end_marker}
    markers["latent_id"] = LATENT_TOKENS[2]
    tokenizer.add_tokens(
        [m for m in markers.values() if len(tokenizer.encode(m, add_special_tokens=False)) != 1]
    )
    for key, marker in markers.items():
        setattr(model.config, key, tokenizer.convert_tokens_to_ids(marker))
    grow_vocabulary(model, len(tokenizer))
    model.latent_tokens = LatentTokens.find(model, tokenizer)


def marker_tokens(model: Any) -> tuple[int, ...]:
    """Return the ids of a backbone's markers, whose embeddings adapters leave to be trained.

    Markers that are ordinary text have none.
    """
    if model.ends_by != "all":
        return ()
    return tuple({model.config.latent_start_id, model.config.latent_end_id})


def _new_config(config: dict[str, Any], examples: Sequence[Example]) -> tuple[Any, Any]:
    """Return a tokenizer trained on examples, and the config of a new model that knows it."""
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
    except (ValueError, TypeError) as error:
        raise ModelError(f"base={config}: no model of type {kind!r}: {error}") from error
    return tokenizer, made


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
