"""A training from its recipe to its checkpoint."""

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch

from ...models import BACKBONES, ModelError, resolve_checkpoint
from ...models.adapted import check_base
from ...models.identity import digest, tensors_digest
from ...models.joined import read_by
from ...models.precision import read_dtype
from ...models.training import Example, train
from ...models.training.adapters import add_adapters, read_adapters
from ...models.training.soft_labels import FILE, SoftLabels
from ..processes import process_state
from ..resume import keep_recipe
from .base import check_lengths, load_base, marker_tokens
from .data import read_examples, read_validation
from .measure import accuracy
from .publish import publish, without_folders
from .recipe import Recipe

logger = logging.getLogger(__name__)


def train_recipe(recipe: Recipe, output: Path) -> Mapping[str, float]:
    """Train by a recipe, going on where a killed run stopped, and write checkpoint and card.

    Args:
        recipe: everything that determines the checkpoint.
        output: its folder; what a killed run goes on from lies in its `training`.

    Returns:
        What was measured at the end.

    Raises:
        ModelError: a setting that cannot be used, or a folder that another recipe began.
        TaskError: data that cannot be read.
    """
    read_dtype(recipe.publish.dtype)
    plan = recipe.plan
    examples = read_examples(recipe.data, split="train", seed=plan.seed)
    questions = read_validation(
        recipe.validation, count=recipe.validation_count, learned=examples, seed=plan.seed
    )
    state = process_state()
    model, tokenizer, base = load_base(recipe.base, examples, recipe.objective, seed=plan.seed)
    recipe.objective.check_sampler(model, recipe.sampler)
    adapter = None if recipe.adapter is None else resolve_checkpoint(recipe.adapter)
    if adapter is not None:
        check_base(adapter, base, str(recipe.base))
    record = _record(recipe, examples, _weights(base, adapter))
    check_lengths(model, tokenizer, examples, recipe.objective)
    latent = recipe.objective.backbone is not None
    peft_model = add_adapters(
        model,
        recipe.lora,
        also=recipe.objective.own_modules,
        tokens=marker_tokens(model) if latent else (),
        start=adapter,
    )
    file = output / "training" / "recipe.json"
    with state.main_process_first():
        keep_recipe(file, record, otherwise=lambda differs: _begun_otherwise(file, differs))
    model.to(state.device)

    measure = None
    if questions:
        backbone = model if latent else read_by(BACKBONES["explicit"], model, tokenizer)
        measure = partial(accuracy, backbone, tokenizer, questions)
    trained = train(
        model,
        tokenizer,
        examples,
        recipe.objective,
        plan,
        folder=output / "training",
        sampler=recipe.sampler,
        measure=measure,
        quiet=not state.is_main_process,
    )
    if state.is_main_process:
        labels = recipe.objective.soft_labels_of(model, tokenizer, examples, trained.helpers)
        about = {
            "base_digest": base,
            "examples": len(examples),
            "held_out": len(questions),
            "device": _device(state.device),
            "command": " ".join(["latent-tts", *map(without_folders, sys.argv[1:])]),
        }
        publish(
            output, recipe, model, tokenizer, peft_model=peft_model, trained=trained, about=about
        )
        if labels is not None:
            _write_labels(labels, recipe, output, base)
        logger.info("Wrote %s", output)
    state.wait_for_everyone()
    return trained.measured


def _write_labels(labels: SoftLabels, recipe: Recipe, output: Path, base: str) -> None:
    """Write soft labels beside the checkpoint, bound to the weights that the next stage reads."""
    alone = recipe.lora.lora_rank and not recipe.publish.merge
    again = base if alone else load_base(str(output), (), recipe.objective, seed=0)[2]
    labels.write(output / FILE, _weights(again, str(output) if alone else None))


def _record(
    recipe: Recipe, examples: Sequence[Example], start: dict[str, str]
) -> dict[str, object]:
    """Return all that the weights depend on, by which a killed run knows that it goes on."""
    learned = (json.dumps([e.question, *e.steps, e.answer]).encode() for e in examples)
    begun = recipe.objective.begin(examples, start)
    return recipe.record() | {"examples": digest(learned), **start, **begun}


def _weights(base: str, adapter: str | None) -> dict[str, str]:
    """Return digests of the weights that a training starts from: a base's, and adapters'."""
    if adapter is None:
        return {"weights": base}
    return {"weights": base, "adapter": tensors_digest(read_adapters(Path(adapter)))}


def _begun_otherwise(file: Path, differs: str) -> ModelError:
    return ModelError(
        f"{file} was begun otherwise: {differs}. Repeat the command that began it, or choose "
        "another --output."
    )


def _device(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)} of a CPU"
