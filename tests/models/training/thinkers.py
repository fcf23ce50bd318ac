"""Tiny models that are trained to think in mixtures, on either trunk, with their tokenizers."""

import shutil

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from latent_tts.models.training.soft_labels import SoftLabels, example_key
from tests.checkpoints import write_coconut
from tests.models.mixtures.checkpoints import write_checkpoint

TEMPLATE = "{{ messages[-1]['content'].split('\\n', 1)[1] + '\\n' }}"


def write_thinker(folder, trunk):
    """Write a plain model whose tokenizer has a chat template: a GPT-2, or a Llama-3's."""
    if trunk != "GPT2":
        return write_checkpoint(folder, "llama")
    write_coconut(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    shutil.rmtree(folder)
    tokenizer.chat_template = TEMPLATE
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def labels_of(problems, thoughts, *, rate=2, start=()):
    """Soft labels of some problems from their thoughts, each (ids, weights)."""
    return SoftLabels(
        keys=torch.tensor([example_key(problem) for problem in problems]),
        ends=torch.tensor([len(ids) for ids, _ in thoughts]).cumsum(0),
        ids=torch.cat([ids for ids, _ in thoughts]).int(),
        shares=torch.cat([weights for _, weights in thoughts]).half(),
        rate=rate,
        start=dict(start),
    )
