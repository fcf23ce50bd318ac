"""The engine: read prompts, think in latents, answer in text.

Rows advance one position at a time, each in its own phase: a row that thinks is fed its next
thought, a row that answers its next token, and a row that is done leaves the batch. So a backbone
that chooses its number of thoughts needs nothing special, and no row waits for another.
"""

from typing import Any

import torch
from transformers import DynamicCache

from . import randomness
from .config import LatentSettings
from .errors import ModelError
from .rows import LatentGenerateOutput, Record, Rows
from .samplers import Sampler, make_sampler

_ANSWER_SITE = 1 << 20  # the address of answer sampling, beyond every dropout site


def generate(
    model: Any,
    *,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor | None,
    settings: LatentSettings,
    sample_offset: int = 0,
) -> LatentGenerateOutput:
    """Sample thoughts and answers; see `LatentBackbone.generate` for arguments and errors."""
    input_ids = input_ids.to(model.device)
    if attention_mask is None:
        attention_mask = torch.ones_like(input_ids)
    attention_mask = attention_mask.to(model.device)
    check_prompts(model, input_ids, attention_mask, settings)
    sampler = make_sampler(settings)
    with sampler.installed(model):
        keys = row_keys(input_ids, attention_mask, settings, sample_offset)
        rows = prefill(model, input_ids, attention_mask, keys, sampler)
        record = Record.empty(rows.hidden, settings, pad=model.latent_tokens.pad)
        run(model, rows, settings, sampler, record)
    prompts = input_ids.repeat_interleave(settings.num_return_sequences, dim=0)
    return record.output(prompts)


def check_prompts(
    model: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor, settings: LatentSettings
) -> None:
    """Raise ModelError for prompts not padded on the left or without room to think and answer."""
    if input_ids.dim() != 2 or input_ids.shape != attention_mask.shape:
        raise ModelError(
            f"input_ids of shape {tuple(input_ids.shape)} with attention_mask of shape "
            f"{tuple(attention_mask.shape)}; both must be [B, P]."
        )
    if input_ids.shape[0] == 0 or not bool(attention_mask[:, -1:].all()) or not input_ids.shape[1]:
        raise ModelError(
            "Every prompt must end with an attended token: pad on the left "
            '(tokenizer.padding_side = "left"), and give at least one token per prompt.'
        )
    vocabulary = model.get_input_embeddings().num_embeddings
    if bool(((input_ids < 0) | (input_ids >= vocabulary)).any()):
        raise ModelError(
            f"input_ids from {int(input_ids.min())} to {int(input_ids.max())}; the checkpoint "
            f"{model.name_or_path!r} knows 0 to {vocabulary - 1}. Use its own tokenizer."
        )
    longest = int(attention_mask.sum(dim=1).max())
    positions = model.config.max_position_embeddings
    needed = settings.thought_limit + 2
    if longest + needed > positions:
        raise ModelError(
            f"A prompt of {longest} tokens with {settings.thought_limit} thoughts, the end marker "
            f"and an answer needs {longest + needed} positions; {model.name_or_path!r} has "
            f"{positions}. Shorten the question (fewer few-shot examples) or think fewer thoughts."
        )


def row_keys(
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    settings: LatentSettings,
    sample_offset: int = 0,
) -> torch.Tensor:
    """Return the addresses i64[B, N] of N samples of each prompt.

    Args:
        input_ids: i64[B, P], left-padded.
        attention_mask: i64[B, P].
        settings: N and the seed.
        sample_offset: index of the first sample.
    """
    prompts = [
        ids[mask.bool()].tolist() for ids, mask in zip(input_ids, attention_mask, strict=True)
    ]
    questions = torch.tensor(
        [randomness.question_key(settings.seed, prompt) for prompt in prompts],
        device=input_ids.device,
    )
    samples = torch.arange(settings.num_return_sequences, device=input_ids.device) + sample_offset
    return randomness.sample_keys(questions.unsqueeze(1), samples)


def prefill(
    model: Any,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    keys: torch.Tensor,
    sampler: Sampler,
) -> Rows:
    """Read the prompts and return N rows for each.

    A prompt is read once and its cache given to its N rows, unless the sampler makes each row
    read it differently.

    Args:
        model: the backbone.
        input_ids: i64[B, P], left-padded.
        attention_mask: i64[B, P].
        keys: i64[B, N], the rows' addresses.
        sampler: installed in the model.

    Returns:
        R = B * N rows, question-major.
    """
    count = keys.shape[1]
    keys = keys.flatten()
    row_mask = attention_mask.repeat_interleave(count, dim=0)
    if sampler.prompt_varies:
        input_ids = input_ids.repeat_interleave(count, dim=0)
        attention_mask = row_mask
    cache = DynamicCache(config=model.config)
    positions = (attention_mask.cumsum(dim=1) - 1).clamp(min=0)
    if sampler.prompt_varies:
        sampler.address(keys, positions)
    hidden = read(model, cache, attention_mask, positions, input_ids=input_ids)
    if not sampler.prompt_varies:
        cache.batch_repeat_interleave(count)
        hidden = hidden.repeat_interleave(count, dim=0)
    zeros = torch.zeros_like(keys)
    return Rows(
        index=torch.arange(len(keys), device=keys.device),
        keys=keys,
        hidden=hidden,
        mask=row_mask,
        position=row_mask.sum(dim=1),
        thinking=torch.ones_like(keys, dtype=torch.bool),
        thoughts=zeros,
        tokens=zeros,
        room=zeros,
        cache=cache,
    )


