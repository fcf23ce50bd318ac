"""Tiny models in double precision, so that losses and gradients compare to the last digits."""

from dataclasses import dataclass

import pytest
import torch
from transformers import AutoModelForCausalLM

from latent_tts.models import AutoLatentModel, load_tokenizer
from latent_tts.models.training import Turn


@dataclass(frozen=True)
class Problem:
    question: str
    steps: tuple[str, ...]
    answer: str


PROBLEMS = [
    Problem(
        "Add " + " and ".join(str(index + term) for term in range(2 + index % 4)),
        tuple(f"<<{index}+{n}={index + n}>>" for n in range(1, 2 + index % 3)),
        str(index + 3),
    )
    for index in range(12)
]


def turns_of(problems, *, update=0, visit=0, batch=0):
    return [Turn(one, update, batch, index, visit) for index, one in enumerate(problems)]


def without_dropout(model):
    """The model without dropout of its own, which would make losses random while training."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


@pytest.fixture
def plain(checkpoints):
    """A plain GPT-2 and its tokenizer, of this test's own."""
    folder = checkpoints["coconut"]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    return without_dropout(model), load_tokenizer(folder)


@pytest.fixture
def latent(checkpoints):
    """Make a backbone of its own in double precision, and its tokenizer."""

    def make(kind):
        model = AutoLatentModel.from_pretrained(checkpoints[kind], dtype=torch.float64)
        return without_dropout(model), load_tokenizer(checkpoints[kind])

    return make
