"""What every way is given, and what it costs at least."""

from dataclasses import replace
from typing import Any

import torch
from torch import nn
from transformers import GPT2Config, set_seed

from ...models import COCONUTGPT2, AutoLatentModel, LatentSettings, ModelError
from ...models.backbones.tokens import LatentTokens

# Name -> sampler and its scope.
SAMPLERS: dict[str, tuple[str, str | None]] = {
    "noise": ("noise", None),
    "dropout over thoughts": ("dropout", "thoughts"),
    "dropout over prompt and thoughts": ("dropout", "prompt_and_thoughts"),
}
THOUGHTS, ANSWER_TOKENS = 6, 10
NEW_TOKENS = THOUGHTS + 1 + ANSWER_TOKENS


def load(pretrained: str | None, device: torch.device) -> Any:
    """Return a checkpoint, or GPT-2 small with random weights; its answers do not end early."""
    if pretrained is not None:
        model = AutoLatentModel.from_pretrained(pretrained, device_map=str(device))
        model.latent_tokens = replace(model.latent_tokens, eos=())
        return model
    set_seed(0)
    model = COCONUTGPT2(GPT2Config(vocab_size=50260, bos_token_id=None, eos_token_id=None))
    model.latent_tokens = LatentTokens(end=50258, placeholder=50259, eos=(), pad=0)
    return model.to(device).eval()


def settings(model: Any, sampler: str, count: int) -> LatentSettings:
    """Return the settings of N = `count` samples by one of `SAMPLERS`."""
    if model.chooses_length:
        raise ModelError(
            f"{model.name_or_path!r} stops thinking by itself, which the ways that bench compares "
            "with cannot do. Give another --pretrained."
        )
    kind, scope = SAMPLERS[sampler]
    found: LatentSettings = model.settings(
        latent_do_sample_by=kind,
        dropout_scope=scope,
        latent_length=THOUGHTS,
        max_new_tokens=NEW_TOKENS,
        num_return_sequences=count,
        seed=0,
    )
    return found


def prompts(model: Any, *, tokens: int) -> torch.Tensor:
    """Return one prompt of random token ids, i64[1, P]."""
    generator = torch.Generator().manual_seed(0)
    most = model.get_input_embeddings().num_embeddings - 3
    return torch.randint(0, most, (1, tokens), generator=generator).to(model.device)


def operations(model: Any, given: LatentSettings, *, tokens: int) -> float:
    """Return the floating-point operations that the samples of one prompt must take.

    The prompt is read once, or once a sample where dropout makes each read it differently; the last
    answer token is not read. Products alone are counted, two operations for each multiply and add:
    all layers and attention for every token read, the head once for each answer token.
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
