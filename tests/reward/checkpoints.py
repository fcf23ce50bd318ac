"""Tiny reward models in the released format, written without this project's classes.

And, for tests of what uses one, a reward model with a random head, made with them.
"""

from pathlib import Path

import torch
from transformers import GPT2Model, LlamaModel, PreTrainedTokenizerFast

from latent_tts.reward import LatentRewardModel
from tests.checkpoints import (
    WIDTH,
    edit_config,
    edit_weights,
    gpt2_config,
    llama_config,
    write_codi,
)


def random_reward_model(backbone, seed=1):
    """A reward model of a backbone whose random head tells thoughts apart."""
    torch.manual_seed(seed)
    model = LatentRewardModel.from_backbone(backbone)
    torch.nn.init.normal_(model.classifier.weight)
    return model


def write_gpt2(folder: Path) -> Path:
    """Write a plain GPT-2 trunk as `transformer.*` and a linear head as `classifier.*`."""
    torch.manual_seed(3)
    trunk = GPT2Model(gpt2_config(300))
    return _write(folder, trunk, "transformer", "COCONUTGPT2ForTokenClassification")


def write_llama(folder: Path) -> Path:
    """Write a plain Llama trunk as `model.*` and a linear head as `classifier.*`."""
    torch.manual_seed(4)
    trunk = LlamaModel(llama_config(300))
    return _write(folder, trunk, "model", "ColarLlamaForTokenClassification")


WRITERS = {"gpt2": write_gpt2, "llama": write_llama}


def _write(folder, trunk, prefix, architecture):
    trunk.save_pretrained(folder)

    def change(tensors):
        plain = dict(tensors)
        tensors.clear()
        tensors.update({f"{prefix}.{name}": tensor for name, tensor in plain.items()})
        tensors["classifier.weight"] = torch.randn(1, WIDTH)
        tensors["classifier.bias"] = torch.randn(1)

    edit_weights(folder, change)
    return edit_config(folder, architectures=[architecture], num_labels=1)


def write_counting_codi(folder: Path) -> Path:
    """Write a CODI that often answers zero, so that some of its answers are right by chance."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(write_codi(folder))
    digits = [tokenizer.convert_tokens_to_ids(digit) for digit in "012"]

    def change(tensors):
        tensors["transformer.wte.weight"][digits] *= 2.5

    return edit_weights(folder, change)
