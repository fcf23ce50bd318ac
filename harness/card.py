"""The model card of a checkpoint that this project trained."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .recipe import Recipe

_CARD = """---
license: mit
base_model: none
tags: [latent-reasoning, coconut]
---

# {name}

A tiny COCONUT (GPT-2 architecture, {parameters:,} parameters, a tokenizer of its own, stored in
half precision) that solves generated arithmetic word problems with {thoughts} thoughts in the
place of written steps. It exists so that `lm_eval --model latent_tts` runs anywhere, without a hub
connection, and shows what sampling in latent space does. It is no general reasoner.

## Data

{problems:,} training problems of `latent_tts.tasks.arith` (seed {seed}), {hard:.0%} of them with
larger numbers. No training problem is a test problem, nor one with other numbers, and the test
problems hold back a fifth of the sentence patterns. Accuracy below is on {validation} validation
problems (no held-back patterns), deterministic, with its standard error.

## Training

After the curriculum of arXiv 2412.06769, with a linear probe (weight {probe_weight:g}, thrown away
after training) that reads each step's result from the state after its thoughts, as SIM-CoT
(arXiv 2509.20317) does with a decoder. By

    latent-tts train coconut --output {name}{options}

| stage | thoughts | optimizer steps | minutes | device | validation accuracy |
|---|---|---|---|---|---|
{stages}

The first stage writes its steps out; the last writes only the answer. Training problems have
results up to 100, validation and test problems up to 30 and their hard twins up to 150.

## Sampling

generation_config.json holds the sampler that `latent-tts sweep` on validation problems suggested:
`latent_do_sample_by={latent_do_sample_by}`, `noise_std={noise_std:g}`, `dropout_p={dropout_p:g}`,
N = {num_return_sequences}.
"""


def model_card(
    name: str, recipe: Recipe, measured: Sequence[Mapping[str, Any]], *, parameters: int
) -> str:
    """Return the card's Markdown.

    Args:
        name: of the checkpoint.
        recipe: that made it.
        measured: of each stage, as `measured.json` holds it.
        parameters: of the model, a count.
    """
    defaults = asdict(Recipe())
    options = "".join(
        f" --{field.replace('_', '-')} {value}"
        for field, value in asdict(recipe).items()
        if value != defaults[field]
    )
    stages = "\n".join(
        "| {name} | {thoughts} | {updates} | ".format(**row["stage"])
        + f"{row['seconds'] / 60:.0f} | {row['device']} | "
        + "{accuracy:.1%} ± {stderr:.1%} |".format(**row["validation"])
        for row in measured
    )
    return _CARD.format(
        name=name,
        parameters=parameters,
        thoughts=recipe.latent_length,
        hard=recipe.hard_share,
        options=options,
        stages=stages,
        **{name: value for name, value in asdict(recipe).items() if name != "hard_share"},
    )
