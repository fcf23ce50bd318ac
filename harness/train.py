"""Training `tiny-coconut`, the checkpoint that ships, stage by stage."""

import json
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from transformers import GPT2Config, set_seed

from ..models import COCONUTGPT2, AutoLatentModel, LatentGenerationConfig, ModelError
from ..models.backbones.tokens import LatentTokens
from ..models.recipes.coconut import Example, Stage, train_stage
from ..models.recipes.tokenizer import LATENT_TOKENS, train_tokenizer
from ..tasks import pool_metrics
from ..tasks.arith import Problem, generate
from .card import model_card
from .recipe import PUBLISHED, Recipe
from .resume import keep_recipe
from .sample import sample_pools

logger = logging.getLogger(__name__)

# The names that released configs have for the ids of LATENT_TOKENS.
LATENT_KEYS = ("latent_start_id", "latent_end_id", "latent_id")


def train_coconut(
    recipe: Recipe, output: Path, *, save_steps: int, workers: int, stop_after: str | None = None
) -> None:
    """Train a tiny COCONUT stage by stage, and write the checkpoint after the last.

    Args:
        recipe: everything that determines it.
        output: folder of the checkpoint; stages lie in its `training`.
        save_steps: updates between the checkpoints that a killed run goes on from.
        workers: processes that prepare batches.
        stop_after: name of the stage after which to stop.

    Raises:
        ModelError: another recipe began the folder.
    """
    work = output / "training"
    file = work / "recipe.json"
    trained = {name: value for name, value in asdict(recipe).items() if name not in PUBLISHED}
    other = ModelError(
        f"{file} holds another recipe than this command's. Repeat the command that began it, or "
        "choose another --output."
    )
    keep_recipe(file, trained, otherwise=other)
    set_seed(recipe.seed)
    examples = _examples(recipe)
    held_out = list(generate(split="validation", count=recipe.validation, seed=recipe.seed))
    model, tokenizer = _new_model(recipe, examples)
    for stage in recipe.stages():
        folder = work / stage.name
        if not (folder / "measured.json").exists():
            _remove_unfinished(folder)
            set_seed(recipe.seed)  # whatever stages this process has trained before
            started = time.perf_counter()
            arguments = _arguments(recipe, stage, save_steps=save_steps, workers=workers)
            train_stage(
                model.train(), tokenizer, examples, stage, folder=folder, arguments=arguments
            )
            seconds = time.perf_counter() - started
            model.eval().save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            _note(folder, stage, seconds, model, tokenizer, held_out)
        model = AutoLatentModel.from_pretrained(folder).to(_device())
        if stage.name == stop_after:
            return
    _publish(output, recipe, model, tokenizer)


def _examples(recipe: Recipe) -> list[Example]:
    hard = round(recipe.problems * recipe.hard_share)
    problems = [
        problem
        for count, is_hard in ((recipe.problems - hard, False), (hard, True))
        if count
        for problem in generate(split="train", count=count, seed=recipe.seed, hard=is_hard)
    ]
    return [Example(problem.question, problem.steps, problem.answer) for problem in problems]


def _new_model(recipe: Recipe, examples: Sequence[Example]) -> tuple[Any, Any]:
    texts = (
        f"{example.question}\n{chr(10).join(example.steps)}\n### {example.answer}"
        for example in examples[:: max(1, len(examples) // 20_000)]
    )
    tokenizer = train_tokenizer(texts, vocab_size=recipe.vocab_size)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=recipe.width,
        n_layer=recipe.layers,
        n_head=recipe.heads,
        n_positions=recipe.positions,
        # The tanh approximation as one fused kernel; "gelu_new" is the same in many.
        activation_function="gelu_pytorch_tanh",
        resid_pdrop=recipe.dropout,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    for key, token in zip(LATENT_KEYS, LATENT_TOKENS, strict=True):
        setattr(config, key, tokenizer.convert_tokens_to_ids(token))
    model = COCONUTGPT2(config)
    model.latent_tokens = LatentTokens.find(model, tokenizer)
    model.to(_device())
    return model, tokenizer


def _arguments(recipe: Recipe, stage: Stage, *, save_steps: int, workers: int) -> dict[str, Any]:
    """Return transformers' TrainingArguments of a stage, but for those that the stage names."""
    return {
        "per_device_train_batch_size": recipe.batch_size,
        "seed": recipe.seed,
        "data_seed": recipe.seed,
        "warmup_steps": min(200, stage.updates // 10),
        "weight_decay": 0.01,
        "adam_beta2": 0.98,
        "save_steps": save_steps,
        "save_total_limit": 1,
        "logging_steps": 100,
        "dataloader_num_workers": workers,
        "report_to": ["tensorboard"],
        "use_cpu": not torch.cuda.is_available(),
        "dataloader_pin_memory": torch.cuda.is_available(),
    }


def _note(
    folder: Path,
    stage: Stage,
    seconds: float,
    model: Any,
    tokenizer: Any,
    held_out: Sequence[Problem],
) -> None:
    """Measure a stage; its `measured.json` says that it is done."""
    accuracy, error = measure(model, tokenizer, held_out, latent_length=stage.thoughts)
    measured = {
        "stage": asdict(stage),
        "seconds": round(seconds, 1),
        "device": str(model.device),
        "validation": {"n": len(held_out), "accuracy": accuracy, "stderr": error},
    }
    logger.info("%s", json.dumps(measured))
    (folder / "measured.json").write_text(json.dumps(measured, indent=2))


def _remove_unfinished(folder: Path) -> None:
    """Remove checkpoints that were being written when a run was killed: their last file lacks."""
    for checkpoint in folder.glob("checkpoint-*"):
        if not (checkpoint / "trainer_state.json").exists():
            shutil.rmtree(checkpoint)


def measure(
    model: Any, tokenizer: Any, problems: Sequence[Problem], *, latent_length: int
) -> tuple[float, float]:
    """Return the deterministic accuracy on problems and its standard error."""
    settings = model.settings(latent_length=latent_length, latent_do_sample=False)
    pools = sample_pools(model, tokenizer, [problem.question for problem in problems], settings)
    right = [
        pool_metrics(pool, problem.answer)["pass@1"]
        for pool, problem in zip(pools, problems, strict=True)
    ]
    share = sum(right) / len(right)
    return share, (share * (1 - share) / max(1, len(right) - 1)) ** 0.5


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _publish(output: Path, recipe: Recipe, model: Any, tokenizer: Any) -> None:
    """Write the checkpoint, in half precision to halve what the package weighs, and its card."""
    model.half()
    model.generation_config = LatentGenerationConfig(
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        latent_length=recipe.latent_length,
        **{name: getattr(recipe, name) for name in PUBLISHED},
    )
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    measured = [
        json.loads((output / "training" / stage.name / "measured.json").read_text())
        for stage in recipe.stages()
    ]
    card = model_card(output.name, recipe, measured, parameters=model.num_parameters())
    (output / "README.md").write_text(card)
    logger.info("Wrote %s", output)
