"""`latent-tts measure`: what samples cost, and what thoughts that are mixtures hold."""

from typing import Any

import click
import pandas as pd

from ...models import sample, tokenizer_of
from ...models.measures import measures
from ..checkpoint import CheckpointOptions
from ..questions import QuestionOptions
from . import HELP
from .options import checkpoint_options, measured_options


@click.command(context_settings=HELP)
@click.option("--pretrained", default="tiny-coconut", help="Checkpoint.")
@checkpoint_options
@click.option("--against", help="Checkpoint that writes its chains (backbone explicit).")
@measured_options(samples=1, problems=100, called="Unless others are given.")
def measure(
    pretrained: str,
    against: str | None,
    samples: int,
    problems: int,
    seed: int,
    asked: QuestionOptions,
    checkpoint: CheckpointOptions,
) -> None:
    """Print thoughts, tokens and FLOPs of a question, and the spread of mixtures.

    Each number is a mean over questions, with its standard error. docs/mixtures.md defines them.
    """
    texts = [question.text for question in asked.load_or_generate(problems, seed=seed)]
    written = None
    if against is not None:
        chains = _measured(
            against, CheckpointOptions(backbone="explicit"), texts, {"seed": seed}, None
        )
        written = float(pd.Series(chains["answer_tokens"]).mean())
    given = {"num_return_sequences": samples, "seed": seed}
    found = _measured(pretrained, checkpoint, texts, given, written)
    rows = [
        {"measure": name, "mean": one.mean(), "stderr": one.sem(), "n": len(one)}
        for name, values in found.items()
        for one in [pd.Series(values)]
    ]
    click.echo(pd.DataFrame(rows).to_string(index=False, float_format="{:.4g}".format))


def _measured(
    name: str,
    checkpoint: CheckpointOptions,
    texts: list[str],
    given: dict[str, Any],
    written: float | None,
) -> dict[str, list[float]]:
    model = checkpoint.load(name)
    tokenizer = tokenizer_of(model)
    prompts = [model.encode_prompt(tokenizer, text) for text in texts]
    settings = model.settings(**given)
    found = list(sample(model, prompts, settings))
    return measures(model, [*map(len, prompts)], found, settings, written=written)
