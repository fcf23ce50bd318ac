"""Tiny models that think in mixtures, written and loaded once."""

from dataclasses import dataclass
from functools import cached_property

import pytest

from tests.models.conftest import Backbone
from tests.models.mixtures.checkpoints import write_checkpoint
from tests.models.mixtures.slow import SlowModel

QUESTIONS = (
    "Tom has 9 pears.",
    "Ann has 31 cups and 4 mugs, or more. How many?",
    "2+2?",
    "If x=7 then 3x=?",
)


@dataclass(frozen=True)
class Mixed(Backbone):
    """A checkpoint whose thoughts are mixtures."""

    @cached_property
    def slow(self):
        return SlowModel(self.folder)

    def prompts(self, count=4):
        questions = (QUESTIONS * count)[:count]
        return [self.model.encode_prompt(self.tokenizer, question) for question in questions]


@pytest.fixture(scope="session")
def mixed(tmp_path_factory):
    """Return the checkpoint of a chat format as a backbone."""
    made = {}

    def make(kind, backbone="latent_sft", *added):
        folder = tmp_path_factory.getbasetemp() / f"mixed-{kind}{len(added)}"
        if not folder.exists():
            write_checkpoint(folder, kind, *added)
        name = (kind, backbone, added)
        return made.setdefault(name, Mixed(backbone, folder, named=backbone))

    return make
