"""Two ways to sample without the engine."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional
from transformers import DynamicCache, GenerationConfig, GenerationMixin

from ...models import LatentSettings
from ...models.samplers import Dropout, Noise
from ...models.samplers.dropout import SITES


@torch.no_grad()
def plain_loop(model: Any, input_ids: torch.Tensor, settings: LatentSettings) -> torch.Tensor:
    """Sample as a plain loop around transformers' forward does, and as the released code did.

    Every prompt is repeated N times, every forward pass returns the hidden states of all layers
    and the last position's logits, input embeddings and cache grow by concatenation, and the batch
    stays whole until its last row ends.

    Args:
        model: the backbone, which thinks a fixed number of thoughts.
        input_ids: i64[B, P].
        settings: as the engine's; dropout and noise are torch's own.

    Returns:
        i64[B * N, L] thoughts (as placeholders), end marker and answer.
    """
    tokens, sampler = model.latent_tokens, settings.sampler
    ends = torch.tensor(tokens.eos, dtype=torch.long, device=input_ids.device)
    input_ids = input_ids.repeat_interleave(settings.num_return_sequences, dim=0)
    embed = model.get_input_embeddings()
    inputs = embed(input_ids)
    cache, read, steps = DynamicCache(), 0, []
    going = torch.ones_like(input_ids[:, 0], dtype=torch.bool)
    with _dropout(model, settings) as switch:
        for step in range(settings.max_new_tokens):
            # The prompt is read at step 0, thought t at step t, and the last one as the answer is.
            switch["on"] = (step > 0 or sampler.prompt_varies) and step < settings.thought_limit
            output = model(
                inputs_embeds=inputs[:, read:],
                past_key_values=cache,
                use_cache=True,
                output_hidden_states=True,
                logits_to_keep=1,
            )
            read = inputs.shape[1]
            if step < settings.thought_limit:
                following = model.next_thought(output.hidden_states[-1][:, -1])
                if isinstance(sampler, Noise):
                    following = following + sampler.noise_std * torch.randn_like(following)
                chosen = torch.full_like(input_ids[:, 0], tokens.placeholder)
            elif step == settings.thought_limit:
                chosen = torch.full_like(input_ids[:, 0], tokens.end)
                following = embed(chosen)
            else:
                best = output.logits[:, -1].argmax(dim=-1)
                chosen = torch.where(going, best, torch.full_like(best, tokens.pad))
                going &= ~torch.isin(best, ends)
                following = embed(chosen)
            steps.append(chosen)
            if not bool(going.any()):
                break
            inputs = torch.cat((inputs, following.unsqueeze(1)), dim=1)
    return torch.stack(steps, dim=1)


@contextmanager
def _dropout(model: Any, settings: LatentSettings) -> Iterator[dict[str, bool]]:
    """Put torch's own dropout after the modules of the site, where the sampler is dropout."""
    switch, hooks, sampler = {"on": False}, [], settings.sampler
    if isinstance(sampler, Dropout):
        p = sampler.dropout_p

        def drop(module: torch.nn.Module, args: Any, output: torch.Tensor) -> torch.Tensor:
            return functional.dropout(output, p) if switch["on"] else output

        hooks = [
            module.register_forward_hook(drop)
            for name, module in model.named_modules()
            if name.endswith(SITES[sampler.dropout_site])
        ]
    try:
        yield switch
    finally:
        for hook in hooks:
            hook.remove()


def generate_texts(model: Any, input_ids: torch.Tensor, *, count: int, tokens: int) -> torch.Tensor:
    """Write N texts of so many tokens after each prompt by transformers' own generate.

    One text alone is greedy, as generate is quickest; several are sampled from all tokens.
    """
    config = GenerationConfig(
        do_sample=count > 1,
        top_k=0 if count > 1 else None,
        num_return_sequences=count,
        max_new_tokens=tokens,
        min_new_tokens=tokens,
        pad_token_id=0,
    )
    # The class is named, because a backbone's own generate thinks in latents.
    texts: Any = GenerationMixin.generate(
        model,
        input_ids=input_ids,
        attention_mask=torch.ones_like(input_ids),
        generation_config=config,
    )
    return texts
