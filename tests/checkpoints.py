"""Tiny random checkpoints in the released formats, written without this project's classes.

Plain transformers models are saved, the projector or latent head is put into the safetensors file
by hand, and config.json is edited to hold the released fields. The scales are chosen so that
answers differ between samples, some answers end by themselves, and CoLaR stops thinking after 0,
several or the most thoughts.
"""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

WIDTH = 48
POSITIONS = 192
RANGE = 0.2  # of the weights
EOS = "<|endoftext|>"
LATENT_TOKENS = ("<|start-latent|>", "<|end-latent|>", "<|latent|>")


def write_coconut(folder: Path) -> Path:
    """Write a tiny GPT-2 named COCONUTGPT2; return the folder."""
    tokenizer = _tokenizer(latent=True)
    model = _gpt2(tokenizer, seed=10)
    return _write(folder, model, tokenizer, "COCONUTGPT2", _placeholders(), {})


def write_codi(folder: Path) -> Path:
    """Write a tiny GPT-2 named CODIGPT2, with a projector; return the folder."""
    tokenizer = _tokenizer(latent=True)
    model = _gpt2(tokenizer, seed=10)
    config, tensors = _projector(WIDTH)
    return _write(folder, model, tokenizer, "CODIGPT2", _placeholders() | config, tensors)


def write_colar(folder: Path) -> Path:
    """Write a tiny Llama named ColarLlama, with a latent head; return the folder."""
    tokenizer = _tokenizer(latent=False)
    model = _llama(tokenizer, seed=25)
    config, tensors = _latent_head(WIDTH)
    config |= {"latent_id": -1, "latent_start_id": -1, "latent_end_id": -1}
    return _write(folder, model, tokenizer, "ColarLlama", config, tensors)


WRITERS: dict[str, Callable[[Path], Path]] = {
    "coconut": write_coconut,
    "codi": write_codi,
    "colar": write_colar,
}


