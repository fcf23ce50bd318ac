"""Two ways to sample without the engine."""

from contextlib import ExitStack
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

    Prompts i64[B, P] are repeated N times; embeddings and cache grow by concatenation; dropout and
    noise are torch's own; answers must not end by themselves. Returns i64[B * N, L]: thoughts (as
    placeholders), end marker and answer.
    """
    tokens, sampler, thoughts = model.latent_tokens, settings.sampler, settings.thought_limit
    embed = model.get_input_embeddings()
    inputs = embed(input_ids.repeat_interleave(settings.num_return_sequences, dim=0))
    cache, read, steps, drops = DynamicCache(), 0, [], False
    with ExitStack() as hooks:
        if isinstance(sampler, Dropout):
            ends, p = SITES[sampler.dropout_site], sampler.dropout_p

            def drop(module: torch.nn.Module, args: Any, output: torch.Tensor) -> torch.Tensor:
                return functional.dropout(output, p) if drops else output

            for name, module in model.named_modules():
                if name.endswith(ends):
                    hooks.callback(module.register_forward_hook(drop).remove)
        for step in range(settings.max_new_tokens):
            # The prompt is read at step 0, thought t at step t, and the last one as the answer is.
            drops = (step > 0 or sampler.prompt_varies) and step < thoughts
            output = model(
                inputs_embeds=inputs[:, read:],
                past_key_values=cache,
                use_cache=True,
                output_hidden_states=True,
                logits_to_keep=1,
            )
            read = inputs.shape[1]
            chosen = output.logits[:, -1].argmax(dim=-1)
            if step <= thoughts:
                chosen = torch.full_like(chosen, tokens.end)
            following = embed(chosen)
            if step < thoughts:
                chosen = torch.full_like(chosen, tokens.placeholder)
                following = model.next_thought(output.hidden_states[-1][:, -1])
                if isinstance(sampler, Noise):
                    following = following + sampler.noise_std * torch.randn_like(following)
            steps.append(chosen)
            inputs = torch.cat((inputs, following.unsqueeze(1)), dim=1)
    return torch.stack(steps, dim=1)


def generate_texts(model: Any, input_ids: torch.Tensor, *, count: int, tokens: int) -> torch.Tensor:
    """Write N texts of so many tokens by transformers' own generate; one alone is greedy."""
    lengths = {"max_new_tokens": tokens, "min_new_tokens": tokens, "pad_token_id": 0}
    sampled = {"do_sample": True, "top_k": 0, "num_return_sequences": count} if count > 1 else {}
    config = GenerationConfig(**lengths, **sampled)
    mask = torch.ones_like(input_ids)
    # The class is named, because a backbone's own generate thinks in latents.
    texts: Any = GenerationMixin.generate(
        model, input_ids=input_ids, attention_mask=mask, generation_config=config
    )
    return texts
