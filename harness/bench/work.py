"""What every way is given, and what it costs at least."""

from dataclasses import replace
from typing import Any

import torch
from torch import nn
from transformers import GPT2Config, set_seed

from ...models import COCONUTGPT2, AutoLatentModel, LatentSettings, ModelError
from ...models.backbones.tokens import LatentTokens

SAMPLERS: dict[str, dict[str, str]] = {
    "noise": {"latent_do_sample_by": "noise"},
    "dropout over thoughts": {"latent_do_sample_by": "dropout", "dropout_scope": "thoughts"},
    "dropout over prompt and thoughts": {
        "latent_do_sample_by": "dropout",
        "dropout_scope": "prompt_and_thoughts",
    },
}
THOUGHTS, ANSWER_TOKENS = 6, 10
NEW_TOKENS = THOUGHTS + 1 + ANSWER_TOKENS


def load(pretrained: str | None, device: torch.device, *, seed: int) -> Any:
    """Return a checkpoint, or a COCONUT of GPT-2 small's size with random weights.

    Its answers never end by themselves, so that every way does equally much.
    """
    if pretrained is not None:
        model = AutoLatentModel.from_pretrained(pretrained, device_map=str(device))
        model.latent_tokens = replace(model.latent_tokens, eos=())
        return model
    set_seed(seed)
    model = COCONUTGPT2(GPT2Config(vocab_size=50260, bos_token_id=None, eos_token_id=None))
    model.latent_tokens = LatentTokens(end=50258, placeholder=50259, eos=(), pad=0)
    return model.to(device).eval()


def settings(model: Any, sampler: str, count: int, *, seed: int) -> LatentSettings:
    """Return the settings of N = `count` samples by one of `SAMPLERS`.

    Raises:
        ModelError: a backbone that stops thinking by itself, which the other ways cannot do.
    """
    if model.chooses_length:
        raise ModelError(
            f"{model.name_or_path!r} stops thinking by itself; bench compares backbones that think "
            "a fixed number of thoughts. Give another --pretrained."
        )
    found: LatentSettings = model.settings(
        latent_length=THOUGHTS,
        max_new_tokens=NEW_TOKENS,
        num_return_sequences=count,
        seed=seed,
        **SAMPLERS[sampler],
    )
    return found


def prompts(model: Any, *, tokens: int, seed: int) -> torch.Tensor:
    """Return one prompt of random token ids, i64[1, P]."""
    generator = torch.Generator().manual_seed(seed)
    most = model.get_input_embeddings().num_embeddings - 3
    return torch.randint(0, most, (1, tokens), generator=generator).to(model.device)


def operations(model: Any, given: LatentSettings, *, tokens: int) -> float:
    """Return the floating-point operations that the samples of one prompt must take.

    The prompt is read once, or once a sample where dropout makes each read it differently; the
    last answer token is not read. Matrix products alone are counted, two operations for each
    multiply and add: all layers for every token read, attention to itself and what stands before
    it, and the language-model head once for each answer token.
    """
    samples, fed = given.num_return_sequences, NEW_TOKENS - 1
    reads = samples if given.sampler.prompt_varies else 1
    config = model.config.get_text_config()
    trunk = [m for m in model.base_model.modules() if not isinstance(m, nn.Embedding)]
    own = (weight for part in trunk for weight in part.parameters(recurse=False))
    weights = sum(weight.numel() for weight in own if weight.dim() == 2)
    attended = reads * tokens * (tokens + 1) // 2 + samples * sum(
        range(tokens + 1, tokens + fed + 1)
    )
    head = samples * ANSWER_TOKENS * config.hidden_size * config.vocab_size
    attention = 2 * attended * config.num_hidden_layers * config.hidden_size
    return 2.0 * ((reads * tokens + samples * fed) * weights + attention + head)