# Sizes of trunks; SmolLM2's heads are the 135M model's.
_SIZES = {
    "vocab_size": 262,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "max_position_embeddings": POSITIONS,
    "initializer_range": 2 * RANGE,
    "bos_token_id": 258,
    "eos_token_id": 258,
}
_HEADS = {"hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2}
_SMOLLM2 = {"hidden_size": 36, "num_attention_heads": 9, "num_key_value_heads": 3}
TRUNKS = {
    "GPT2": GPT2Config(n_embd=32, n_layer=2, n_head=2, n_inner=64, n_positions=POSITIONS, **_SIZES),
    "Llama": LlamaConfig(**_SIZES, **_HEADS),
    "Qwen2": Qwen2Config(**_SIZES, **_HEADS),
    "Qwen3": Qwen3Config(**_SIZES, **_HEADS, head_dim=16),
    "SmolLM2": LlamaConfig(**_SIZES, **_SMOLLM2, tie_word_embeddings=True, rope_theta=100000.0),
}


def write_on_trunk(folder: Path, kind: str, trunk: str) -> Path:
    """Write what a backbone needs on one of `TRUNKS`, as a plain model of transformers.

    Its architectures name no latent reasoner, and its config holds no id of a latent token.
    """
    tokenizer = _tokenizer(latent=kind != "colar")
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(TRUNKS[trunk])
    parts = {"coconut": lambda size: ({}, {}), "codi": _projector, "colar": _latent_head}
    config, tensors = parts[kind](model.config.hidden_size)
    return _write(folder, model, tokenizer, type(model).__name__, config, tensors)


def edit_config(folder: Path, **changes: object) -> Path:
    """Change fields of config.json; None removes a field."""
    path = folder / "config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    return folder


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> Path:
    """Let `change` edit the tensors of model.safetensors in place."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})
    return folder


def _projector(size: int) -> tuple[dict[str, object], dict[str, torch.Tensor]]:
    """Return CODI's fields of config.json, and its projector's weights."""
    width = 64
    config = {"projector": True, "projector_hidden_size": width, "projector_dropout": 0.0}
    return config, {
        **_linear("projector.1", size, width, scale=0.3),
        **_linear("projector.3", width, size, scale=0.3),
        **_norm("projector.4", size),
    }


def _latent_head(size: int) -> tuple[dict[str, object], dict[str, torch.Tensor]]:
    """Return CoLaR's fields of config.json, and its latent head's weights."""
    width = 64
    return {"latent_intermediate_size": width, "latent_embedding_std": 0.018}, {
        **_linear("lt_head.fc.0", size, width, scale=0.3),
        **_linear("lt_head.fc.2", width, width, scale=0.3),
        **_norm("lt_head.fc.3", width),
        **_linear("lt_head.mean", width, size, scale=0.3),
    }


def _placeholders() -> dict[str, int]:
    return {"latent_id": -100, "latent_start_id": -1, "latent_end_id": -1, "target_id": -100}


def _tokenizer(*, latent: bool) -> PreTrainedTokenizerFast:
    """Byte-level BPE without merges but those of `###`; latent tokens are ordinary added tokens."""
    alphabet = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "##", "###", EOS]
    vocabulary = {token: index for index, token in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("#", "#"), ("##", "#")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=EOS, clean_up_tokenization_spaces=False
    )
    if latent:
        fast.add_tokens(list(LATENT_TOKENS))
    return fast


def gpt2_config(vocab_size: int, **more: int) -> GPT2Config:
    """Return the config of a tiny GPT-2."""
    own = {"n_embd": WIDTH, "n_layer": 3, "n_head": 3, "n_positions": POSITIONS}
    return GPT2Config(vocab_size=vocab_size, initializer_range=RANGE, **own, **more)


def llama_config(vocab_size: int, **more: int) -> LlamaConfig:
    """Return the config of a tiny Llama."""
    own = {"hidden_size": WIDTH, "intermediate_size": 96, "num_hidden_layers": 3}
    own |= {"num_attention_heads": 4, "num_key_value_heads": 2}
    own |= {"max_position_embeddings": POSITIONS}
    return LlamaConfig(vocab_size=vocab_size, initializer_range=RANGE, **own, **more)


def _ends(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    return dict.fromkeys(("bos_token_id", "eos_token_id"), tokenizer.eos_token_id)


def _gpt2(tokenizer: PreTrainedTokenizerFast, *, seed: int) -> GPT2LMHeadModel:
    torch.manual_seed(seed)
    model = GPT2LMHeadModel(gpt2_config(len(tokenizer), **_ends(tokenizer)))
    with torch.no_grad():  # answers end now and then
        model.transformer.wte.weight[tokenizer.eos_token_id] *= 2
    return model


def _llama(tokenizer: PreTrainedTokenizerFast, *, seed: int) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = llama_config(len(tokenizer), tie_word_embeddings=True, **_ends(tokenizer))
    model = LlamaForCausalLM(config)
    marker = tokenizer.convert_tokens_to_ids("###")
    with torch.no_grad():
        model.model.embed_tokens.weight[tokenizer.eos_token_id] *= 2
        model.model.embed_tokens.weight[marker] *= 3  # thinking ends now and then
    return model


def _linear(name: str, inputs: int, outputs: int, *, scale: float) -> dict[str, torch.Tensor]:
    return {
        f"{name}.weight": torch.randn(outputs, inputs) * scale,
        f"{name}.bias": torch.randn(outputs) * scale,
    }


def _norm(name: str, width: int) -> dict[str, torch.Tensor]:
    return {
        f"{name}.weight": 1 + 0.2 * torch.randn(width),
        f"{name}.bias": 0.2 * torch.randn(width),
    }


def _write(
    folder: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    architecture: str,
    config: dict[str, object],
    tensors: dict[str, torch.Tensor],
) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    edit_weights(folder, lambda weights: weights.update(tensors))
    return edit_config(folder, architectures=[architecture], **config)
