"""The engine: read prompts, think in latents, answer in text.

Rows advance one position at a time, each in its own phase: a row that thinks is fed its next
thought, a row that answers its next token, and a row that is done leaves the batch. So a backbone
that chooses its number of thoughts needs nothing special, and no row waits for another.
"""

from collections.abc import Sequence
from typing import Any

import torch

from . import randomness
from .attention import read_on, read_prompts
from .config import LatentSettings
from .drafts import draft
from .errors import ModelError, check_finite
from .fast import likeliest, logits
from .options import engine_options
from .positions import position_limit
from .prompts import Prompts
from .rows import Record, Rows
from .samplers import Sampler
from .trial import check_model

_ANSWER_SITE = 1 << 20  # the address of answer sampling, beyond every dropout site
_SAMPLED_ROWS = 64  # whose next tokens are sampled at once: a random number for every known token


def prompt_tokens(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> list[list[int]]:
    """Return the attended tokens of each prompt i64[B, P].

    Raises:
        ModelError: prompts that are not padded on the left, or none.
    """
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
    pairs = zip(input_ids, attention_mask.bool(), strict=True)
    return [ids[mask].tolist() for ids, mask in pairs]


def check_prompts(model: Any, prompts: Sequence[Sequence[int]], settings: LatentSettings) -> None:
    """Raise ModelError for a model that the engine cannot read, unknown tokens or long prompts."""
    check_model(model)
    if not prompts or not all(prompts):
        raise ModelError("No prompt, or one without tokens; give at least one token per prompt.")
    smallest = min(min(prompt) for prompt in prompts)
    largest = max(max(prompt) for prompt in prompts)
    vocabulary = model.get_input_embeddings().num_embeddings
    if smallest < 0 or largest >= vocabulary:
        raise ModelError(
            f"input_ids from {smallest} to {largest}; the checkpoint "
            f"{model.name_or_path!r} knows 0 to {vocabulary - 1}. Use its own tokenizer."
        )
    longest = max(map(len, prompts))
    positions = position_limit(model)
    needed = settings.thought_limit + 2
    if longest + needed > positions:
        raise ModelError(
            f"A prompt of {longest} tokens with {settings.thought_limit} thoughts, the end marker "
            f"and an answer needs {longest + needed} positions; {model.name_or_path!r} has "
            f"{positions}. Shorten the question (fewer few-shot examples) or think fewer thoughts."
        )


def row_keys(
    prompts: Sequence[Sequence[int]], settings: LatentSettings, samples: Sequence[int], device: Any
) -> torch.Tensor:
    """Return the addresses i64[B, N] of the given samples of each prompt."""
    questions = [randomness.question_key(settings.seed, prompt) for prompt in prompts]
    return randomness.sample_keys(
        torch.tensor(questions, device=device).unsqueeze(1), torch.tensor(samples, device=device)
    )


def prefill(
    model: Any,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    keys: torch.Tensor,
    sampler: Sampler,
) -> tuple[torch.Tensor, Prompts]:
    """Read the prompts, each once or, where the sampler makes samples read differently, N times.

    Args:
        model: the backbone.
        input_ids: i64[B, P], left-padded.
        attention_mask: i64[B, P].
        keys: i64[B, N], the rows' addresses.
        sampler: installed in the model.

    Returns:
        The last hidden states f[B, D] or f[B * N, D], and the prompts, for `Rows.begin`.
    """
    if sampler.prompt_varies:
        input_ids, attention_mask = (
            tensor.repeat_interleave(keys.shape[1], dim=0) for tensor in (input_ids, attention_mask)
        )
        keys = keys.reshape(-1, 1)

    def before(part: slice, positions: torch.Tensor) -> None:
        own = keys[part, 0]
        none = torch.zeros_like(own, dtype=torch.bool)
        sampler.address(own, positions, None if sampler.prompt_varies else none)

    hidden, prompts = read_prompts(model, input_ids, attention_mask, before)
    check_finite(hidden, "hidden states", model)
    return hidden, prompts


def run(model: Any, rows: Rows, settings: LatentSettings, sampler: Sampler, record: Record) -> None:
    """Advance the rows until all end."""
    while len(rows):
        advance(model, rows, settings, sampler, record)


def advance(
    model: Any, rows: Rows, settings: LatentSettings, sampler: Sampler, record: Record
) -> torch.Tensor:
    """Feed every row its next thought or token, and let finished rows leave.

    Args:
        model: the backbone.
        rows: the rows in the batch; changed in place.
        settings: lengths and how answers are decoded.
        sampler: installed in the model.
        record: where thoughts and tokens are written.

    Returns:
        i64[…], the places in the record of the rows that left.
    """
    tokens, thinks, inputs = propose(model, rows, settings, sampler)
    record.thoughts[rows.index[thinks], rows.thoughts[thinks]] = inputs[thinks].to(
        record.thoughts.dtype
    )
    record.tokens[rows.index, rows.fed] = tokens

    answered = ~rows.thinking
    ends_now = rows.thinking & ~thinks
    eos = torch.isin(tokens, torch.tensor(model.latent_tokens.eos, device=tokens.device))
    rows.thoughts = rows.thoughts + thinks
    rows.tokens = rows.tokens + answered
    rows.thinking = thinks
    limit = position_limit(model)
    room = torch.minimum(settings.max_new_tokens - rows.thoughts, limit - rows.position) - 1
    rows.room = torch.where(ends_now, room, rows.room)
    finished = answered & (eos | (rows.tokens >= rows.room))
    record.finish(rows, finished, truncated=~eos)
    left = rows.index[finished]
    if len(left):
        rows.leave(~finished)
        inputs = inputs[~finished]
    if len(rows):
        drafts = draft(rows, record) if engine_options(model).drafts else None
        if drafts is None:
            feed(model, rows, inputs, settings, sampler)
        else:
            feed_drafts(model, rows, inputs, drafts, settings, sampler, record)
    return left


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
    hidden = _read(model, rows, inputs.unsqueeze(1), settings, sampler)
    rows.hidden = hidden[:, -1]
    rows.position = rows.position + 1
    rows.chosen = torch.full_like(rows.chosen, -1)


def feed_drafts(
    model: Any,
    rows: Rows,
    inputs: torch.Tensor,
    drafts: torch.Tensor,
    settings: LatentSettings,
    sampler: Sampler,
    record: Record,
) -> None:
    """Let every row read its next input f[R, D] and the drafts i64[R, n] after it.

    The drafts up to the first that the model would not have said are written down; what was read
    of the others is forgotten. Rows of a group go on by equally many.
    """
    following = model.get_input_embeddings()(drafts.clamp(min=0))
    inputs = torch.cat((inputs.unsqueeze(1), following), dim=1)
    hidden = _read(model, rows, inputs, settings, sampler)
    count = drafts.shape[1]
    steps = torch.arange(count + 1, device=drafts.device)
    tokens = next_tokens(
        model,
        hidden.flatten(0, 1),
        rows.keys.repeat_interleave(count + 1),
        (rows.position.unsqueeze(1) + 1 + steps).flatten(),
        settings,
    ).view(-1, count + 1)
    agreed = (tokens[:, :-1] == drafts).long().cumprod(dim=1).sum(dim=1)
    # What was right gains trust, and what was wrong loses it.
    rows.trust = torch.where(agreed == (drafts >= 0).sum(dim=1), 2 * agreed, agreed)
    agreed = count - rows.cache.forget(count - agreed)
    written = steps[:-1] < agreed.unsqueeze(1)
    places = (rows.fed.unsqueeze(1) + steps[:-1])[written]
    record.tokens[rows.index.repeat_interleave(agreed), places] = drafts[written]
    rows.tokens = rows.tokens + agreed
    rows.position = rows.position + 1 + agreed
    everyone = torch.arange(len(rows), device=drafts.device)
    rows.hidden, rows.chosen = hidden[everyone, agreed], tokens[everyone, agreed]


def _read(
    model: Any, rows: Rows, inputs: torch.Tensor, settings: LatentSettings, sampler: Sampler
) -> torch.Tensor:
    """Return the states f[R, n, D] after each of the rows' next inputs f[R, n, D]."""
    active = (
        rows.thinking
        if settings.latent_length is None
        else (rows.thinking & (rows.thoughts < settings.latent_length))
    )
    if model.dropout_while_answering:
        active = torch.ones_like(active)
    steps = torch.arange(inputs.shape[1], device=inputs.device)
    positions = rows.position.unsqueeze(1) + steps
    sampler.address(rows.keys, positions, active)
    hidden = read_on(model, rows.cache, inputs, positions)
    check_finite(hidden, "hidden states", model)
    return hidden


def choose(model: Any, rows: Rows, settings: LatentSettings) -> tuple[torch.Tensor, torch.Tensor]:
    """Decide what each row is fed next.

    Returns:
        tokens i64[R] (a placeholder where a thought follows) and bool[R], which rows think on.
    """
    thinks = rows.thinking & (rows.thoughts < settings.thought_limit)
    tokens = torch.full_like(rows.index, model.latent_tokens.placeholder)
    asks = ~rows.thinking | thinks if settings.latent_length is None else ~rows.thinking
    tokens = torch.where(rows.chosen < 0, tokens, rows.chosen)
    asks = asks & (rows.chosen < 0)
    if bool(asks.any()):
        tokens[asks] = next_tokens(
            model,
            rows.hidden[asks],
            rows.keys[asks],
            rows.position[asks],
            settings,
            greedy=rows.thinking[asks],
        )
        thinks &= tokens != model.latent_tokens.end
    tokens = torch.where(thinks, model.latent_tokens.placeholder, tokens)
    tokens = torch.where(rows.thinking & ~thinks, model.latent_tokens.end, tokens)
    return tokens, thinks


def next_tokens(
    model: Any,
    hidden: torch.Tensor,
    keys: torch.Tensor,
    positions: torch.Tensor,
    settings: LatentSettings,
    *,
    greedy: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the tokens i64[R] that follow hidden states f[R, D], greedily or sampled.

    Args:
        model: the backbone.
        hidden: f[R, D].
        keys: i64[R], the rows' addresses.
        positions: i64[R], of the tokens.
        settings: how answers are decoded.
        greedy: bool[R], rows that are not sampled in any case; none if None.
    """
    if not settings.do_sample:
        largest, best = likeliest(model, hidden)
        # The largest logit stands for all: NaN counts as larger than any number, and a hook may
        # forbid tokens by -inf.
        check_finite(largest, "logits", model)
        return best
    everyone = torch.arange(len(hidden), device=hidden.device)
    found = []
    for rows in everyone.split(_SAMPLED_ROWS):
        every = logits(model, hidden[rows])
        check_finite(every.amax(dim=-1), "logits", model)
        uniform = randomness.uniform(
            keys[rows], positions[rows], site=_ANSWER_SITE, size=every.shape[-1]
        )
        # Gumbel-max: the argmax of logits / temperature + Gumbel noise is a sample of softmax.
        noisy = every.double() / settings.temperature - (-uniform.log()).log()
        sampled = noisy.argmax(dim=-1)
        if greedy is not None:
            sampled = torch.where(greedy[rows], every.argmax(dim=-1), sampled)
        found.append(sampled)
    return torch.cat(found)
