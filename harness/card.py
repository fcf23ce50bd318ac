"""The model cards of checkpoints that this project trained."""

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


_REWARD_CARD = """---
license: mit
base_model: {backbone}
tags: [latent-reasoning, reward-model]
---

# {name}

A LatentRM (arXiv 2510.07745) for the thoughts of `{backbone}`: a copy of its trunk and a scalar
head ({parameters:,} parameters, stored in half precision). A trajectory's reward is the sum over
its thoughts.

    lm_eval --model latent_tts --model_args pretrained={backbone},reward_model={name} …

## Labels

By `latent-tts annotate`:

| questions | trajectories N | completions M | sampler | strength |
|---|---|---|---|---|
{shards}

## Training

{training}

| recall@1 | pass@1 | coverage |
|---|---|---|
| {recall:.1%} ± {stderr:.1%} | {pass_at_1:.1%} | {coverage:.1%} |
"""


_TRAINED = """By `latent-tts train-rm`, loss {loss}, labels of {labels}, on {mixed:,} questions with
right and wrong trajectories of {read:,}; learning rate {learning_rate:g}, {batch_size} questions in
a batch, at most {epochs} epochs, seed {seed}. The head is scaled so that exp(reward) weighs votes
best on the held-out pools. The best epoch by recall@1 on {held_out:,} held-out pools:"""
_UNTRAINED = "None: an ablation, with a random head of seed {seed}. On {held_out:,} held-out pools:"


def reward_card(name: str, backbone: str, about: Mapping[str, Any], *, parameters: int) -> str:
    """Return a reward model's card as Markdown.

    Args:
        name: of the checkpoint.
        backbone: whose thoughts it scores.
        about: what `measured.json` holds.
        parameters: of the model, a count.
    """
    shards = "\n".join(
        "| {questions:,} | {trajectories} | {rollouts} | {sampler} | {strength:g} |".format(**row)
        for row in about["annotated"]
    )
    measured = about["measured"]
    return _REWARD_CARD.format(
        name=name,
        backbone=backbone,
        parameters=parameters,
        shards=shards,
        training=(_UNTRAINED if about["random_head"] else _TRAINED).format(
            **about["questions"], **about["recipe"]
        ),
        recall=measured["recall@1"],
        stderr=measured["stderr"],
        pass_at_1=measured["pass@1"],
        coverage=measured["coverage"],
    )