def read(
    model: Any,
    cache: DynamicCache,
    mask: torch.Tensor,
    positions: torch.Tensor,
    **inputs: torch.Tensor,
) -> torch.Tensor:
    """Run the trunk over new inputs and return the last hidden state f[R, D] of each row."""
    output = model.base_model(
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        **inputs,
    )
    hidden = output.last_hidden_state[:, -1]
    _check_finite(hidden, "hidden states", model)
    return hidden


def run(
    model: Any,
    rows: Rows,
    settings: LatentSettings,
    sampler: Sampler,
    record: Record,
    step: int = 0,
) -> None:
    """Advance the rows, which have been fed `step` inputs since their prompts, until all end."""
    while len(rows.index):
        rows = advance(model, rows, settings, sampler, record, step)
        step += 1


def advance(
    model: Any,
    rows: Rows,
    settings: LatentSettings,
    sampler: Sampler,
    record: Record,
    step: int,
) -> Rows:
    """Feed every row its next thought or token, and let finished rows leave.

    Args:
        model: the backbone.
        rows: the rows in the batch.
        settings: lengths and how answers are decoded.
        sampler: installed in the model.
        record: where thoughts and tokens are written.
        step: inputs fed since the prompt.

    Returns:
        The rows that go on, with the hidden states after the new input.
    """
    tokens, thinks, inputs = propose(model, rows, settings, sampler)
    record.thoughts[rows.index[thinks], rows.thoughts[thinks]] = inputs[thinks].to(
        record.thoughts.dtype
    )
    record.tokens[rows.index, step] = tokens

    answered = ~rows.thinking
    ends_now = rows.thinking & ~thinks
    eos = torch.isin(tokens, torch.tensor(model.latent_tokens.eos, device=tokens.device))
    rows.thoughts = rows.thoughts + thinks
    rows.tokens = rows.tokens + answered
    rows.thinking = thinks
    limit = model.config.max_position_embeddings
    room = torch.minimum(settings.max_new_tokens - rows.thoughts, limit - rows.position) - 1
    rows.room = torch.where(ends_now, room, rows.room)
    finished = answered & (eos | (rows.tokens >= rows.room))
    record.finish(rows, finished, truncated=~eos)

    keep = (~finished).nonzero().squeeze(1)
    if len(keep) < len(finished):
        rows, inputs = rows.select(keep), inputs[keep]
    if len(keep):
        feed(model, rows, inputs, settings, sampler)
    return rows


def propose(
    model: Any, rows: Rows, settings: LatentSettings, sampler: Sampler
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Decide what each row is fed next, and change nothing.

    Returns:
        tokens i64[R] (a placeholder where a thought follows), bool[R], which rows think on, and the
        input embeddings f[R, D], thoughts among them.
    """
    tokens, thinks = choose(model, rows, settings)
    thoughts = sampler.perturb(
        model.next_thought(rows.hidden[thinks]), rows.keys[thinks], rows.position[thinks]
    )
    inputs = model.get_input_embeddings()(tokens)
    inputs[thinks] = thoughts.to(inputs.dtype)
    return tokens, thinks, inputs


def feed(
    model: Any, rows: Rows, inputs: torch.Tensor, settings: LatentSettings, sampler: Sampler
) -> None:
    """Let every row read its next input f[R, D], already counted in `rows.thoughts`."""
    active = (
        rows.thinking
        if settings.latent_length is None
        else (rows.thinking & (rows.thoughts < settings.latent_length))
    )
    if model.dropout_while_answering:
        active = torch.ones_like(active)
    rows.mask = torch.cat((rows.mask, torch.ones_like(rows.mask[:, :1])), dim=1)
    positions = rows.position.unsqueeze(1)
    sampler.address(rows.keys, positions, active)
    rows.hidden = read(model, rows.cache, rows.mask, positions, inputs_embeds=inputs.unsqueeze(1))
    rows.position = rows.position + 1


def choose(model: Any, rows: Rows, settings: LatentSettings) -> tuple[torch.Tensor, torch.Tensor]:
    """Decide what each row is fed next.

    Returns:
        tokens i64[R] (a placeholder where a thought follows) and bool[R], which rows think on.
    """
    thinks = rows.thinking & (rows.thoughts < settings.thought_limit)
    tokens = torch.full_like(rows.index, model.latent_tokens.placeholder)
    asks = ~rows.thinking | thinks if settings.latent_length is None else ~rows.thinking
    if bool(asks.any()):
        logits = model.get_output_embeddings()(rows.hidden[asks])
        _check_finite(logits, "logits", model)
        best = logits.argmax(dim=-1)
        if settings.do_sample:
            # Gumbel-max: the argmax of logits / temperature + Gumbel noise is a sample of softmax.
            uniform = randomness.uniform(
                rows.keys[asks], rows.position[asks], site=_ANSWER_SITE, size=logits.shape[-1]
            )
            noisy = logits.double() / settings.temperature - (-uniform.log()).log()
            best = torch.where(rows.thinking[asks], best, noisy.argmax(dim=-1))
        tokens[asks] = best
        thinks &= tokens != model.latent_tokens.end
    tokens = torch.where(thinks, model.latent_tokens.placeholder, tokens)
    tokens = torch.where(rows.thinking & ~thinks, model.latent_tokens.end, tokens)
    return tokens, thinks


def _check_finite(values: torch.Tensor, what: str, model: Any) -> None:
    finite = torch.isfinite(values).flatten(1).all(dim=1)
    if not bool(finite.all()):
        raise ModelError(
            f"{int((~finite).sum())} of {len(finite)} rows have {what} that are NaN or infinite: "
            f"the sampler is too strong, or the weights of {model.name_or_path!r} or its precision "
            f"({model.dtype}) are at fault. Try latent_do_sample=false, then dtype=float32."
        )
