"""The checkpoint and its card, written once a training has ended."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from transformers import PreTrainedTokenizerBase

from ...models import BACKBONES, LatentGenerationConfig, latent_class, load_tokenizer
from ...models.adapted import write_base
from ...models.precision import read_dtype
from ...models.training import Trained
from ...results.reports.table import plus_minus
from ..card import card_text
from .recipe import Recipe

T = TypeVar("T")


def publish(
    output: Path,
    recipe: Recipe,
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    *,
    peft_model: Any,
    trained: Trained,
    about: Mapping[str, Any],
) -> None:
    """Write the checkpoint and its card into a folder, the weights last.

    Args:
        output: the folder.
        recipe: says how.
        model: that was trained.
        tokenizer: the model's.
        peft_model: peft's view of the model, None where it has no adapters.
        trained: what the training did.
        about: what else the card says.
    """
    counts = {
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "trained": sum(weight.numel() for weight in model.parameters() if weight.requires_grad),
    }
    new = output / "training" / "published"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    if recipe.objective.backbone is not None:
        model.generation_config = LatentGenerationConfig(
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            **{
                **recipe.objective.generation(trained.updates, trained.updates),
                **recipe.publish.generation,
            },
        )
    _save(new, recipe, model, tokenizer, peft_model=peft_model, digest=about["base_digest"])
    settings = recipe.record() | ({"adapter": recipe.adapter} if recipe.adapter else {})
    card = card_text("model").format(
        name=recipe.name,
        base=without_folders(recipe.base) if isinstance(recipe.base, str) else "random weights",
        objective=recipe.objective.name,
        data=", ".join(map(_source, recipe.data)),
        updates=trained.updates,
        minutes=trained.minutes,
        settings=yaml.safe_dump(without_folders(settings), sort_keys=False),
        curve=_curve(trained),
        **counts,
        **{name: about[name] for name in ("examples", "held_out", "device", "command")},
    )
    (new / "README.md").write_text(card, encoding="utf-8")
    for file in sorted(new.iterdir(), key=lambda file: file.suffix == ".safetensors"):
        os.replace(file, output / file.name)
    new.rmdir()


def _save(
    new: Path,
    recipe: Recipe,
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    *,
    peft_model: Any,
    digest: str,
) -> None:
    """Write weights, configs and the tokenizer, that of adapters only if it is not their base's."""
    dtype = read_dtype(recipe.publish.dtype)
    explicit = recipe.objective.backbone is None
    own: Any = type(model)  # a latent reasoner's class reads them, with their base or alone
    kinds = [own, latent_class(BACKBONES["explicit"], own)] if explicit else [own]
    if peft_model is None:
        model.to(dtype).save_pretrained(new)
    elif recipe.publish.merge:
        model = peft_model.merge_and_unload().to(dtype)
        model.save_pretrained(new)
    else:
        for one in peft_model.peft_config.values():
            one.base_model_name_or_path = str(recipe.base)  # not where it lies on this machine
            one.target_modules = sorted(one.target_modules)  # a set's order is another each time
        peft_model.to(dtype).save_pretrained(new, save_embedding_layers=False)
        write_base(new, str(recipe.base), digest)
        kinds = kinds[-1:]
        if not explicit:
            model.generation_config.save_pretrained(new)
    model.config.architectures = [kind.__name__ for kind in kinds]
    model.config.save_pretrained(new)
    if peft_model is None or recipe.publish.merge or not _is_of(tokenizer, str(recipe.base)):
        tokenizer.save_pretrained(new)


def _is_of(tokenizer: PreTrainedTokenizerBase, base: str) -> bool:
    """Return whether a tokenizer is as its base has it: adapters need none of their own then."""
    found: Any = load_tokenizer(base)
    same = tokenizer.chat_template == found.chat_template
    return same and tokenizer.get_vocab() == found.get_vocab()


def without_folders(given: T) -> T:
    """Return what a card says of settings: of files and folders of this machine, their names."""
    found: Any = given
    if isinstance(given, str):
        found = Path(given).name if Path(given).is_absolute() else given
    elif isinstance(given, Mapping):
        found = {name: without_folders(value) for name, value in given.items()}
    elif isinstance(given, list | tuple):
        found = [without_folders(value) for value in given]
    return found


def _source(source: str | Mapping[str, Any]) -> str:
    if isinstance(source, str):
        return f"`{Path(source).name}`"
    return f"{source['arith']:,} generated problems"


def _curve(trained: Trained) -> str:
    """Return the rows of the card's table: what was measured, with the loss before it."""
    rows, loss = [], float("nan")

    def row(found: Mapping[str, float]) -> str:
        accuracy = plus_minus(found["accuracy"], found["stderr"])
        return "| {step:,} | {minutes:.0f} | {loss:.3f} | ".format(**found) + f"{accuracy} |"

    for entry in trained.log:
        loss = entry.get("loss", loss)
        if "eval_n" in entry and entry["step"] < trained.updates:
            found = {name.removeprefix("eval_"): value for name, value in entry.items()}
            rows.append(row(found | {"loss": loss, "step": int(entry["step"])}))
    if trained.measured:
        last = {"step": trained.updates, "minutes": trained.minutes, "loss": loss}
        rows.append(row({**last, **trained.measured}))
    return "\n".join(rows)
