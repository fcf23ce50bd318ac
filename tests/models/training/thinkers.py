"""Tiny models that are trained to think in mixtures, on either trunk, with their tokenizers."""

import shutil

from transformers import AutoModelForCausalLM, AutoTokenizer

from latent_tts.models.backbones.mixture import Mixture
from latent_tts.models.training.soft_labels import SoftLabels
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


def labels_of(problems, thoughts):
    """Soft labels of some problems from their thoughts, each (ids, weights)."""
    mixtures = [Mixture(ids, weights.log()) for ids, weights in thoughts]
    return SoftLabels.gather(problems, mixtures, rate=2)
